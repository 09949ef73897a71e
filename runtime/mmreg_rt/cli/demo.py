"""``mmreg demo``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import FILE, FOLDER, json_option, threads_option

if TYPE_CHECKING:
    from ..report import TruthScore
    from ..report.summary import Summary
    from ..results import Registration
    from .job import Score
    from .progress import Progress

PHANTOM = "phantom_mr.nii.gz", "phantom_ct.nii.gz", "phantom_mr_labels.nii.gz", "phantom_ct_labels.nii.gz"


@click.command()
@click.option(
    "-o", "--output", type=FOLDER, default="demo", show_default=True, help="Folder for the results."
)
@click.option("--fixed", type=FILE, help="Fixed scan, in place of the phantom.")
@click.option("--moving", type=FILE, help="Moving scan, in place of the phantom.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the phantom.")
@threads_option
@json_option
@click.pass_context
def demo(
    ctx: click.Context,
    output: Path,
    fixed: Path | None,
    moving: Path | None,
    seed: int,
    threads: int | None,
    as_json: bool,
) -> None:
    """Register a generated MR-like and CT-like head whose true transform is known, and score the result.

    The solver sees the two files and nothing else. With --fixed and --moving it registers those instead.
    """
    from .job import Job, run_job
    from .outcome import finish_command
    from .progress import Progress

    if (fixed is None) != (moving is None):
        raise click.UsageError("Give both --fixed and --moving, or neither for the phantom.")
    progress = Progress(quiet=as_json)

    def register() -> Summary:
        if fixed is None or moving is None:
            return _phantom(seed, output, progress, threads)
        return run_job(Job(fixed, moving, threads=threads), output, progress)

    finish_command(ctx, as_json, output, register)


def _phantom(seed: int, folder: Path, progress: Progress, threads: int | None) -> Summary:
    """Write the scans of the phantom into the folder, and register them from there."""
    from .job import Job, register_into
    from .output_folder import ALWAYS, output

    with output(folder, (*ALWAYS, *PHANTOM)) as place:
        progress("phantom", 0.0)
        score = _write_phantom(seed, place.partial, progress)
        fixed, moving = (place.partial / name for name in PHANTOM[:2])
        return register_into(place, Job(fixed, moving, threads=threads), progress, score)


def _write_phantom(seed: int, folder: Path, progress: Progress) -> Score:
    """Write scans and labels, and return the function that scores a result against the truth."""
    from .. import io
    from ..phantom import phantom, score

    pair = phantom(seed)
    progress("phantom", 0.7)
    volumes = pair.fixed, pair.moving, pair.fixed_labels, pair.moving_labels
    for name, volume in zip(PHANTOM, volumes, strict=True):
        io.write_image(volume, folder / name)

    def against_truth(result: Registration) -> TruthScore:
        from ..report import TruthScore

        return TruthScore(**score(pair, result.transform))

    return against_truth
