"""``mmreg register``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..backends import NAMES, PRECISIONS
from .options import (
    FILE,
    FOLDER,
    frame_option,
    json_option,
    outside_option,
    prefer_option,
    public_key_option,
    threads_option,
)


@click.command()
@click.argument("fixed", type=FILE)
@click.argument("moving", type=FILE)
@click.option("-o", "--output", type=FOLDER, required=True, help="Folder for the results; made if need be.")
@click.option(
    "--model", help="A bundle: its path, or the name of a built-in one. Without, the solver does it all."
)
@click.option("--device", default="cpu", show_default=True,
              help="cpu, cuda or cuda:N: of the solver and of the model.")  # fmt: skip
@click.option("--align", type=click.Choice(("none", "rigid", "affine")), default="affine", show_default=True,
              help="Linear alignment before the deformation.")  # fmt: skip
@click.option(
    "--same-space/--no-same-space",
    default=True,
    help="The headers of both scans speak of one space; without, alignment starts from what they show.",
)
@click.option("--no-deform", is_flag=True, help="Stop after the alignment.")
@click.option("--refine/--no-refine", default=None,
              help="Let the solver go on from what the model found; by default as the model says: from most "
              "fields, not from a rigid transform.")  # fmt: skip
@click.option(
    "--backend", type=click.Choice(NAMES), help="What runs the model; by default the faster one here."
)
@click.option("--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True,
              help="Of the model.")  # fmt: skip
@public_key_option
@click.option(
    "--labels", type=FILE, help="Label map of the moving scan; writes labels.nii.gz on the fixed grid."
)
@click.option(
    "--points", type=FILE, help="Points of the moving scan, CSV x,y,z in RAS+ mm; writes points.csv."
)
@click.option("--fixed-mask", type=FILE, help="Where the fixed scan counts: not zero.")
@click.option("--moving-mask", type=FILE, help="Where the moving scan counts: not zero.")
@click.option(
    "--deadline-ms", type=click.FloatRange(min=1), help="Return the best finished stage after this time."
)
@frame_option
@click.option("--fixed-frame", type=click.IntRange(min=0), help="In place of --frame, of the fixed scan.")
@click.option("--moving-frame", type=click.IntRange(min=0), help="In place of --frame, of the moving scan.")
@prefer_option
@outside_option
@threads_option
@json_option
@click.pass_context
def register(
    ctx: click.Context, /, output: Path, no_deform: bool, frame: int | None, as_json: bool, **given: Any
) -> None:
    """Bring MOVING onto FIXED.

    Writes warped.nii.gz, transform.nii.gz (where each point of FIXED lies in MOVING: a displacement field
    as ITK and ANTs read it, alignment included), inverse.nii.gz, affine.tfm, result.json and report.html. A
    failed run leaves result.json and report.html with the reason, and nothing else; where results of an
    earlier run lie, these stay and the reason is in failure.json and failure.html.

    Nothing is replaced that an earlier run did not write: result.json lists its files with their hashes.
    """
    if given["key_file"] is not None and given["model"] is None:
        raise click.UsageError("--public-key is the key of a bundle. Give one with --model.")
    from .job import Job, carry_out
    from .outcome import end
    from .progress import Progress

    def registered() -> dict[str, Any]:
        job = Job(deform=not no_deform, **given)
        return carry_out(_with_frames(job, frame), output, Progress(quiet=as_json))

    end(ctx, as_json, output, registered)


def _with_frames(job: Any, frame: int | None) -> Any:
    """``--frame`` stands for both scans, unless one has its own."""
    from dataclasses import replace

    own = {"fixed_frame": job.fixed_frame, "moving_frame": job.moving_frame}
    return replace(job, **{name: frame if chosen is None else chosen for name, chosen in own.items()})
