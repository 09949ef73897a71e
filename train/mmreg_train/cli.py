"""The command ``mmreg train``. Importing this module imports only click."""

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
    "--config", type=click.Path(path_type=Path), help="TOML file; default: the one shipped for METHOD."
)
@click.option("--data", help="TOML description of the data, its folder, or 'shapes'.")
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), help="Folder of the run.")
@click.option(
    "--steps",
    type=click.IntRange(1),
    help="Total optimiser steps; with several phases, steps of the last one.",
)
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Stop after this time.")
@click.option("--resume", type=click.Path(file_okay=False, path_type=Path), help="Continue this run.")
@click.option(
    "--phases-from",
    type=click.Path(path_type=Path),
    help="Run or checkpoint that provides the phases the configuration omits.",
)
@click.option("--device", type=click.Choice(("cpu", "cuda")), default="cpu", show_default=True)
@click.option(
    "--devices", type=click.IntRange(1), default=1, show_default=True, help="Processes, one per device."
)
@click.option(
    "--precision",
    type=click.Choice((*PRECISIONS, *PRECISIONS.values())),
    metavar="[fp32|bf16|fp16]",
    callback=lambda _context, _parameter, name: PRECISIONS.get(name, name),
    help="Precision of training; default: that of the configuration.",
)
@click.option("--threads", type=click.IntRange(1), help="Threads per process; default: torch's choice.")
@click.option("--seed", type=click.IntRange(0), help="Seed of the weights and of every sample.")
@click.option("--synth", is_flag=True, help="Synthesise pairs from label maps or generated shapes.")
def train(
    method: str, config: Path | None, output: Path | None, resume: Path | None, synth: bool, **options: Any
) -> None:
    """Train METHOD and write a run folder: checkpoints, curves, model card, splits.

    Training ends after --steps or --minutes, or on SIGTERM or Ctrl-C. It always leaves a checkpoint, from
    which --resume continues bit for bit. Start it with torchrun to train on several machines.
    """
    fixed_by_run = config, output, options["seed"], options["phases_from"]
    if resume is not None and any(value is not None for value in fixed_by_run):
        raise click.UsageError(
            "--resume takes configuration, seed, weights and folder from the run. Remove --config, --output, "
            "--seed and --phases-from."
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
        **options,
    )
    run(request)
