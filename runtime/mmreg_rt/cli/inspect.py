"""``mmreg inspect``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import FILE, json_option

if TYPE_CHECKING:
    from ..geometry import Grid, Volume
    from ..transform import Transform


@click.command()
@click.argument("path", type=FILE)
@json_option
def inspect(path: Path, as_json: bool) -> None:
    """Say in words what PATH is: an image, a transform or a list of points.

    Of a transform it says which space it maps to which, with one point worked out.
    """
    from ..report import plain

    facts, words = _explain(path)
    click.echo(json.dumps(plain(facts), indent=2) if as_json else f"{path.name}\n" + "\n".join(words))


def _explain(path: Path) -> tuple[dict[str, Any], list[str]]:
    from .. import io
    from ..errors import InputError, TransformError

    name = path.name.lower()
    if name.endswith(".csv"):
        return _points(io.read_points(path))
    if name.endswith((".tfm", ".txt", ".mat")):
        return _transform(io.read_transform(path))
    try:
        return _image(io.read(path))
    except InputError as not_an_image:
        try:  # a field is a NIfTI file too
            return _transform(io.read_transform(path))
        except (InputError, TransformError):
            raise not_an_image from None


def _grid(grid: Grid) -> tuple[dict[str, Any], list[str]]:
    """Facts in array order; words in the order of the file, x first."""
    from ..report import orientation

    middle = [(n - 1) // 2 for n in grid.shape]
    place = grid.map_indices([middle])[0]
    facts = {
        "shape": grid.shape,
        "spacing_mm": grid.spacing_mm,
        "orientation": orientation(grid),
        "oblique": grid.is_oblique,
        "affine": grid.affine,
    }
    words = [
        f"  Voxels   {_times(grid.shape)} along x, y, z of the file; {grid.dims}-D",
        f"  Spacing  {_times(grid.spacing_mm)} mm",
        f"  Axes     x, y, z run to {', '.join(orientation(grid))}{', obliquely' * grid.is_oblique}",
        f"  Example  the middle of voxel {_point(middle[::-1], 0)} is at {_point(place)} mm in RAS+",
    ]
    return facts, words


def _image(volume: Volume) -> tuple[dict[str, Any], list[str]]:
    import numpy as np

    facts, words = _grid(volume.grid)
    finite = np.isfinite(volume.data)
    low, high = (
        (float(volume.data[finite].min()), float(volume.data[finite].max())) if finite.any() else (None, None)
    )
    wrong = int(volume.data.size - finite.sum())
    facts |= {"kind": "image", "dtype": str(volume.data.dtype), "min": low, "max": high, "not_finite": wrong}
    values = "none finite" if low is None else f"{low:g} to {high:g}"
    words.append(f"  Values   {volume.data.dtype}, {values}" + (f"; {wrong} not finite" if wrong else ""))
    return facts, ["An image.", *words]


def _points(points: Any) -> tuple[dict[str, Any], list[str]]:
    low, high = (points.min(axis=0), points.max(axis=0)) if len(points) else (None, None)
    facts = {"kind": "points", "count": len(points), "min_mm": low, "max_mm": high}
    words = [f"{len(points)} points in RAS+ mm (right, front, head)."]
    if len(points):
        words.append(f"  They lie between {_point(low)} and {_point(high)}.")
    return facts, words


def _transform(transform: Transform) -> tuple[dict[str, Any], list[str]]:
    import numpy as np

    kind = type(transform).__name__
    grid = transform.default_grid()
    start = (
        np.array([[10.0, 20.0, 30.0]])
        if grid is None
        else grid.map_indices([[(n - 1) // 2 for n in grid.shape]])
    )
    there = transform.moved(start)
    facts: dict[str, Any] = {"kind": kind, "maps": "fixed to moving points", "example_fixed_mm": start[0],
                             "example_moving_mm": there[0]}  # fmt: skip
    words = [
        f"A transform ({kind}) that maps points of the FIXED scan to points of the MOVING scan, in RAS+ mm.",
        f"  Example  the fixed point {_point(start[0])} lies at {_point(there[0])} in the moving scan.",
        "  Images   it brings the moving image onto the fixed grid: out(p) = moving(T(p)).",
        "  Points   it takes fixed points to the moving scan; moving points need its inverse.",
    ]
    more, details = _linear(transform) if grid is None else _field(transform, grid)
    return facts | more, words + details


def _field(transform: Transform, grid: Grid) -> tuple[dict[str, Any], list[str]]:
    import numpy as np

    facts, words = _grid(grid)
    size = np.sqrt((transform.to_field(grid).displacement.astype(np.float64) ** 2).sum(axis=0))
    middle, most, largest = np.percentile(size, (50, 95, 100))
    folding = transform.folding(grid)
    facts |= {"displacement_p50_mm": middle, "displacement_p95_mm": most, "displacement_max_mm": largest,
              "folded_voxels": folding.folded_voxels, "min_jacobian": folding.min_jacobian}  # fmt: skip
    words += [
        f"  Size     moves by {middle:.2f} mm (median), {most:.2f} mm (95 %), {largest:.2f} mm (largest)",
        f"  Folding  {folding.folded_voxels} voxels; smallest Jacobian {folding.min_jacobian:.3f}",
    ]
    return facts, words


def _linear(transform: Transform) -> tuple[dict[str, Any], list[str]]:
    import numpy as np

    matrix = getattr(transform, "matrix", None)
    if matrix is None:
        return {}, []
    left, stretch, right = np.linalg.svd(matrix[:3, :3])
    angle = float(np.degrees(np.arccos(np.clip((np.trace(left @ right) - 1) / 2, -1, 1))))
    facts = {"matrix": matrix, "rotation_degrees": angle, "stretch": stretch}
    words = [
        f"  Turns by {angle:.2f} degrees, stretches by {' x '.join(f'{s:.4f}' for s in stretch)}",
        f"  Moves the origin to {_point(matrix[:3, 3])}",
    ]
    return facts, words


def _times(values: Any) -> str:
    return " x ".join(f"{v:.4g}" for v in reversed(values))


def _point(values: Any, digits: int = 1) -> str:
    return "(" + ", ".join(f"{v:.{digits}f}" for v in values) + ")"
