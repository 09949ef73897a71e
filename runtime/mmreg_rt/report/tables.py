"""The tables of the report: the scans, the options, and the direction of the transform."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .input import ReportInput, versions
from .planes import orientation

if TYPE_CHECKING:
    from ..geometry import Float64, Volume
    from ..results import Registration


@dataclass(frozen=True)
class Table:
    """A titled table of names and values."""

    title: str
    rows: list[tuple[str, str]]


def pair_facts(data: ReportInput) -> list[Table]:
    """Return the facts of both scans."""
    return [
        _table("Fixed scan", _scan(data.fixed_name, data.fixed)),
        _table("Moving scan", _scan(data.moving_name, data.moving)),
    ]


def setting_facts(data: ReportInput, result: Registration | None) -> list[Table]:
    """Return the options, the settings derived from the images, and the versions."""
    settings = {} if result is None else dict(flat(result.settings))
    tables = [_table("Options", data.options.items()), _table("Versions", versions().items())]
    if settings:
        tables.insert(1, _table("Derived from the images", settings.items()))
    return tables


def transform_sentence(result: Registration) -> str:
    """Describe which space the transform maps to which, with one point as an example."""
    grid = result.transform.grid
    point = grid.map_indices(np.round((np.array([grid.shape]) - 1) / 2))
    moved = result.transform.moved(point)[0]
    return (
        "The transform maps points of the fixed scan to points of the moving scan, in millimetres to the "
        f"patient's right, front and head (RAS+). The fixed point {_point(point[0])} lies at {_point(moved)} "
        "in the moving scan, so the warped scan shows at the first what the moving scan holds at the second. "
        "The inverse maps points of the moving scan to the fixed scan."
    )


def alignment_facts(result: Registration) -> list[Table]:
    """Return the rotation, shift and stretch of the alignment, if there is one."""
    linear = result.affine or result.rigid
    if linear is None:
        return []
    return [_table("Alignment", _linear(linear.matrix, result.transform.grid.centre_mm))]


def flat(values: Mapping[str, object], prefix: str = "") -> Iterable[tuple[str, object]]:
    """Flatten nested settings to dotted names."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def rotation_and_stretch(matrix: Float64) -> tuple[float, Float64]:
    """Return the angle by which a matrix rotates, degrees, and its factors along its own axes."""
    left, stretch, right = np.linalg.svd(matrix[:3, :3])
    return float(np.degrees(np.arccos(np.clip((np.trace(left @ right) - 1) / 2, -1, 1)))), stretch


def _linear(matrix: Float64, centre_mm: Float64) -> Iterable[tuple[str, str]]:
    angle, stretch = rotation_and_stretch(matrix)
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


def _table(title: str, rows: Iterable[tuple[str, object]]) -> Table:
    return Table(title, [(str(name).replace("_", " "), _value(value)) for name, value in rows])


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(_value(item) for item in value)
    if value is None or isinstance(value, bool):
        return {True: "yes", False: "no", None: "none"}[value]
    return str(value)


def _point(point: Iterable[float]) -> str:
    return "(" + ", ".join(f"{v:.1f}" for v in point) + ")"
