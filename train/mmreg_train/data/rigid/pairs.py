"""Pairs at random rigid starts, for networks that give rigid motions. Each is a pure function of its address.

As Attention-Reg draws them: three angles and three shifts around the truth, all six then scaled together
until the surface of the organ lies off by an amount that is drawn, too.
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
from .augmentation import cut, deformed
from .truth import Truth, truth_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from mmreg_rt.preprocess import PreprocessSpec

    from ...methods import Window
    from ..cases import Case

    Numbers = npt.NDArray[np.float64]

VALIDATION_SEED = 0  # every run of every seed is validated on the same starts
MIRRORED = np.array([-1.0, 1, 1, 1, -1, -1])  # the six numbers of a motion seen in a mirror across x


@dataclass(frozen=True)
class Starts:
    """How starts are drawn, and how pairs are varied: ``[rigid]`` of a configuration.

    Args:
        degrees: Largest angle about each axis, before all is scaled.
        shift_mm: Largest shift along each axis, before all is scaled.
        error_mm: Mean distance of the organ's surface from where it belongs, from and to: uniform.
        turn_degrees: Both scans are shown turned together, by angles up to this about each axis.
        place_mm: The window lies off the organ's centre by up to this along each axis.
        scale: Both scans are shown larger or smaller by up to this share; distances with them.
        mirror: Half of the pairs are shown left for right.
        gamma: Each image's intensities are raised to a power between ``exp`` of minus and plus this.
        crossed: Share of training pairs whose moving scan is of another case than the fixed one: as many
            pairs as the square of the cases, of a rougher truth, see ``of_two_cases``. What a network can
            learn of them is where the organ lies in either scan, and not which scans belong together.
        cut_mm: The moving scan ends earlier on every side, each by up to this and at most a third of its
            extent. Of a few people, where a scan ends says where the organ lies; of others it does not.
        deform_mm: The moving scan is deformed smoothly, by up to this, and the truth follows the organ in it.
        points: Of the surface, in every sample.
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
                "amounts are 0 or more, scale is below 1, crossed at most 1 and points are at least 4."
            )
        if not 0 <= low <= high or (high > 0 and self.degrees + self.shift_mm == 0):
            raise ValueError(
                f"error_mm goes from 0 or more up, and needs degrees or shift_mm; found {self.error_mm}."
            )

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Starts:
        """Of a TOML table.

        Raises:
            InputError: A name is unknown or a value cannot be used.
        """
        if unknown := sorted(set(table) - {field.name for field in fields(cls)}):
            raise InputError(
                CODE,
                f"[rigid] has no {', '.join(unknown)}; it has "
                f"{', '.join(field.name for field in fields(cls))}. Mend the names.",
            )
        try:
            given: dict[str, Any] = {
                name: tuple(of) if isinstance(of, list) else of for name, of in table.items()
            }
            return cls(**given)
        except (TypeError, ValueError) as reason:
            raise InputError(CODE, f"[rigid] cannot be used: {reason} Mend the value.") from reason


@dataclass(frozen=True, eq=False)
class Known:
    """A pair, its intensities as the network knows them, and its truth."""

    fixed: Volume
    moving: Volume
    truth: Truth


@dataclass(frozen=True, eq=False)
class Start:
    """Where a pair is shown from.

    Attributes:
        grid: The window.
        matrix: ``(4, 4)``, fixed to moving points, of the start.
        numbers: What a network should give.
        scale: Millimetres in one of the window's own.
    """

    grid: Grid
    matrix: npt.NDArray[np.float64]
    numbers: Numbers
    scale: float


class RigidPairs:
    """A ``Source`` of pairs with known rigid transforms.

    Args:
        train: Cases with ``fixed_structures`` and ``moving_structures`` beside the scans.
        val: The same, of other people.
        spec: How intensities are brought to [0, 1], and how the window lies.
        window: Of the method.
        starts: How they are drawn.
    """

    def __init__(
        self,
        train: Sequence[Case],
        val: Sequence[Case],
        spec: PreprocessSpec,
        window: Window,
        starts: Starts,
    ) -> None:
        self._parts = {seeding.TRAIN: list(train), seeding.VALIDATION: list(val)}
        self._spec, self._window, self._starts = spec, window, starts
        self._plain = replace(
            starts, turn_degrees=0, place_mm=0, scale=0, mirror=False, gamma=0, cut_mm=0, deform_mm=0
        )
        self.known = cache(self._known)

    def truths(self) -> dict[str, Truth]:
        """That of every case, by name; reads all of them."""
        return {case.name: self.known(part, n).truth for part in self._parts
                for n, case in enumerate(self._parts[part])}  # fmt: skip

    def sample(self, seed: int, step: int, index: int) -> Batch:
        """See ``Source``."""
        draw = seeding.generator(seed, seeding.TRAIN, step, index)
        count = len(self._parts[seeding.TRAIN])
        number = int(draw.integers(count))
        known = self.known(seeding.TRAIN, number)
        if count > 1 and draw.random() < self._starts.crossed:
            other = (number + int(draw.integers(1, count))) % count
            known = of_two_cases(known, self.known(seeding.TRAIN, other))
        return self._shown(known, draw, self._starts)

    def validation(self, count: int) -> Sequence[int]:
        """As many starts as asked for, of one case after the other; nothing is varied but the start."""
        return range(count if self._parts[seeding.VALIDATION] else 0)

    def validation_sample(self, number: int) -> Batch:
        """See ``Source``."""
        draw = seeding.generator(VALIDATION_SEED, seeding.VALIDATION, 0, number)
        case = number % len(self._parts[seeding.VALIDATION])
        return self._shown(self.known(seeding.VALIDATION, case), draw, self._plain)

    def _known(self, part: int, number: int) -> Known:
        case = self._parts[part][number]
        scans = [case.scans[role] for role in ("fixed", "moving")]
        seen = [check_intensities(scan.read(), None, scan.title)[0] for scan in scans]
        normal = [Volume(normalise(scan.as_float32(), self._spec), scan.grid) for scan in seen]
        return Known(normal[0], normal[1], truth_of(case))

    def _shown(self, known: Known, draw: np.random.Generator, starts: Starts) -> Batch:
        surface = spread(known.truth.surface_mm, starts.points)
        known = varied(known, starts, draw, surface)
        start = drawn(known, self._spec, self._window, starts, draw, surface)
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


def of_two_cases(fixed: Known, moving: Known) -> Known:
    """The fixed scan of one pair, the moving scan of another: organ onto organ, turned as in the other pair.

    That takes people to lie alike in scans of the fixed kind.
    """
    matrix = moving.truth.matrix.copy()
    matrix[:3, 3] = moving.truth.moving_centre_mm - matrix[:3, :3] @ fixed.truth.centre_mm
    return Known(fixed.fixed, moving.moving, replace(fixed.truth, matrix=matrix))


def varied(
    known: Known, starts: Starts, draw: np.random.Generator, surface_mm: npt.NDArray[np.float64]
) -> Known:
    """The pair with its moving scan deformed and cut, as ``starts`` say."""
    moving, matrix = known.moving, known.truth.matrix
    if starts.deform_mm > 0:
        moving, change = deformed(moving, rigid_motion.moved(matrix, surface_mm), starts.deform_mm, draw)
        matrix = change @ matrix
    if starts.cut_mm > 0:
        moving = cut(moving, starts.cut_mm, draw)
    return Known(known.fixed, moving, replace(known.truth, matrix=matrix))


def drawn(
    known: Known,
    spec: PreprocessSpec,
    window: Window,
    starts: Starts,
    draw: np.random.Generator,
    surface_mm: npt.NDArray[np.float64],
) -> Start:
    """A start of a pair."""
    scale = float(np.exp(draw.uniform(-1, 1) * np.log1p(starts.scale)))
    centre = known.truth.centre_mm + draw.uniform(-1, 1, 3) * starts.place_mm
    spacing = [scale * step for step in window.spacing_mm]
    grid = window_grid(known.fixed.grid, spec, centre, window.size, spacing)
    grid = _turned(grid, draw.uniform(-1, 1, 3) * starts.turn_degrees)
    to_mm = rigid_motion.frame(grid)
    points = rigid_motion.moved(rigid_motion.inverse(to_mm), surface_mm) / scale
    numbers = numbers_at(points, draw.uniform(*starts.error_mm), starts, draw)
    motion = rigid_motion.matrix_of(numbers)
    motion[:3, 3] *= scale
    matrix = known.truth.matrix @ to_mm @ motion @ rigid_motion.inverse(to_mm)
    return Start(grid, matrix, numbers, scale)


def numbers_at(
    points: npt.NDArray[np.float64], error_mm: float, starts: Starts, draw: np.random.Generator
) -> Numbers:
    """Six numbers drawn and scaled together until they move the points by ``error_mm`` in the mean.

    ``points`` lie where they belong; numbers lead there from the start, so their inverse moves them.
    """
    largest = np.array([starts.shift_mm] * 3 + [starts.degrees] * 3)
    numbers: Numbers = draw.uniform(-1, 1, 6) * largest
    for _ in range(8):  # nearly proportional: each round leaves a few hundredths of the error
        away = rigid_motion.moved(rigid_motion.inverse(rigid_motion.matrix_of(numbers)), points) - points
        found_mm = float(np.linalg.norm(away, axis=1).mean())
        numbers = numbers * (error_mm / max(found_mm, 1e-9))
    return numbers


def spread(points: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    """``count`` of the points, evenly over their list; some twice where there are fewer."""
    chosen: npt.NDArray[np.float64] = points[np.linspace(0, len(points) - 1, count).round().astype(int)]
    return chosen


def _turned(grid: Grid, degrees: npt.NDArray[np.float64]) -> Grid:
    """The grid turned about its middle, by angles about its own axes."""
    to_mm = rigid_motion.frame(grid)
    turn = (
        to_mm @ rigid_motion.matrix_of(np.concatenate([np.zeros(3), degrees])) @ rigid_motion.inverse(to_mm)
    )
    return Grid(grid.shape, turn @ grid.affine)
