"""``mmreg register``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..backends import NAMES, PRECISIONS
from ..io.endings import RESULTS
from .options import (
    FILE,
    FOLDER,
    choice_of,
    json_option,
    outside_option,
    public_key_option,
    reading_options_of_pairs,
    threads_option,
)


@click.command()
@click.argument("fixed", type=FILE)
@click.argument("moving", type=FILE)
@click.option(
    "-o", "--output", type=FOLDER, required=True, help="Folder for the results; created if missing."
)
@click.option("--model", help="Path of a bundle, or the name of a built-in one. Default: the native solver.")
@click.option("--device", default="cpu", show_default=True,
              help="Device of solver and model: cpu, cuda or cuda:N.")  # fmt: skip
@click.option("--align", type=click.Choice(("none", "rigid", "affine")), default="affine", show_default=True,
              help="Linear alignment before the deformation.")  # fmt: skip
@click.option(
    "--same-space/--no-same-space",
    default=True,
    show_default=True,
    help="Headers share one coordinate system. Otherwise align by content.",
)
@click.option("--deform/--no-deform", default=True, show_default=True,
              help="Estimate a deformation after the alignment.")  # fmt: skip
@click.option("--refine/--no-refine", default=None,
              help="Refine the output of the model by the solver. Default: as the bundle declares, which is "
              "yes for most fields and no for rigid transforms.")  # fmt: skip
@click.option(
    "--backend", type=click.Choice(NAMES), help="Library that runs the model. Default: the fastest here."
)
@click.option("--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True,
              help="Inference precision.")  # fmt: skip
@public_key_option
@click.option("--modalities", type=(str, str), metavar="FIXED MOVING",
              help="Modalities, such as MR-T1 CT: the model must be made for them.")  # fmt: skip
@click.option("--labels", type=FILE, help="Label map of the moving scan; writes labels on the fixed grid.")
@click.option(
    "--points", type=FILE, help="Points of the moving scan, CSV x,y,z in RAS+ mm; writes points.csv."
)
@click.option("--fixed-mask", type=FILE, help="Binary mask of the fixed scan; zero is ignored.")
@click.option("--moving-mask", type=FILE, help="Binary mask of the moving scan; zero is ignored.")
@click.option(
    "--deadline-ms", type=click.FloatRange(min=1), help="Return the best finished stage after this time."
)
@click.option("--format", type=click.Choice([*(ending[1:] for ending in RESULTS), "dicom"]),
              help="Format of the warped images. Default: that of FIXED.")  # fmt: skip
@reading_options_of_pairs
@outside_option
@threads_option
@json_option
@click.pass_context
def register(ctx: click.Context, /, output: Path, as_json: bool, **options: Any) -> None:
    """Register MOVING to FIXED.

    Writes warped.nii.gz (another format if FIXED has it, see --format), transform.nii.gz (the whole transform
    from FIXED to MOVING, as a displacement field for ITK and ANTs), inverse.nii.gz, affine.tfm, result.json
    and report.html. A failed run writes only result.json and report.html with the reason. In a folder with
    results of an earlier run these stay, and the reason is written to failure.json and failure.html.

    Files that an earlier run did not write are never replaced: result.json lists the files of a run with
    their hashes.
    """
    if options["key_file"] is not None and options["model"] is None:
        raise click.UsageError("--public-key checks the signature of a bundle: name one with --model.")
    from .job import READING, Job, run_job
    from .outcome import finish_command
    from .progress import Progress

    choices: dict[str, Any] = {f"{scan}_choice": choice_of(options, scan) for scan in ("fixed", "moving")}
    job = Job(**{name: value for name, value in options.items() if name not in READING}, **choices)
    finish_command(ctx, as_json, output, lambda: run_job(job, output, Progress(quiet=as_json)))
