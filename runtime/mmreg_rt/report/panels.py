"""The picture sections of the report: a row per plane of the fixed scan, a column per kind of picture."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..geometry import Volume
from .markup import Html, join, tag
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
from .planes import Plane, planes, sample, sample_vectors

if TYPE_CHECKING:
    from ..results import Registration
    from .input import ReportInput, TruthScore

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Column:
    """A heading, an explanation, the picture of each plane, and optionally a colour scale."""

    title: str
    note: str
    draw: Callable[[Plane], Picture]
    scale: Html | None = None


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


def scans(data: ReportInput, slices: SliceRenderer | None) -> Html:
    """Render the fixed, moving and warped scan, each in its own planes, as far as they exist."""
    volumes = [
        (title, volume)
        for title, volume in (("Fixed", data.fixed), ("Moving, before", data.moving))
        if volume is not None
    ]
    tones = slices.tones if slices is not None else [Tone(volume.data) for _, volume in volumes]
    rows = slices.own_planes if slices is not None else planes(*(volume for _, volume in volumes))
    columns = [
        (title, [(plane, grey(tone(sample(volume.data, volume.grid, plane.points)))) for plane in own])
        for (title, volume), tone, own in zip(volumes, tones, rows, strict=True)
    ]
    if slices is not None:
        columns.append(
            ("Moving, warped onto fixed", [(plane, grey(slices.after(plane))) for plane in slices.planes])
        )
    blocks = [
        tag(
            "div", tag("h3", title), *(_frame(plane, picture) for plane, picture in pictures), class_="column"
        )
        for title, pictures in columns
    ]
    return tag("div", *blocks, class_=f"columns of-{len(blocks)}")


def comparison(slices: SliceRenderer) -> Html:
    """Render checkerboards and outlines of the fixed scan, before and after."""
    columns = (
        Column(
            "Checkerboard before",
            "grey: fixed · paper: moving",
            lambda p: checkerboard(slices.fixed(p), slices.before(p)),
        ),
        Column(
            "Checkerboard after",
            "grey: fixed · paper: warped",
            lambda p: checkerboard(slices.fixed(p), slices.after(p)),
        ),
        Column(
            "Outlines before",
            "fixed outlines on the moving scan",
            lambda p: outlined(slices.before(p), slices.outlines(p)),
        ),
        Column(
            "Outlines after",
            "fixed outlines on the warped scan",
            lambda p: outlined(slices.after(p), slices.outlines(p)),
        ),
    )
    return _table(slices.planes, columns)


def flicker(slices: SliceRenderer) -> Html:
    """Render fixed and warped in one place, chosen by radio buttons without a script."""
    choices = [("flick", "Flicker"), ("one", "Fixed"), ("two", "Warped"), ("zero", "Moving, before")]
    inputs = [
        join(
            tag("input", type="radio", name="flicker", id=f"f-{key}", checked="" if key == "flick" else None),
            tag("label", name, for_=f"f-{key}"),
        )
        for key, name in choices
    ]
    stacks = [
        _frame(
            plane,
            grey(slices.fixed(plane)),
            ("two", grey(slices.after(plane))),
            ("zero", grey(slices.before(plane))),
        )
        for plane in slices.planes
    ]
    return tag("div", *inputs, tag("div", *stacks, class_="stacks"), class_="flicker")


def deformation(slices: SliceRenderer) -> Html:
    """Render the deformed grid, Jacobian determinant, displacement and inverse consistency."""
    result = slices.result
    columns = [
        _grid_column(slices, result),
        _jacobian_column(slices, result),
        _displacement_column(slices, result),
    ]
    if result.inverse is not None:
        columns.append(_consistency_column(slices, result))
    return _table(slices.planes, columns)


def truth(score: TruthScore, slices: SliceRenderer) -> Html:
    """Render the error against the true transform."""
    grid = slices.scans[0].grid
    top = max(1.0, _round_up(float(np.nanpercentile(score.error_mm, 99.5))))
    stacks = [
        _frame(
            plane,
            coloured(
                sample(score.error_mm, grid, plane.points) / top, slices.faint_outlines(plane), SEQUENTIAL
            ),
        )
        for plane in slices.planes
    ]
    scale = _scale(SEQUENTIAL, [0, top / 2, top], "mm of error")
    return tag("div", tag("div", *stacks, class_="stacks"), scale)


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
    return Column("Deformed grid", f"lines every {step:g} mm · {part}", draw)


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
            return coloured(place, bad, DIVERGING, FOLD_COLOUR, strength=1)
        return coloured(place, slices.faint_outlines(plane), DIVERGING)

    ticks = [2.0**power for power in (-span, -span / 2, 0, span / 2, span)]
    note = "change of volume, log scale" + (" · magenta: folds" if folded else "")
    return Column("Jacobian determinant", note, draw, _scale(DIVERGING, ticks, "volume in moving / fixed"))


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
    title: str, note: str, slices: SliceRenderer, values: Callable[[Plane], Array], top: float
) -> Column:
    def draw(plane: Plane) -> Picture:
        return coloured(values(plane) / top, slices.faint_outlines(plane), SEQUENTIAL)

    return Column(title, note, draw, _scale(SEQUENTIAL, [0, top / 2, top], "mm"))


def _table(rows: list[Plane], columns: Any) -> Html:
    blocks = [
        tag(
            "div", tag("h3", column.title), tag("p", column.note, class_="note"),
            *(_frame(plane, column.draw(plane)) for plane in rows), column.scale, class_="column",
        )
        for column in columns
    ]  # fmt: skip
    return tag("div", *blocks, class_=f"columns of-{len(blocks)}")


def _frame(plane: Plane, picture: Picture, *covers: tuple[str, Picture]) -> Html:
    """Render a picture with the sides of the patient at its borders and a scale bar."""
    height, width = picture.indices.shape
    bar_mm = _round_up(0.11 * width * plane.pixel_mm)
    images = [tag("img", src=picture.uri, alt=f"{plane.name} plane", width=width, height=height)]
    images += [tag("img", src=cover.uri, alt="", class_=f"cover {key}") for key, cover in covers]
    sides = [tag("span", letter, class_=f"side {place}") for letter, place in
             ((plane.left, "w"), (plane.right, "e"), (plane.top, "n"), (plane.bottom, "s"))]  # fmt: skip
    bar = tag(
        "span", f"{bar_mm:g} mm", class_="bar", style=f"width:{100 * bar_mm / (width * plane.pixel_mm):.2f}%"
    )
    name = tag("span", plane.name, class_="plane")
    return tag(
        "div",
        *images,
        *sides,
        bar,
        name,
        class_="frame light" if picture.light else "frame",
        style=f"aspect-ratio:{width}/{height}",
    )


def _scale(colours: Any, ticks: list[float], unit: str) -> Html:
    stops = ",".join("rgb({},{},{})".format(*colour) for colour in colours)
    marks = [tag("span", f"{tick:.2g}") for tick in ticks]
    strip = tag("div", class_="strip", style=f"background:linear-gradient(90deg,{stops})")
    return tag(
        "div", strip, tag("div", *marks, class_="ticks"), tag("div", unit, class_="unit"), class_="scale"
    )


def _round_up(value: float) -> float:
    """Round up to 1, 2, 5, 10, 20, ..."""
    if not (math.isfinite(value) and value > 0):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * 0.999)
