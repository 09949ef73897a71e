"""A registration by networks that give rigid motions: the pair is sampled anew before each of them.

The networks see a window of one size. It lies around the centre of the fixed mask, or of the fixed scan, and
stays there; what it shows of the moving scan follows the transform found so far (``pose`` says how).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import CancelledError
from .geometry import Grid, Volume, rigid_motion
from .network.timing import late
from .preprocess import normalise
from .preprocess.window import scale_jointly, window_grid
from .results import Registration, inverse_of, told
from .transform import DisplacementField, Rigid

if TYPE_CHECKING:
    from .deadline import Deadline
    from .geometry import Float64
    from .input_validation import CheckedPair, Mask
    from .network import Network

# What refines may move a corner of the window by this much, as far as the last networks are trained to reach:
# the solver searches widely, and where it ends further off it has found another place.
TRUSTED_MM = 8.0
Native = Callable[..., dict[str, Any]]


@dataclass(frozen=True)
class Request:
    """What to register, and how; as of ``Registrar``."""

    pair: CheckedPair
    same_space: bool
    refine: bool
    deadline: Deadline
    progress: Callable[[str, float], bool | None] | None
    outside: float | None = None


class Clock:
    """Asks, between steps, whether time is up or nobody wants the result any more.

    Attributes:
        kept_s: What must still be done at the end takes about this long.
        step_s: So does the next step.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self.kept_s = self.step_s = 0.0

    def up(self, stage: str, share: float) -> bool:
        """Raises:
        CancelledError: The caller's callback returned True.
        """
        progress = self._request.progress
        if progress is not None and progress(stage, share):
            raise CancelledError("MMREG_E_CANCELLED", "The progress callback cancelled the registration.")
        return self.left_s() <= self.step_s

    def left_s(self) -> float:
        """Until what is kept for the end begins."""
        return self._request.deadline.left_s() - self.kept_s

    def over(self, stage: str, share: float) -> bool:
        """The same in the middle of a step."""
        self.up(stage, share)
        return self.left_s() <= 0

    def remaining(self) -> Deadline:
        """For a step that looks at the time by itself."""
        return self._request.deadline.earlier(self.kept_s)


def register_rigidly(network: Network, request: Request, native: Native) -> Registration:
    """The transform that the networks find one after the other, refined if that is asked for.

    Args:
        network: Of a bundle of the kind ``rigid``.
        request: What to register.
        native: ``Registrar._native``: the solver, and what measures and warps.

    Raises:
        CancelledError: The callback returned True.
        RegistrationError: What a network gave cannot be used.
    """
    clock, pair = Clock(request), request.pair
    began = time.perf_counter()
    stages = Stages(network, pair, start_of(pair, request.same_space))
    clock.kept_s = (
        time.perf_counter() - began
    )  # both scans were gone through there, as they will be at the end
    finished = stages.run(clock)
    seconds = {"network": time.perf_counter() - began}
    complete, matrix, refinement = finished == len(network.manifest.stages), stages.matrix, "not wanted"
    if request.refine and complete:
        began = time.perf_counter()
        complete, matrix, refinement = _refined(native, pair, matrix, stages.grid, clock)
        seconds["align"] = time.perf_counter() - began
    clock.up("finish", 0.0)
    began = time.perf_counter()
    made = _finished(native, pair, matrix, request.deadline, request.outside)
    facts = {"stages_run": finished, "refinement": refinement, "window_centre_mm": stages.grid.centre_mm}
    last = "align" if refinement == "accepted" else "network" if finished else ""
    return replace(
        made,
        seconds={**seconds, "finish": time.perf_counter() - began},
        degraded=made.degraded or not complete,
        finished=last,
        settings={**made.settings, "rigid": facts},
        warnings=made.warnings if stages.late is None else (*made.warnings, stages.late),
    )


class Stages:
    """The networks of a bundle on one pair, from a first transform.

    Attributes:
        grid: The window.
        matrix: ``(4, 4)``, fixed to moving points: what has been found so far.
        late: What the deadline did to a network, in words; None if nothing.
    """

    late: str | None = None

    def __init__(self, network: Network, pair: CheckedPair, start: Float64) -> None:
        manifest = network.manifest
        spec, rigid = manifest.preprocess, manifest.rigid
        assert rigid is not None
        self._network, self.matrix = network, start
        centre_mm = centre_of(pair.fixed, pair.fixed_mask)
        self.grid = window_grid(pair.fixed.grid, spec, centre_mm, rigid.size, rigid.spacing_mm)
        fixed, self._moving = (
            Volume(normalise(scan.as_float32(), spec), scan.grid) for scan in (pair.fixed, pair.moving)
        )
        self._fixed = Rigid(np.eye(4)).warp(fixed, self.grid, outside=0).data

    def run(self, clock: Clock) -> int:
        """All of them, or as many as there is time for; how many."""
        count = len(self._network.manifest.stages)
        for stage in range(count):
            clock.step_s = max(clock.step_s, self._network.expected_s(self.grid.shape, stage))
            if clock.up("network", stage / count):
                self.late = late("not begun", clock.step_s, clock.left_s())
                return stage
            began = time.perf_counter()
            moving = Rigid(self.matrix).warp(self._moving, self.grid, outside=0).data
            images = scale_jointly(self._fixed, moving)
            found = self._network.motion(stage, *images, stop=partial(clock.over, "network", stage / count))
            if found is None:
                self.late = late("stopped", clock.step_s, clock.left_s())
                return stage
            self.matrix = rigid_motion.updated(self.matrix, found, self.grid)
            clock.step_s = time.perf_counter() - began
        clock.step_s = 0.0
        return count


def centre_of(scan: Volume, mask: Mask | None) -> Float64:
    """``(3,)``: the middle of what the mask marks, else of the field of view."""
    if mask is None:
        return scan.grid.centre_mm
    centre: Float64 = scan.grid.map_indices(np.argwhere(mask).mean(axis=0)[None])[0]
    return centre


def start_of(pair: CheckedPair, same_space: bool) -> Float64:
    """``(4, 4)``: the headers; centre on centre where both have a mask, or their headers say nothing."""
    start = np.eye(4)
    masked = pair.fixed_mask is not None and pair.moving_mask is not None
    if masked or not same_space:
        fixed, moving = centre_of(pair.fixed, pair.fixed_mask), centre_of(pair.moving, pair.moving_mask)
        start[:3, 3] = moving - fixed
    return start


def _refined(
    native: Native, pair: CheckedPair, matrix: Float64, window: Grid, clock: Clock
) -> tuple[bool, Float64, str]:
    """Whether there was time, the transform, and what became of the solver's rigid stage."""
    if clock.up("align", 0.0):
        return False, matrix, "no time"
    fixed, moving = pair.fixed, pair.moving
    placed = Grid(moving.grid.shape, np.linalg.inv(matrix) @ moving.grid.affine)
    found = native(
        (fixed.grid, placed), *_arrays(pair), clock.remaining(), None,
        align="rigid", deform=False,
    )  # fmt: skip
    if found["finished"] != "align":
        return False, matrix, "no time"
    better = matrix @ found["rigid"]
    apart = rigid_motion.moved(better, window.corners_mm) - rigid_motion.moved(matrix, window.corners_mm)
    away_mm = float(np.linalg.norm(apart, axis=1).max())
    if away_mm > TRUSTED_MM:
        return True, matrix, f"rejected: it led {away_mm:.1f} mm away"
    return True, better, "accepted"


def _arrays(pair: CheckedPair) -> tuple[Any, Any]:
    """Both scans, and both masks."""
    scans = pair.fixed.as_float32(), pair.moving.as_float32()
    return scans, (pair.fixed_mask, pair.moving_mask)


def _finished(
    native: Native, pair: CheckedPair, matrix: Float64, deadline: Deadline, outside: float | None
) -> Registration:
    """The fields, the warped scan and the figures of a rigid transform."""
    fixed, moving = pair.fixed.grid, pair.moving.grid
    found = native(
        (fixed, moving),
        *_arrays(pair),
        deadline,
        None,
        align="none",
        deform=False,
        start=matrix,
        outside=outside,
    )
    return Registration(
        warped=Volume(found["warped"], fixed, pair.fixed.source),
        transform=DisplacementField(found["displacement_mm"], fixed),
        inverse=inverse_of(found, None, pair.moving.grid),
        deformation=None,
        **{**told(found, {}, (), "none"), "rigid": Rigid(matrix)},
    )
