"""``mmreg warp``."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import MmregError
from ..text.printable import printable
from .options import FILE, frame_option, json_option, outside_option, prefer_option
from .outside import heard
from .terminal import give_json, say

if TYPE_CHECKING:
    from ..geometry import Volume
    from ..transform import Transform


@dataclass(frozen=True)
class Way:
    """How images are sampled: an interpolation, or ``"labels"``; and the value outside of them."""

    interpolation: Any
    outside: float | None


@click.command()
@click.argument("source", type=FILE)
@click.option(
    "-t",
    "--transform",
    "transforms",
    type=FILE,
    multiple=True,
    help="A displacement field or matrix; of several the first is applied to fixed points first. Without one "
    "an image is only sampled anew, on the grid of --like.",
)
@click.option("-o", "--output", type=FILE, required=True, help="File to write: .nii.gz, or .csv for points.")
@click.option(
    "--like", type=FILE, help="Image whose grid and header the result gets; by default the transform's."
)
@click.option("--inverse", is_flag=True, help="Go the other way, from moving to fixed.")
@click.option("--labels", is_flag=True, help="SOURCE is a label map: nearest label, type kept.")
@click.option(
    "--interpolation", type=click.Choice(("linear", "nearest", "cubic")), default="linear", show_default=True
)
@frame_option
@prefer_option
@outside_option
@click.option("--overwrite", is_flag=True, help="Replace the file -o whoever wrote it.")
@json_option
def warp(
    source: Path,
    transforms: tuple[Path, ...],
    output: Path,
    like: Path | None,
    inverse: bool,
    labels: bool,
    interpolation: Any,
    outside: float | None,
    frame: int | None,
    prefer: Any,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Take SOURCE through a transform of fixed to moving points.

    An image or label map (.nii, .nii.gz) of the MOVING scan comes out on the fixed grid: out(p) =
    SOURCE(T(p)). Of a series (4-D) every image comes out, or the one that --frame names. Points (.csv, x,y,z
    in RAS+ mm) of the FIXED scan come out where they lie in the moving scan: T(p). With --inverse an image of
    the fixed scan comes out on the moving grid (give it as --like), and points of the moving scan in the
    fixed one. A warning says which share comes from outside.

    A file that another program wrote, or that was changed since, is not replaced without --overwrite.
    """
    from .. import io
    from .outfile import output_file
    from .scans import read_scan

    points = source.name.lower().endswith(".csv")
    _check_name(output, points)
    if outside is not None and (points or labels):
        raise click.UsageError("--outside is for images; outside of a label map is 0, and points have none.")
    if not transforms and (like is None or points):
        raise click.UsageError("Give a transform (-t), or for an image --like to sample it on that grid.")
    inputs = [source, *transforms, *([] if like is None else [like])]
    with output_file(output, inputs, overwrite) as partial, heard() as warnings:
        reference = None if like is None else read_scan(like, frame, prefer)
        transform = _chain(transforms, inverse, reference, prefer)
        if points:
            io.write_points(transform.map_points(io.read_points(source)), partial)
        else:
            way = Way("labels" if labels else interpolation, outside)
            _write_images(source, partial, transform, reference, way, frame, prefer)
    if as_json:
        give_json({"status": "ok", "written": str(output), "warnings": warnings})
        return
    say(f"Wrote {printable(str(output))}")
    for warning in warnings:
        say(f"Warning: {warning}", err=True)


def _check_name(output: Path, points: bool) -> None:
    from ..errors import InputError

    suffixes = (".csv",) if points else (".nii.gz", ".nii")
    if not output.name.lower().endswith(suffixes):
        raise InputError(
            "MMREG_E_FORMAT_UNSUPPORTED",
            f"{output}: the name of what is written ends in {' or '.join(suffixes)} here. Choose another "
            "name.",
        )


def _write_images(
    source: Path,
    target: Path,
    transform: Transform,
    reference: Volume | None,
    way: Way,
    frame: int | None,
    prefer: Any,
) -> None:
    """One image, or all of a series, through the transform."""
    import numpy as np

    from .. import io
    from ..io import series
    from .scans import read_scan, read_series

    def moved(volume: Volume) -> Volume:
        if way.interpolation == "labels":
            return transform.warp_labels(volume, reference)
        return transform.warp(volume, reference, way.interpolation, way.outside)

    count = 1
    with suppress(MmregError):  # what is wrong with it is said by who reads it
        count = series.frames_in(source)
    if count == 1 or frame is not None:
        io.write_image(moved(read_scan(source, frame, prefer)), target)
        return
    whole = read_series(source, prefer)
    out: Any = None
    for n, volume in enumerate(whole.frames()):
        one = moved(volume)
        if out is None:
            out, grid = np.empty((count, *one.data.shape), one.data.dtype), one.grid
        out[n] = one.data
    series.write(out, grid, whole.file.header, target)


def _chain(paths: tuple[Path, ...], inverse: bool, reference: Volume | None, prefer: Any) -> Transform:
    import numpy as np

    from ..transform import Composite, DisplacementField, Rigid
    from .scans import read_transform

    parts = tuple(read_transform(path, prefer) for path in paths) or (Rigid(np.eye(4)),)
    transform = parts[0] if len(parts) == 1 else Composite(parts)
    if not inverse:
        return transform
    if isinstance(transform, DisplacementField) and reference is not None:
        return transform.inverse(reference.grid)
    return transform.inverse()
