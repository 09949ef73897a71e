"""The picture sections of the report: a row per plane of the fixed scan, a column per kind of picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..geometry import Volume
from .pictures import (
    DIVERGING,
    FOLD_COLOUR,
    GRID_COLOUR,
    SEQUENTIAL,
    Picture,
    Tone,
    checkerboard,
    coloured,
    edges,
    grey,
    grid_lines,
    outlined,
)
from .planes import Array, Plane, planes, sample, sample_vectors

if TYPE_CHECKING:
    from ..results import Registration
    from .input import ReportInput, TruthScore


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture of a plane, with a scale bar, and pictures that can cover it, by their CSS class."""

    plane: Plane
    picture: Picture
    covers: Mapping[str, Picture] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.picture.indices.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.picture.indices.shape[0])

    @property
    def bar_mm(self) -> float:
        """Length of the scale bar, a round number."""
        return _round_up(0.11 * self.width * self.plane.pixel_mm)

    @property
    def bar_percent(self) -> float:
        """Length of the scale bar, in percent of the width."""
        return 100 * self.bar_mm / (self.width * self.plane.pixel_mm)


@dataclass(frozen=True)
class Scale:
    """A colour scale."""

    colours: Sequence[tuple[int, int, int]]
    ticks: Sequence[float]
    unit: str


@dataclass(frozen=True, eq=False)
class Column:
    """A picture of each plane, with a heading, and optionally an explanation and a colour scale."""

    title: str
    frames: list[Frame]
    note: str | None = None
    scale: Scale | None = None


class SliceRenderer:
    """Slices of both scans in the planes of the fixed scan; each is computed once."""

    def __init__(self, data: ReportInput, result: Registration) -> None:
        assert data.fixed is not None, "a result has a fixed scan"
        assert data.moving is not None, "a result has a moving scan"
        self.scans, self.result = (data.fixed, data.moving), result
        self.own_planes = planes(*self.scans)
        self.planes = self.own_planes[0]
        self.tones = Tone(data.fixed.data), Tone(data.moving.data)
        self._cache: dict[tuple[str, str], Array] = {}

    def _cached(self, name: str, plane: Plane, make: Callable[[], Array]) -> Array:
        key = name, plane.name
        if key not in self._cache:
            self._cache[key] = make()
        return self._cache[key]

    def fixed(self, plane: Plane) -> Array:
        """Return the brightness of the fixed scan."""
        return self._cached("fixed", plane, lambda: self._bright(0, self.scans[0], plane))

    def before(self, plane: Plane) -> Array:
        """Return the brightness of the moving scan, placed by its header."""
        return self._cached("before", plane, lambda: self._bright(1, self.scans[1], plane))

    def after(self, plane: Plane) -> Array:
        """Return the brightness of the warped scan; NaN where it comes from outside the moving scan."""

        def make() -> Array:
            moved = self.result.transform.moved(plane.points.reshape(-1, 3))
            inside = self.scans[1].grid.contains(np.nan_to_num(moved)).reshape(plane.points.shape[:-1])
            return np.where(inside, self._bright(1, self.result.warped, plane), np.nan)

        return self._cached("after", plane, make)

    def outlines(self, plane: Plane) -> Array:
        """Return the outlines of the fixed scan."""
        return self._cached("outlines", plane, lambda: edges(self.fixed(plane)))

    def faint_outlines(self, plane: Plane) -> Array:
        """Return only the strongest outlines, to draw over a map."""
        return self._cached("faint", plane, lambda: edges(self.fixed(plane), 0.04))

    def _bright(self, tone: int, volume: Volume, plane: Plane) -> Array:
        return self.tones[tone](sample(volume.data, volume.grid, plane.points))


def scans(data: ReportInput, slices: SliceRenderer | None) -> list[Column]:
    """Draw the fixed, moving and warped scan, each in its own planes, as far as they exist."""
    volumes = [
        (title, volume)
        for title, volume in (("Fixed", data.fixed), ("Moving, before", data.moving))
        if volume is not None
    ]
    tones = slices.tones if slices is not None else [Tone(volume.data) for _, volume in volumes]
    rows = slices.own_planes if slices is not None else planes(*(volume for _, volume in volumes))
    columns = [
        Column(
            title, [Frame(plane, grey(tone(sample(volume.data, volume.grid, plane.points)))) for plane in own]
        )
        for (title, volume), tone, own in zip(volumes, tones, rows, strict=True)
    ]
    if slices is not None:
        columns.append(Column("Moving, warped onto fixed", _frames(slices, lambda p: grey(slices.after(p)))))
    return columns


def comparison(slices: SliceRenderer) -> list[Column]:
    """Draw checkerboards and outlines of the fixed scan, before and after."""
    return [
        Column(
            "Checkerboard before",
            _frames(slices, lambda p: checkerboard(slices.fixed(p), slices.before(p))),
            "grey: fixed · paper: moving",
        ),
        Column(
            "Checkerboard after",
            _frames(slices, lambda p: checkerboard(slices.fixed(p), slices.after(p))),
            "grey: fixed · paper: warped",
        ),
        Column(
            "Outlines before",
            _frames(slices, lambda p: outlined(slices.before(p), slices.outlines(p))),
            "fixed outlines on the moving scan",
        ),
        Column(
            "Outlines after",
            _frames(slices, lambda p: outlined(slices.after(p), slices.outlines(p))),
            "fixed outlines on the warped scan",
        ),
    ]


def flicker(slices: SliceRenderer) -> list[Frame]:
    """Draw the fixed scan, covered by the warped one and by the moving one before registration."""
    return [
        Frame(
            plane,
            grey(slices.fixed(plane)),
            {"two": grey(slices.after(plane)), "zero": grey(slices.before(plane))},
        )
        for plane in slices.planes
    ]


def deformation(slices: SliceRenderer) -> list[Column]:
    """Draw the deformed grid, Jacobian determinant, displacement and inverse consistency."""
    result = slices.result
    columns = [
        _grid_column(slices, result),
        _jacobian_column(slices, result),
        _displacement_column(slices, result),
    ]
    if result.inverse is not None:
        columns.append(_consistency_column(slices, result))
    return columns


def truth(score: TruthScore, slices: SliceRenderer) -> Column:
    """Draw the error against the true transform."""
    grid = slices.scans[0].grid
    top = max(1.0, _round_up(float(np.nanpercentile(score.error_mm, 99.5))))

    def error(plane: Plane) -> Array:
        return sample(score.error_mm, grid, plane.points)

    return _magnitude_column("Error", None, slices, error, top, "mm of error")


def _grid_column(slices: SliceRenderer, result: Registration) -> Column:
    field = result.deformation or result.transform
    extent = max(n * s for n, s in zip(field.grid.shape, field.grid.spacing_mm, strict=True))
    step = _round_up(extent / 24)

    def draw(plane: Plane) -> Picture:
        moved = plane.points + sample_vectors(field.displacement_mm, field.grid, plane.points)
        relative = moved - plane.points[0, 0]
        lines = grid_lines(relative @ plane.right_mm, relative @ plane.up_mm, step)
        return outlined(0.45 * slices.fixed(plane), lines, GRID_COLOUR)

    part = "deformation only" if result.deformation is not None else "whole transform"
    return Column("Deformed grid", _frames(slices, draw), f"lines every {step:g} mm · {part}")


def _jacobian_column(slices: SliceRenderer, result: Registration) -> Column:
    grid = result.transform.grid
    determinant = result.transform.jacobian_determinant(grid).data
    change = np.log2(np.maximum(determinant, 1e-6))
    span = 1.0 if np.percentile(np.abs(change), 99) <= 1.0 else 2.0
    folded = bool((determinant <= 0).any())

    def draw(plane: Plane) -> Picture:
        place = 0.5 + sample(change, grid, plane.points) / (2 * span)
        if folded:
            bad = sample((determinant <= 0).astype(np.float32), grid, plane.points) > 0
            return coloured(place, 1.0 * bad, DIVERGING, FOLD_COLOUR, strength=1)
        return coloured(place, slices.faint_outlines(plane), DIVERGING)

    ticks = [2.0**power for power in (-span, -span / 2, 0, span / 2, span)]
    note = "change of volume, log scale" + (" · magenta: folds" if folded else "")
    scale = Scale(DIVERGING, ticks, "volume in moving / fixed")
    return Column("Jacobian determinant", _frames(slices, draw), note, scale)


def _displacement_column(slices: SliceRenderer, result: Registration) -> Column:
    field = result.deformation or result.transform
    size = np.sqrt((np.asarray(field.displacement_mm, np.float32) ** 2).sum(axis=0))
    top = max(1.0, _round_up(float(np.percentile(size, 99.8))))
    note = "deformation only" if result.deformation is not None else "whole transform"
    return _magnitude_column("Displacement", note, slices, lambda p: sample(size, field.grid, p.points), top)


def _consistency_column(slices: SliceRenderer, result: Registration) -> Column:
    forward, back = result.transform, result.inverse
    top = max(0.5, _round_up(result.quality.inverse_consistency_p95_mm or 0.0))

    def error(plane: Plane) -> Array:
        u = sample_vectors(forward.displacement_mm, forward.grid, plane.points)
        v = sample_vectors(back.displacement_mm, back.grid, np.nan_to_num(plane.points + u))
        return np.asarray(np.linalg.norm(u + v, axis=-1))

    return _magnitude_column(
        "Inverse consistency", "forward, then inverse, where both are defined", slices, error, top
    )


def _magnitude_column(
    title: str,
    note: str | None,
    slices: SliceRenderer,
    values: Callable[[Plane], Array],
    top: float,
    unit: str = "mm",
) -> Column:
    def draw(plane: Plane) -> Picture:
        return coloured(values(plane) / top, slices.faint_outlines(plane), SEQUENTIAL)

    return Column(title, _frames(slices, draw), note, Scale(SEQUENTIAL, [0, top / 2, top], unit))


def _frames(slices: SliceRenderer, draw: Callable[[Plane], Picture]) -> list[Frame]:
    return [Frame(plane, draw(plane)) for plane in slices.planes]


def _round_up(value: float) -> float:
    """Round up to 1, 2, 5, 10, 20, ..."""
    if not (math.isfinite(value) and value > 0):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * 0.999)
