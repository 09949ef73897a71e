"""``mmreg demo``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import FILE, FOLDER, json_option, threads_option

if TYPE_CHECKING:
    from ..registration import Registration
    from ..report import TruthScore
    from .job import Score
    from .progress import Progress


@click.command()
@click.option(
    "-o", "--output", type=FOLDER, default="demo", show_default=True, help="Folder for the results."
)
@click.option("--fixed", type=FILE, help="Your own fixed scan, in place of the phantom.")
@click.option("--moving", type=FILE, help="Your own moving scan.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Which phantom.")
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
    """Register a generated head, MR-like and CT-like, whose true transform is known, and score the result.

    The solver gets the two files and nothing else. With --fixed and --moving it registers those instead.
    """
    from .exits import Refusal
    from .job import Failed, Job, carry_out, exit_of, tell
    from .progress import Progress

    if (fixed is None) != (moving is None):
        raise click.UsageError("Give both --fixed and --moving, or neither for the phantom.")
    progress = Progress(quiet=as_json)
    score = None
    if fixed is None or moving is None:
        progress("phantom", 0.0)
        fixed, moving, score = _write_phantom(seed, output, progress)
    try:
        summary = carry_out(Job(fixed, moving, threads=threads), output, progress, score)
    except Failed as failed:
        if ctx.find_root().params["debug"]:
            raise
        raise Refusal(failed.error, as_json, failed.summary) from failed
    click.echo(json.dumps(summary, indent=2) if as_json else "\n".join(tell(summary, output)))
    ctx.exit(exit_of(summary))


def _write_phantom(seed: int, folder: Path, progress: Progress) -> tuple[Path, Path, Score]:
    """The two scans as files, and the function that scores a result against the truth."""
    from .. import io
    from ..phantom import phantom, score
    from .folder import complete

    pair = phantom(seed)
    progress("phantom", 0.7)
    names = "phantom_mr.nii.gz", "phantom_ct.nii.gz"
    with complete(folder) as partial:
        for name, volume in zip(names, (pair.fixed, pair.moving), strict=True):
            io.write(volume, partial / name)
        io.write(pair.fixed_labels, partial / "phantom_mr_labels.nii.gz")
        io.write(pair.moving_labels, partial / "phantom_ct_labels.nii.gz")

    def against_truth(result: Registration) -> TruthScore:
        from ..report import TruthScore

        return TruthScore(**score(pair, result.transform))

    return folder / names[0], folder / names[1], against_truth
