"""``mmreg inspect``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..text.printable import printable
from .options import FILE, choice_of, json_option, reading_options

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..errors import MmregError
    from ..geometry import Float64, Grid, Volume
    from ..io.images import Choice
    from ..io.nifti import Form
    from ..transform import Transform

    Description = tuple[Mapping[str, object], list[str], MmregError | None, bool]

FORMAT = "mmreg-inspect/1"


@click.command()
@click.argument("path", type=FILE)
@reading_options
@json_option
@click.pass_context
def inspect(ctx: click.Context, /, path: Path, as_json: bool, **reading: Any) -> None:
    """Describe PATH: an image, a transform or a list of points.

    The description of a transform says which space it maps to which, with one point as an example. A file
    that other commands refuse is described too, with the reason; the exit code is 3 if it is damaged.
    """
    from .exit_codes import INPUT, describe
    from .terminal import is_terminal, print_json, print_message, print_result

    found, words, refusal, whole = _explain(path, choice_of(reading))
    facts: dict[str, object] = {"format": FORMAT, "status": "ok" if whole else "failed", **found}
    if refusal is not None:
        facts["refused"] = {"code": refusal.code, "message": describe(refusal)}
        if not (is_terminal(sys.stdout) and is_terminal(sys.stderr)):  # on a terminal it would appear twice
            words = [*words, f"  Refused  {describe(refusal)}"]
    if as_json:
        print_json(facts)
    else:
        print_result("\n".join([printable(path.name), *words]))
    if refusal is not None:
        print_message(f"Refused by other commands: {describe(refusal)}", err=True)
    ctx.exit(0 if whole else INPUT)


def _explain(path: Path, choice: Choice) -> Description:
    """Return facts, words, why other commands refuse the file, and whether it could be read completely."""
    from .. import io
    from ..errors import TransformError
    from ..io import endings, images

    name = path.name.lower()
    if name.endswith(endings.POINTS):
        return *_points(io.read_points(path)), None, True
    dicom = images.is_dicom(path)
    if name.endswith((*endings.MATRICES, *endings.DIALECTS)) and not path.is_dir():
        try:
            return *_transform_file(path, None), None, True
        except TransformError as refusal:
            if not dicom or refusal.code != "MMREG_E_TRANSFORM_KIND":
                raise
    if not dicom:
        io.supported(path, endings.EVERY, "an image, a transform or a list of points")
    return _scan(path, choice)


def _scan(path: Path, choice: Choice) -> Description:
    from ..errors import InputError, MmregError
    from ..io.described import described
    from ..io.endings import FIELDS
    from ..io.series import NOT_CHOSEN
    from .scans import read_scan

    try:
        try:
            return *_image(read_scan(path, choice)), None, True
        except InputError as refusal:
            if refusal.code in NOT_CHOSEN and choice.frame is None:
                return _series(path, choice, refusal)
            if refusal.code != "MMREG_E_NIFTI_IS_FIELD":
                raise
        return *_transform_file(path, choice.prefer), None, True
    except MmregError as refusal:
        if not path.name.lower().endswith(FIELDS) or path.is_dir():
            raise
        return described(path, refusal)


def _transform_file(path: Path, prefer: Form | None) -> tuple[dict[str, object], list[str]]:
    """Describe a transform, and what the file itself holds before it is converted."""
    from ..io import dialects
    from .scans import read_transform

    facts, words = _transform(read_transform(path, prefer))
    stored = dialects.recognised(path).words
    facts["file"] = stored
    return facts, [*words, f"  File     {stored}"]


def _series(path: Path, choice: Choice, refusal: MmregError) -> Description:
    from .scans import read_series

    series = read_series(path, choice)
    facts, words = _image(next(series.frames()))
    facts |= {"kind": "series", "frames": series.count}
    words[:1] = [f"A series of {series.count} images; the first:"]
    return facts, words, refusal, True


def _grid(grid: Grid) -> tuple[dict[str, object], list[str]]:
    """Return facts in array order, and words in the order of the file, x first."""
    from ..report import orientation

    middle = [(n - 1) // 2 for n in grid.shape]
    place = grid.map_indices([middle])[0]
    facts: dict[str, object] = {
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


def _image(volume: Volume) -> tuple[dict[str, object], list[str]]:
    from ..io.described import value_range

    facts, words = _grid(volume.grid)
    values, line = value_range(volume.data)
    facts |= {"kind": "image", "dtype": str(volume.data.dtype), **values}
    words.append(f"  Values   {volume.data.dtype}, {line}")
    return facts, ["An image.", *words]


def _points(points: Float64) -> tuple[dict[str, object], list[str]]:
    facts: dict[str, object] = {"kind": "points", "count": len(points), "min_mm": None, "max_mm": None}
    words = [f"{len(points)} points in RAS+ mm (right, front, head)."]
    if len(points):
        low, high = points.min(axis=0), points.max(axis=0)
        facts |= {"min_mm": low, "max_mm": high}
        words.append(f"  They lie between {_point(low)} and {_point(high)}.")
    return facts, words


def _transform(transform: Transform) -> tuple[dict[str, object], list[str]]:
    import numpy as np

    kind = type(transform).__name__
    grid = transform.default_grid()
    start = (
        np.array([[10.0, 20.0, 30.0]])
        if grid is None
        else grid.map_indices([[(n - 1) // 2 for n in grid.shape]])
    )
    moved = transform.moved(start)
    facts: dict[str, object] = {"kind": kind, "maps": "fixed to moving points", "example_fixed_mm": start[0],
                             "example_moving_mm": moved[0]}  # fmt: skip
    words = [
        f"A transform ({kind}) that maps points of the FIXED scan to points of the MOVING scan, in RAS+ mm.",
        f"  Example  the fixed point {_point(start[0])} lies at {_point(moved[0])} in the moving scan.",
        "  Images   it warps the moving image onto the fixed grid: out(p) = moving(T(p)).",
        "  Points   it maps fixed points to the moving scan; moving points need its inverse.",
    ]
    more, details = _linear(transform) if grid is None else _field(transform, grid)
    return facts | more, words + details


def _field(transform: Transform, grid: Grid) -> tuple[dict[str, object], list[str]]:
    import numpy as np

    facts, words = _grid(grid)
    size = np.sqrt((transform.to_field(grid).displacement_mm.astype(np.float64) ** 2).sum(axis=0))
    middle, most, largest = np.percentile(size, (50, 95, 100))
    folding = transform.folding(grid)
    facts |= {"displacement_p50_mm": middle, "displacement_p95_mm": most, "displacement_max_mm": largest,
              "folded_voxels": folding.folded_voxels, "min_jacobian": folding.min_jacobian}  # fmt: skip
    words += [
        f"  Length   {middle:.2f} mm (median), {most:.2f} mm (95th percentile), {largest:.2f} mm (largest)",
        f"  Folding  {folding.folded_voxels} voxels; smallest Jacobian {folding.min_jacobian:.3f}",
    ]
    return facts, words


def _linear(transform: Transform) -> tuple[dict[str, object], list[str]]:
    from ..report.tables import rotation_and_stretch

    matrix = getattr(transform, "matrix", None)
    if matrix is None:
        return {}, []
    angle, stretch = rotation_and_stretch(matrix)
    facts: dict[str, object] = {"matrix": matrix, "rotation_degrees": angle, "stretch": stretch}
    words = [
        f"  Turns by {angle:.2f} degrees, stretches by {' x '.join(f'{s:.4f}' for s in stretch)}",
        f"  Moves the origin to {_point(matrix[:3, 3])}",
    ]
    return facts, words


def _times(values: Sequence[float]) -> str:
    return " x ".join(f"{v:.4g}" for v in reversed(values))


def _point(values: Iterable[float], digits: int = 1) -> str:
    return "(" + ", ".join(f"{v:.{digits}f}" for v in values) + ")"
