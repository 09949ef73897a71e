"""The tables of the report: the scans, the options, and the direction of the transform."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .input import ReportInput, versions
from .markup import Html, tag
from .planes import orientation

if TYPE_CHECKING:
    from ..geometry import Volume
    from ..results import Registration


def pair_facts(data: ReportInput) -> Html:
    """Render the facts of both scans side by side."""
    return tag(
        "div",
        _facts("Fixed scan", _scan(data.fixed_name, data.fixed)),
        _facts("Moving scan", _scan(data.moving_name, data.moving)),
        class_="facts",
    )


def setting_facts(data: ReportInput, result: Registration | None) -> Html:
    """Render the options, the settings derived from the images, and the versions."""
    settings = {} if result is None else dict(flat(result.settings))
    tables = [_facts("Options", data.options.items()), _facts("Versions", versions().items())]
    if settings:
        tables.insert(1, _facts("Derived from the images", settings.items()))
    return tag("div", *tables, class_="facts")


def transform_in_words(result: Registration) -> Html:
    """Describe which space the transform maps to which, with one point as an example."""
    grid = result.transform.grid
    point = grid.map_indices(np.round((np.array([grid.shape]) - 1) / 2))
    moved = result.transform.moved(point)[0]
    sentence = (
        "The transform maps points of the fixed scan to points of the moving scan, in millimetres to the "
        f"patient's right, front and head (RAS+). The fixed point {_point(point[0])} lies at {_point(moved)} "
        "in the moving scan, so the warped scan shows at the first what the moving scan holds at the second. "
        "The inverse maps points of the moving scan to the fixed scan."
    )
    linear = result.affine or result.rigid
    rows = [] if linear is None else list(_linear(linear.matrix, grid.centre_mm))
    return tag(
        "div", tag("p", sentence), tag("div", _facts("Alignment", rows), class_="facts") if rows else None
    )


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Flatten nested settings to dotted names."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _linear(matrix: Any, centre_mm: Any) -> Iterable[tuple[str, str]]:
    left, stretch, right = np.linalg.svd(matrix[:3, :3])
    angle = np.degrees(np.arccos(np.clip((np.trace(left @ right) - 1) / 2, -1, 1)))
    shift = matrix[:3, :3] @ centre_mm + matrix[:3, 3] - centre_mm
    yield "Rotation", f"{angle:.2f}°"
    yield "Shift of the middle", f"{_point(shift)} mm, {np.linalg.norm(shift):.1f} mm in all"
    yield "Stretch along its own axes", " · ".join(f"{s:.3f}" for s in stretch)


def _scan(name: str, volume: Volume | None) -> Iterable[tuple[str, str]]:
    yield "Name", name
    if volume is None:
        yield "State", "could not be read"
        return
    grid = volume.grid
    yield "Voxels, x · y · z of the file", " · ".join(str(n) for n in reversed(grid.shape))
    yield "Spacing", " · ".join(f"{s:.3g}" for s in reversed(grid.spacing_mm)) + " mm"
    yield "Axes run to", orientation(grid) + (", oblique" if grid.is_oblique else "")
    yield "Stored as", str(volume.data.dtype)
    finite = volume.data[np.isfinite(volume.data)]
    yield "Values", f"{finite.min():g} to {finite.max():g}" if finite.size else "none finite"


def _facts(title: str, rows: Iterable[tuple[str, Any]]) -> Html:
    lines = [
        tag("tr", tag("th", str(name).replace("_", " ")), tag("td", _value(value))) for name, value in rows
    ]
    return tag("div", tag("h3", title), tag("table", tag("tbody", *lines)))


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(_value(item) for item in value)
    return {True: "yes", False: "no", None: "none"}.get(value, str(value)) if _is_flag(value) else str(value)


def _is_flag(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _point(point: Any) -> str:
    return "(" + ", ".join(f"{v:.1f}" for v in point) + ")"
