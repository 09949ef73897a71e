"""A registration by networks that give rigid motions: the pair is sampled anew before each of them.

The networks see a window of one size. It lies around the centre of the fixed mask, or of the fixed scan, and
stays there; what it shows of the moving scan follows the transform found so far (``pose`` says how).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from . import pose
from .errors import Cancelled
from .geometry import Grid, Volume
from .preprocess import normalise
from .registration import Registration, quality_of
from .transform import Rigid

if TYPE_CHECKING:
    from .checks import CheckedPair, Mask
    from .geometry import Float64
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
    deadline_ms: float | None
    progress: Callable[[str, float], bool | None] | None


class Clock:
    """Asks, between steps, whether time is up or nobody wants the result any more."""

    def __init__(self, request: Request) -> None:
        self._start, self._request = time.perf_counter(), request

    def up(self, stage: str, share: float) -> bool:
        """Raises:
        Cancelled: The caller's callback returned True.
        """
        progress = self._request.progress
        if progress is not None and progress(stage, share):
            raise Cancelled("MMREG_E_CANCELLED", "The registration was cancelled by the progress callback.")
        return self.left_ms() <= 0

    def left_ms(self) -> float:
        """Until the deadline."""
        wanted = self._request.deadline_ms
        return float("inf") if wanted is None else wanted - 1e3 * (time.perf_counter() - self._start)


def register_rigidly(network: Network, request: Request, native: Native) -> Registration:
    """The transform that the networks find one after the other, refined if that is asked for.

    Args:
        network: Of a bundle of the kind ``rigid``.
        request: What to register.
        native: ``Registrar._native``: the solver, and what measures and warps.

    Raises:
        Cancelled: The callback returned True.
        RegistrationError: What a network gave cannot be used.
    """
    clock, pair = Clock(request), request.pair
    began = time.perf_counter()
    stages = Stages(network, pair, start_of(pair, request.same_space))
    finished = stages.run(clock)
    seconds = {"network": time.perf_counter() - began}
    complete, matrix, refinement = finished == len(network.manifest.stages), stages.matrix, "not wanted"
    if request.refine and complete:
        began = time.perf_counter()
        complete, matrix, refinement = _refined(native, pair, matrix, stages.grid, clock)
        seconds["align"] = time.perf_counter() - began
    clock.up("finish", 0.0)
    began = time.perf_counter()
    made = _finished(native, pair, matrix)
    facts = {"stages_run": finished, "refinement": refinement, "window_centre_mm": stages.grid.center_mm}
    last = "align" if refinement == "accepted" else "network" if finished else ""
    return replace(
        made,
        seconds={**seconds, "finish": time.perf_counter() - began},
        degraded=not complete,
        finished=last,
        settings={**made.settings, "rigid": facts},
    )


class Stages:
    """The networks of a bundle on one pair, from a first transform.

    Attributes:
        grid: The window.
        matrix: ``(4, 4)``, fixed to moving points: what has been found so far.
    """

    def __init__(self, network: Network, pair: CheckedPair, start: Float64) -> None:
        manifest = network.manifest
        spec, rigid = manifest.preprocess, manifest.rigid
        assert rigid is not None
        self._network, self.matrix = network, start
        centre_mm = centre_of(pair.fixed, pair.fixed_mask)
        self.grid = pose.window(pair.fixed.grid, spec, centre_mm, rigid.size, rigid.spacing_mm)
        fixed, self._moving = (
            Volume(normalise(scan.as_float32(), spec), scan.grid) for scan in (pair.fixed, pair.moving)
        )
        self._fixed = Rigid(np.eye(4)).warp(fixed, self.grid).data

    def run(self, clock: Clock) -> int:
        """All of them, or as many as there is time for; how many."""
        count = len(self._network.manifest.stages)
        for stage in range(count):
            if clock.up("network", stage / count):
                return stage
            moving = Rigid(self.matrix).warp(self._moving, self.grid).data
            images = pose.scaled_jointly(self._fixed, moving)
            self.matrix = pose.updated(self.matrix, self._network.motion(stage, *images), self.grid)
        return count


def centre_of(scan: Volume, mask: Mask | None) -> Float64:
    """``(3,)``: the middle of what the mask marks, else of the field of view."""
    if mask is None:
        return scan.grid.center_mm
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
    left_ms = clock.left_ms()
    fixed, moving = pair.fixed, pair.moving
    placed = Grid(moving.grid.shape, np.linalg.inv(matrix) @ moving.grid.affine)
    found = native(
        (fixed.grid, placed), *_arrays(pair), None if np.isinf(left_ms) else left_ms, None,
        align="rigid", deform=False,
    )  # fmt: skip
    if found["degraded"]:
        return False, matrix, "no time"
    better = matrix @ found["rigid"]
    apart = pose.moved(better, window.corners_mm) - pose.moved(matrix, window.corners_mm)
    away_mm = float(np.linalg.norm(apart, axis=1).max())
    if away_mm > TRUSTED_MM:
        return True, matrix, f"rejected: it led {away_mm:.1f} mm away"
    return True, better, "accepted"


def _arrays(pair: CheckedPair) -> tuple[Any, Any]:
    """Both scans, and both masks."""
    scans = pair.fixed.as_float32(), pair.moving.as_float32()
    return scans, (pair.fixed_mask, pair.moving_mask)


def _finished(native: Native, pair: CheckedPair, matrix: Float64) -> Registration:
    """The fields, the warped scan and the figures of a rigid transform."""
    grids = pair.fixed.grid, pair.moving.grid
    found = native(grids, *_arrays(pair), None, None, align="none", deform=False, start=matrix)
    transform, grid = Rigid(matrix), pair.fixed.grid
    return Registration(
        warped=Volume(found["warped"], grid, pair.fixed.source),
        transform=transform.to_field(grid),
        inverse=transform.inverse().to_field(pair.moving.grid),
        rigid=transform,
        affine=None,
        deformation=None,
        seconds={},
        quality=quality_of(found),
        degraded=False,
        finished="",
        settings=found["settings"],
    )
