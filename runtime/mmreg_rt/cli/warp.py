"""``mmreg warp``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import FILE, json_option, outside_option
from .outside import heard

if TYPE_CHECKING:
    from ..geometry import Volume
    from ..transform import Transform


@click.command()
@click.argument("source", type=FILE)
@click.option(
    "-t",
    "--transform",
    "transforms",
    type=FILE,
    required=True,
    multiple=True,
    help="A displacement field or matrix; of several the first is applied to fixed points first.",
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
@outside_option
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
    as_json: bool,
) -> None:
    """Take SOURCE through a transform of fixed to moving points.

    An image or label map (.nii, .nii.gz) of the MOVING scan comes out on the fixed grid: out(p) =
    SOURCE(T(p)). Points (.csv, x,y,z in RAS+ mm) of the FIXED scan come out where they lie in the moving
    scan: T(p). With --inverse an image of the fixed scan comes out on the moving grid (give it as --like),
    and points of the moving scan in the fixed one. What comes from outside is told, with its share.
    """
    from .. import io

    points = source.name.lower().endswith(".csv")
    if outside is not None and (points or labels):
        raise click.UsageError("--outside is for images; outside of a label map is 0, and points have none.")
    with heard() as warnings:
        reference = io.read(like) if like is not None else None
        transform = _chain(transforms, inverse, reference)
        if points:
            io.write_points(transform.map_points(io.read_points(source)), output)
        elif labels:
            io.write(transform.warp_labels(io.read(source), reference), output)
        else:
            io.write(transform.warp(io.read(source), reference, interpolation, outside), output)
    if as_json:
        click.echo(json.dumps({"status": "ok", "written": str(output), "warnings": warnings}))
        return
    click.echo(f"Wrote {output}")
    for warning in warnings:
        click.echo(f"Warning: {warning}", err=True)


def _chain(paths: tuple[Path, ...], inverse: bool, reference: Volume | None) -> Transform:
    from .. import io
    from ..transform import Composite, DisplacementField

    parts = tuple(io.read_transform(path) for path in paths)
    transform = parts[0] if len(parts) == 1 else Composite(parts)
    if not inverse:
        return transform
    if isinstance(transform, DisplacementField) and reference is not None:
        return transform.inverse(reference.grid)
    return transform.inverse()
