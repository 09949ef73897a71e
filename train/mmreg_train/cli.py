"""``mmreg train``. Only click is imported until a run begins."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from mmreg_rt.cli.extras import refuse_missing

NEEDED = ("torch", "lightning", "pydantic", "safetensors", "tensorboard", "matplotlib", "tqdm")
PRECISIONS = {"fp32": "32", "bf16": "bf16-mixed", "fp16": "16-mixed"}  # as configurations name them


@click.command()
@click.argument("method")
@click.option(
    "--config", type=click.Path(path_type=Path), help="TOML; by default the one that comes with METHOD."
)
@click.option("--data", help="TOML that describes the data, its folder, or the word shapes.")
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), help="Folder of the run.")
@click.option(
    "--steps",
    type=click.IntRange(1),
    help="Optimiser steps in all; of the last phase, where there are several.",
)
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Stop after this time.")
@click.option("--resume", type=click.Path(file_okay=False, path_type=Path), help="Go on with this run.")
@click.option(
    "--phases-from",
    type=click.Path(path_type=Path),
    help="Run or checkpoint whose weights stand for the phases that the configuration leaves out.",
)
@click.option("--device", type=click.Choice(("cpu", "cuda")), default="cpu", show_default=True)
@click.option(
    "--devices", type=click.IntRange(1), default=1, show_default=True, help="Processes, one a device."
)
@click.option(
    "--precision",
    type=click.Choice((*PRECISIONS, *PRECISIONS.values())),
    metavar="[fp32|bf16|fp16]",
    callback=lambda _context, _parameter, name: PRECISIONS.get(name, name),
    help="Precision of training; default: that of the configuration.",
)
@click.option("--threads", type=click.IntRange(1), help="Of each process; by default as torch chooses.")
@click.option("--seed", type=click.IntRange(0), help="Of the weights and of every sample.")
@click.option("--synth", is_flag=True, help="Synthesise the pairs, from label maps or generated shapes.")
def train(
    method: str, config: Path | None, output: Path | None, resume: Path | None, synth: bool, **asked: Any
) -> None:
    """Train METHOD and leave a run folder: checkpoints, curves, model card, splits.

    It ends after --steps or --minutes, or when told to (SIGTERM, Ctrl-C); a checkpoint is left in any case
    and --resume goes on from it to the last bit. With torchrun it trains on several machines.
    """
    given = config, output, asked["seed"], asked["phases_from"]
    if resume is not None and any(value is not None for value in given):
        raise click.UsageError(
            "--resume takes configuration, seed, weights and folder from the run; leave out the others."
        )
    refuse_missing("Training", NEEDED, "train")
    from .engine.train import Request
    from .engine.train import train as run

    request = Request(
        method=method,
        config=config,
        folder=resume or output or Path("runs") / method,
        resume=resume is not None,
        synth=synth,
        command=("mmreg", *sys.argv[1:]),
        **asked,
    )
    run(request)
