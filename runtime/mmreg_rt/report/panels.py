"""The picture sections of the report: rows are planes of the fixed scan, columns what is shown in them."""

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
    from .input import Case, TruthScore

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Column:
    """A heading, an explanation, and the picture of each plane; perhaps a scale of colours below."""

    title: str
    note: str
    draw: Callable[[Plane], Picture]
    scale: Html | None = None


class Look:
    """What each scan shows in a plane of the fixed scan; everything is asked for once."""

    def __init__(self, case: Case, result: Registration) -> None:
        assert case.fixed is not None, "a result has a fixed scan"
        assert case.moving is not None, "a result has a moving scan"
        self.scans, self.result = (case.fixed, case.moving), result
        self.own_planes = planes(*self.scans)
        self.planes = self.own_planes[0]
        self.tones = Tone(case.fixed.data), Tone(case.moving.data)
        self._seen: dict[tuple[str, str], Array] = {}

    def _once(self, what: str, plane: Plane, make: Callable[[], Array]) -> Array:
        key = what, plane.name
        if key not in self._seen:
            self._seen[key] = make()
        return self._seen[key]

    def fixed(self, plane: Plane) -> Array:
        """Brightness of the fixed scan."""
        return self._once("fixed", plane, lambda: self._bright(0, self.scans[0], plane))

    def before(self, plane: Plane) -> Array:
        """Brightness of the moving scan where its header puts it."""
        return self._once("before", plane, lambda: self._bright(1, self.scans[1], plane))

    def after(self, plane: Plane) -> Array:
        """Brightness of the warped scan, without what would come from outside the moving scan."""

        def make() -> Array:
            there = self.result.transform.moved(plane.points.reshape(-1, 3))
            seen = self.scans[1].grid.contains(np.nan_to_num(there)).reshape(plane.points.shape[:-1])
            return np.where(seen, self._bright(1, self.result.warped, plane), np.nan)

        return self._once("after", plane, make)

    def outlines(self, plane: Plane) -> Array:
        """Outlines of the fixed scan."""
        return self._once("outlines", plane, lambda: edges(self.fixed(plane)))

    def faint_outlines(self, plane: Plane) -> Array:
        """The strongest outlines alone, to lie over a map."""
        return self._once("faint", plane, lambda: edges(self.fixed(plane), 0.04))

    def _bright(self, tone: int, volume: Volume, plane: Plane) -> Array:
        return self.tones[tone](sample(volume.data, volume.grid, plane.points))


def scans(case: Case, look: Look | None) -> Html:
    """Fixed, moving and warped scan, each in its planes; what exists of them."""
    given = [
        (title, volume)
        for title, volume in (("Fixed", case.fixed), ("Moving, as it came", case.moving))
        if volume is not None
    ]
    tones = look.tones if look is not None else [Tone(volume.data) for _, volume in given]
    rows = look.own_planes if look is not None else planes(*(volume for _, volume in given))
    columns = [
        (title, [(plane, grey(tone(sample(volume.data, volume.grid, plane.points)))) for plane in own])
        for (title, volume), tone, own in zip(given, tones, rows, strict=True)
    ]
    if look is not None:
        columns.append(
            ("Moving, warped onto fixed", [(plane, grey(look.after(plane))) for plane in look.planes])
        )
    done = [
        tag("div", tag("h3", title), *(_frame(plane, shown) for plane, shown in pictures), class_="column")
        for title, pictures in columns
    ]
    return tag("div", *done, class_=f"columns of-{len(done)}")


def comparison(look: Look) -> Html:
    """Checkerboard and outlines of the fixed scan, before and after."""
    columns = (
        Column(
            "Checkerboard before",
            "grey: fixed · paper: moving",
            lambda p: checkerboard(look.fixed(p), look.before(p)),
        ),
        Column(
            "Checkerboard after",
            "grey: fixed · paper: warped",
            lambda p: checkerboard(look.fixed(p), look.after(p)),
        ),
        Column(
            "Outlines before",
            "fixed outlines on the moving scan",
            lambda p: outlined(look.before(p), look.outlines(p)),
        ),
        Column(
            "Outlines after",
            "fixed outlines on the warped scan",
            lambda p: outlined(look.after(p), look.outlines(p)),
        ),
    )
    return _table(look.planes, columns)


def flicker(look: Look) -> Html:
    """Fixed and warped in one place; radio buttons choose, no script needed."""
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
            grey(look.fixed(plane)),
            ("two", grey(look.after(plane))),
            ("zero", grey(look.before(plane))),
        )
        for plane in look.planes
    ]
    return tag("div", *inputs, tag("div", *stacks, class_="stacks"), class_="flicker")


def deformation(look: Look) -> Html:
    """Deformed grid, volume change, displacement and inverse consistency."""
    result = look.result
    columns = [_grid_column(look, result), _jacobian_column(look, result), _displacement_column(look, result)]
    if result.inverse is not None:
        columns.append(_consistency_column(look, result))
    return _table(look.planes, columns)


def truth(score: TruthScore, look: Look) -> Html:
    """Where the result differs from the truth."""
    grid = look.scans[0].grid
    top = max(1.0, _nice(float(np.nanpercentile(score.error_mm, 99.5))))
    stacks = [
        _frame(
            plane,
            coloured(
                sample(score.error_mm, grid, plane.points) / top, look.faint_outlines(plane), SEQUENTIAL
            ),
        )
        for plane in look.planes
    ]
    scale = _scale(SEQUENTIAL, [0, top / 2, top], "mm of error")
    return tag("div", tag("div", *stacks, class_="stacks"), scale)


def _grid_column(look: Look, result: Registration) -> Column:
    field = result.deformation or result.transform
    extent = max(n * s for n, s in zip(field.grid.shape, field.grid.spacing_mm, strict=True))
    step = _nice(extent / 24)

    def draw(plane: Plane) -> Picture:
        moved = plane.points + sample_vectors(field.displacement_mm, field.grid, plane.points)
        relative = moved - plane.points[0, 0]
        lines = grid_lines(relative @ plane.right_mm, relative @ plane.up_mm, step)
        return outlined(0.45 * look.fixed(plane), lines, GRID_COLOUR)

    what = "deformation alone" if result.deformation is not None else "the whole map"
    return Column("Deformed grid", f"lines every {step:g} mm · {what}", draw)


def _jacobian_column(look: Look, result: Registration) -> Column:
    grid = result.transform.grid
    determinant = result.transform.jacobian_determinant(grid).data
    change = np.log2(np.maximum(determinant, 1e-6))
    reach = 1.0 if np.percentile(np.abs(change), 99) <= 1.0 else 2.0
    folded = bool((determinant <= 0).any())

    def draw(plane: Plane) -> Picture:
        place = 0.5 + sample(change, grid, plane.points) / (2 * reach)
        if folded:
            bad = sample((determinant <= 0).astype(np.float32), grid, plane.points) > 0
            return coloured(place, bad, DIVERGING, FOLD_COLOUR, strength=1)
        return coloured(place, look.faint_outlines(plane), DIVERGING)

    ticks = [2.0**power for power in (-reach, -reach / 2, 0, reach / 2, reach)]
    note = "change of volume, log scale" + (" · magenta: folds" if folded else "")
    return Column("Jacobian determinant", note, draw, _scale(DIVERGING, ticks, "volume in moving / fixed"))


def _displacement_column(look: Look, result: Registration) -> Column:
    field = result.deformation or result.transform
    size = np.sqrt((np.asarray(field.displacement_mm, np.float32) ** 2).sum(axis=0))
    top = max(1.0, _nice(float(np.percentile(size, 99.8))))
    note = "deformation alone" if result.deformation is not None else "the whole map"
    return _magnitude_column("Displacement", note, look, lambda p: sample(size, field.grid, p.points), top)


def _consistency_column(look: Look, result: Registration) -> Column:
    forward, back = result.transform, result.inverse
    top = max(0.5, _nice(result.quality.inverse_consistency_p95_mm or 0.0))

    def error(plane: Plane) -> Array:
        there = sample_vectors(forward.displacement_mm, forward.grid, plane.points)
        again = sample_vectors(back.displacement_mm, back.grid, np.nan_to_num(plane.points + there))
        return np.asarray(np.linalg.norm(there + again, axis=-1))

    return _magnitude_column("Inverse consistency", "there and back, where both maps reach", look, error, top)


def _magnitude_column(
    title: str, note: str, look: Look, values: Callable[[Plane], Array], top: float
) -> Column:
    def draw(plane: Plane) -> Picture:
        return coloured(values(plane) / top, look.faint_outlines(plane), SEQUENTIAL)

    return Column(title, note, draw, _scale(SEQUENTIAL, [0, top / 2, top], "mm"))


def _table(rows: list[Plane], columns: Any) -> Html:
    done = [
        tag(
            "div", tag("h3", column.title), tag("p", column.note, class_="note"),
            *(_frame(plane, column.draw(plane)) for plane in rows), column.scale, class_="column",
        )
        for column in columns
    ]  # fmt: skip
    return tag("div", *done, class_=f"columns of-{len(done)}")


def _frame(plane: Plane, picture: Picture, *covers: tuple[str, Picture]) -> Html:
    """A picture with the sides of the patient at its borders and a bar of known length."""
    height, width = picture.indices.shape
    bar_mm = _nice(0.11 * width * plane.pixel_mm)
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


def _nice(value: float) -> float:
    """The nearest of 1, 2, 5, 10, 20, ... above ``value``."""
    if not (math.isfinite(value) and value > 0):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * 0.999)
