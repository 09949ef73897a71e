"""Pairs at random rigid starts, for networks that output rigid motions. Each is a function of its address.

Starts are drawn as in Attention-Reg: three angles and three shifts around the truth, then all six are scaled
together until the surface of the organ is off by a random distance.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mmreg_rt.errors import InputError
from mmreg_rt.geometry import Grid, Volume, rigid_motion
from mmreg_rt.input_validation import check_intensities
from mmreg_rt.preprocess import normalise
from mmreg_rt.preprocess.window import scale_jointly, window_grid
from mmreg_rt.transform import Rigid

from ...config.training import CODE
from ...methods import Batch
from .. import seeding
from .augmentation import blank_borders, deform
from .truth import Truth, truth_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from mmreg_rt.preprocess import PreprocessSpec

    from ...methods import Window
    from ..cases import Case

    Numbers = npt.NDArray[np.float64]

VALIDATION_SEED = 0  # every run of every seed is validated on the same starts
MIRRORED = np.array([-1.0, 1, 1, 1, -1, -1])  # signs of the six numbers after mirroring across x


@dataclass(frozen=True)
class StartSampling:
    """How starts are drawn and pairs augmented: the table ``[rigid]`` of a configuration.

    Attributes:
        degrees: Largest angle about each axis, before scaling.
        shift_mm: Largest shift along each axis, before scaling.
        error_mm: Range of the mean distance of the organ surface from its true place; uniform.
        turn_degrees: Both scans are rotated together, by angles up to this about each axis.
        place_mm: Offset of the window from the centre of the organ, up to this along each axis.
        scale: Both scans, and all distances, are enlarged or shrunk by up to this fraction.
        mirror: Mirror left and right in half of the pairs.
        gamma: Intensities of each image are raised to a power between ``exp(-gamma)`` and ``exp(gamma)``.
        crossed: Share of training pairs whose moving scan comes from another case. This squares the number
            of pairs, with a less accurate truth, see ``cross_pairs``. From these a network learns where the
            organ lies in each scan, and not which scans belong together.
        cut_mm: The moving scan is blanked at every side, by up to this and at most a third of its extent.
            With few people, the end of a scan predicts the position of the organ; with others it does not.
        deform_mm: The moving scan is deformed smoothly, by up to this; the truth follows the organ in it.
        points: Number of surface points in every sample.
    """

    degrees: float = 5.0
    shift_mm: float = 6.0
    error_mm: tuple[float, float] = (0.0, 20.0)
    turn_degrees: float = 0.0
    place_mm: float = 0.0
    scale: float = 0.0
    mirror: bool = False
    gamma: float = 0.0
    crossed: float = 0.0
    cut_mm: float = 0.0
    deform_mm: float = 0.0
    points: int = 512

    def __post_init__(self) -> None:
        low, high = self.error_mm
        amounts = [self.degrees, self.shift_mm, self.turn_degrees, self.place_mm, self.gamma]
        amounts += [self.cut_mm, self.deform_mm]
        shares = 0 <= self.scale < 1 and 0 <= self.crossed <= 1
        if min(amounts) < 0 or not shares or self.points < 4:
            raise ValueError(
                "amounts must be 0 or more, scale below 1, crossed at most 1 and points at least 4."
            )
        if not 0 <= low <= high or (high > 0 and self.degrees + self.shift_mm == 0):
            raise ValueError(
                f"error_mm is [min, max] from 0 up, and needs degrees or shift_mm; found {self.error_mm}."
            )

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> StartSampling:
        """Create the settings from a TOML table.

        Raises:
            InputError: A name is unknown or a value invalid.
        """
        if unknown := sorted(set(table) - {field.name for field in fields(cls)}):
            raise InputError(
                CODE,
                f"[rigid] has no {', '.join(unknown)}; it has "
                f"{', '.join(field.name for field in fields(cls))}. Correct the names.",
            )
        try:
            values: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value for name, value in table.items()
            }
            return cls(**values)
        except (TypeError, ValueError) as reason:
            raise InputError(CODE, f"[rigid] cannot be used: {reason} Correct the value.") from reason


@dataclass(frozen=True, eq=False)
class KnownPair:
    """A pair with normalised intensities, and its true motion."""

    fixed: Volume
    moving: Volume
    truth: Truth


@dataclass(frozen=True, eq=False)
class Start:
    """The window and motion at which a pair is shown.

    Attributes:
        grid: The window.
        matrix: ``(4, 4)``, fixed to moving points at the start, RAS+ mm.
        numbers: The six numbers that a network should output.
        scale: Millimetres per window millimetre.
    """

    grid: Grid
    matrix: npt.NDArray[np.float64]
    numbers: Numbers
    scale: float


class RigidPairs:
    """A ``Source`` of pairs with known rigid transforms.

    Args:
        train: Cases with ``fixed_structures`` and ``moving_structures`` beside the scans.
        val: The same for the validation people.
        spec: Normalisation of intensities, and orientation of the window.
        window: The window of the method.
        starts: How starts are drawn.
    """

    def __init__(
        self,
        train: Sequence[Case],
        val: Sequence[Case],
        spec: PreprocessSpec,
        window: Window,
        starts: StartSampling,
    ) -> None:
        self._parts = {seeding.TRAIN: list(train), seeding.VALIDATION: list(val)}
        self._spec, self._window, self._starts = spec, window, starts
        self._plain = replace(
            starts, turn_degrees=0, place_mm=0, scale=0, mirror=False, gamma=0, cut_mm=0, deform_mm=0
        )
        self.known = cache(self._known)

    def truths(self) -> dict[str, Truth]:
        """Return the truth of every case by name; reads all cases."""
        return {case.name: self.known(part, n).truth for part in self._parts
                for n, case in enumerate(self._parts[part])}  # fmt: skip

    def sample(self, seed: int, step: int, index: int) -> Batch:
        """Return training sample ``index`` of ``step``, see ``Source``."""
        draw = seeding.generator(seed, seeding.TRAIN, step, index)
        count = len(self._parts[seeding.TRAIN])
        number = int(draw.integers(count))
        known = self.known(seeding.TRAIN, number)
        if count > 1 and draw.random() < self._starts.crossed:
            other = (number + int(draw.integers(1, count))) % count
            known = cross_pairs(known, self.known(seeding.TRAIN, other))
        return self._show(known, draw, self._starts)

    def validation(self, count: int) -> Sequence[int]:
        """Return ``range(count)``, or an empty range without cases; only the start is varied."""
        return range(count if self._parts[seeding.VALIDATION] else 0)

    def validation_sample(self, number: int) -> Batch:
        """Return a validation sample; the cases take turns."""
        draw = seeding.generator(VALIDATION_SEED, seeding.VALIDATION, 0, number)
        case = number % len(self._parts[seeding.VALIDATION])
        return self._show(self.known(seeding.VALIDATION, case), draw, self._plain)

    def _known(self, part: int, number: int) -> KnownPair:
        case = self._parts[part][number]
        scans = [case.scans[role] for role in ("fixed", "moving")]
        seen = [check_intensities(scan.read(), None, scan.title)[0] for scan in scans]
        normal = [Volume(normalise(scan.as_float32(), self._spec), scan.grid) for scan in seen]
        return KnownPair(normal[0], normal[1], truth_of(case))

    def _show(self, known: KnownPair, draw: np.random.Generator, starts: StartSampling) -> Batch:
        surface = subsample(known.truth.surface_mm, starts.points)
        known = vary(known, starts, draw, surface)
        start = draw_start(known, self._spec, self._window, starts, draw, surface)
        images = [
            Rigid(matrix).warp(volume, start.grid, outside=0).data
            for matrix, volume in ((np.eye(4), known.fixed), (start.matrix, known.moving))
        ]
        images = [image ** np.float32(np.exp(draw.uniform(-starts.gamma, starts.gamma))) for image in images]
        images = list(scale_jointly(images[0], images[1]))
        numbers = start.numbers
        to_window = rigid_motion.inverse(rigid_motion.frame(start.grid))
        on_fixed = rigid_motion.moved(to_window, surface) / start.scale
        as_shown = rigid_motion.moved(rigid_motion.inverse(rigid_motion.matrix_of(numbers)), on_fixed)
        if starts.mirror and draw.random() < 0.5:
            images = [np.ascontiguousarray(image[:, :, ::-1]) for image in images]
            numbers, as_shown = numbers * MIRRORED, as_shown * (-1, 1, 1)
        fixed, moving = (torch.from_numpy(image)[None, None] for image in images)
        rigid, points = (torch.from_numpy(each).float()[None] for each in (numbers, as_shown))
        return Batch(fixed, moving, rigid=rigid, surface=points)


def cross_pairs(fixed: KnownPair, moving: KnownPair) -> KnownPair:
    """Combine the fixed scan of one pair with the moving scan of another.

    The organs are centred on each other and rotated as in the other pair. This assumes that people lie alike
    in scans of the fixed kind.
    """
    matrix = moving.truth.matrix.copy()
    matrix[:3, 3] = moving.truth.moving_centre_mm - matrix[:3, :3] @ fixed.truth.centre_mm
    return KnownPair(fixed.fixed, moving.moving, replace(fixed.truth, matrix=matrix))


def vary(
    known: KnownPair, starts: StartSampling, draw: np.random.Generator, surface_mm: npt.NDArray[np.float64]
) -> KnownPair:
    """Deform and blank the moving scan of a pair, as ``starts`` says."""
    moving, matrix = known.moving, known.truth.matrix
    if starts.deform_mm > 0:
        moving, change = deform(moving, rigid_motion.moved(matrix, surface_mm), starts.deform_mm, draw)
        matrix = change @ matrix
    if starts.cut_mm > 0:
        moving = blank_borders(moving, starts.cut_mm, draw)
    return KnownPair(known.fixed, moving, replace(known.truth, matrix=matrix))


def draw_start(
    known: KnownPair,
    spec: PreprocessSpec,
    window: Window,
    starts: StartSampling,
    draw: np.random.Generator,
    surface_mm: npt.NDArray[np.float64],
) -> Start:
    """Draw a start of a pair.

    Args:
        known: The pair.
        spec: Orientation of the window.
        window: Size and spacing of the window.
        starts: How starts are drawn.
        draw: Source of all random numbers.
        surface_mm: Points of the organ in the fixed scan, ``(N, 3)`` RAS+ mm.
    """
    scale = float(np.exp(draw.uniform(-1, 1) * np.log1p(starts.scale)))
    centre = known.truth.centre_mm + draw.uniform(-1, 1, 3) * starts.place_mm
    spacing = [scale * step for step in window.spacing_mm]
    grid = window_grid(known.fixed.grid, spec, centre, window.size, spacing)
    grid = _rotate(grid, draw.uniform(-1, 1, 3) * starts.turn_degrees)
    to_mm = rigid_motion.frame(grid)
    points = rigid_motion.moved(rigid_motion.inverse(to_mm), surface_mm) / scale
    numbers = draw_numbers(points, draw.uniform(*starts.error_mm), starts, draw)
    motion = rigid_motion.matrix_of(numbers)
    motion[:3, 3] *= scale
    matrix = known.truth.matrix @ to_mm @ motion @ rigid_motion.inverse(to_mm)
    return Start(grid, matrix, numbers, scale)


def draw_numbers(
    points: npt.NDArray[np.float64], error_mm: float, starts: StartSampling, draw: np.random.Generator
) -> Numbers:
    """Draw six numbers and scale them until they move the points by ``error_mm`` on average.

    Args:
        points: ``(N, 3)`` at their true places, mm. The numbers describe the motion from the start to the
            truth, so the inverse motion is applied to the points.
        error_mm: Mean distance after scaling.
        starts: Largest shifts and angles before scaling.
        draw: Source of all random numbers.
    """
    largest = np.array([starts.shift_mm] * 3 + [starts.degrees] * 3)
    numbers: Numbers = draw.uniform(-1, 1, 6) * largest
    for _ in range(8):  # nearly linear: each round leaves a few hundredths of the error
        away = rigid_motion.moved(rigid_motion.inverse(rigid_motion.matrix_of(numbers)), points) - points
        moved_mm = float(np.linalg.norm(away, axis=1).mean())
        numbers = numbers * (error_mm / max(moved_mm, 1e-9))
    return numbers


def subsample(points: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    """Return ``count`` points spaced evenly along their list; repeats points if there are fewer."""
    chosen: npt.NDArray[np.float64] = points[np.linspace(0, len(points) - 1, count).round().astype(int)]
    return chosen


def _rotate(grid: Grid, degrees: npt.NDArray[np.float64]) -> Grid:
    """Rotate the grid about its middle, by angles about its own axes."""
    to_mm = rigid_motion.frame(grid)
    turn = (
        to_mm @ rigid_motion.matrix_of(np.concatenate([np.zeros(3), degrees])) @ rigid_motion.inverse(to_mm)
    )
    return Grid(grid.shape, turn @ grid.affine)
