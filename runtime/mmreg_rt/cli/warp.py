"""``mmreg warp``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from ..errors import InputError
from ..text.printable import printable
from .options import FILE, choice_of, json_option, outside_option, reading_options
from .outside_warnings import collected
from .terminal import print_json, print_message

if TYPE_CHECKING:
    from ..geometry import Volume
    from ..io.images import Choice
    from ..io.nifti import Form
    from ..transform import Transform
    from ..transform.fields import Interpolation

FORMAT = "mmreg-warp/1"


@dataclass(frozen=True)
class Sampling:
    """How images are sampled: an interpolation, or ``"labels"``; and the value outside of them."""

    interpolation: Interpolation | Literal["labels"]
    outside: float | None


@click.command()
@click.argument("source", type=FILE)
@click.option(
    "-t",
    "--transform",
    "transforms",
    type=FILE,
    multiple=True,
    help="Displacement field or matrix. Of several, the first is applied to fixed points first. Without one, "
    "an image is resampled on the grid of --like.",
)
@click.option("-o", "--output", type=FILE, required=True, help="File to write: .nii.gz, or .csv for points.")
@click.option(
    "--like", type=FILE, help="Image whose grid and header the result gets. Default: those of the transform."
)
@click.option("--inverse", is_flag=True, help="Apply the inverse, from moving to fixed.")
@click.option("--labels", is_flag=True, help="SOURCE is a label map: nearest neighbour, type kept.")
@click.option(
    "--interpolation", type=click.Choice(("linear", "nearest", "cubic")), default="linear", show_default=True
)
@reading_options
@outside_option
@click.option("--overwrite", is_flag=True, help="Replace the output file even if another program wrote it.")
@json_option
def warp(
    source: Path,
    transforms: tuple[Path, ...],
    output: Path,
    like: Path | None,
    inverse: bool,
    labels: bool,
    interpolation: Interpolation,
    outside: float | None,
    overwrite: bool,
    as_json: bool,
    **reading: Any,
) -> None:
    """Apply a transform, from fixed to moving points, to SOURCE.

    An image or label map (.nii, .nii.gz) of the MOVING scan is warped onto the fixed grid: out(p) =
    SOURCE(T(p)). Every image of a series (4-D) is warped, or the one chosen by --frame. Points (.csv, x,y,z
    in RAS+ mm) of the FIXED scan are mapped to the moving scan: T(p). With --inverse, an image of the fixed
    scan is warped onto the moving grid (name it with --like), and points of the moving scan are mapped to the
    fixed one. A warning reports the share that comes from outside.

    A file that another program wrote, or that was changed since, is only replaced with --overwrite.
    """
    from .. import io
    from ..io import endings
    from .outfile import output_file
    from .scans import read_scan

    points = source.name.lower().endswith(endings.POINTS)
    _check_name(output, points)
    if outside is not None and (points or labels):
        raise click.UsageError(
            "--outside applies to images only: label maps are 0 outside, and points have no value."
        )
    if not transforms and (like is None or points):
        raise click.UsageError("Give a transform (-t), or, to resample an image, a grid (--like).")
    choice = choice_of(reading)
    inputs = [source, *transforms, *([] if like is None else [like])]
    with output_file(output, inputs, overwrite) as partial, collected() as warnings:
        reference = None if like is None else read_scan(like, choice)
        transform = _chain(transforms, inverse, reference, choice.prefer)
        if points:
            io.write_points(transform.map_points(io.read_points(source)), partial)
        else:
            sampling = Sampling("labels" if labels else interpolation, outside)
            _write_images(source, partial, transform, reference, sampling, choice)
    if as_json:
        print_json({"format": FORMAT, "status": "ok", "written": str(output), "warnings": warnings})
        return
    print_message(f"Wrote {printable(str(output))}")
    for warning in warnings:
        print_message(f"Warning: {warning}", err=True)


def _check_name(output: Path, points: bool) -> None:
    from ..io.endings import WRITTEN

    suffixes = WRITTEN["points" if points else "image"]
    if not output.name.lower().endswith(suffixes):
        raise InputError(
            "MMREG_E_FORMAT_UNSUPPORTED",
            f"{output}: the name of the output must end in {' or '.join(suffixes)}. Choose another name.",
        )


def _write_images(
    source: Path,
    target: Path,
    transform: Transform,
    reference: Volume | None,
    sampling: Sampling,
    choice: Choice,
) -> None:
    """Warp one image, or all images of a series."""
    import numpy as np

    from .. import io
    from ..io import series
    from .scans import read_scan, read_series

    def warped(volume: Volume) -> Volume:
        if sampling.interpolation == "labels":
            return transform.warp_labels(volume, reference)
        return transform.warp(volume, reference, sampling.interpolation, sampling.outside)

    if choice.frame is not None or not series.is_series(source):
        try:
            io.write_image(warped(read_scan(source, choice)), target)
            return
        except InputError as refusal:
            if refusal.code not in series.NOT_CHOSEN or choice.frame is not None:
                raise
    whole = read_series(source, choice)
    images = map(warped, whole.frames())
    first = next(images)
    out = np.empty((whole.count, *first.data.shape), first.data.dtype)
    out[0] = first.data
    for n, image in enumerate(images, 1):
        out[n] = image.data
    series.write(out, first.grid, whole, target)


def _chain(paths: tuple[Path, ...], inverse: bool, like: Volume | None, prefer: Form | None) -> Transform:
    import numpy as np

    from ..transform import Composite, DisplacementField, Rigid
    from .scans import read_transform

    parts = tuple(read_transform(path, prefer) for path in paths) or (Rigid(np.eye(4)),)
    transform = parts[0] if len(parts) == 1 else Composite(parts)
    if not inverse:
        return transform
    if isinstance(transform, DisplacementField) and like is not None:
        return transform.inverse(like.grid)
    return transform.inverse()
