"""``mmreg export``. Only click is imported until it runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from mmreg_rt.cli.extras import refuse_missing
from mmreg_rt.errors import InputError

NEEDED = ("torch", "onnx", "onnxscript", "onnxruntime", "safetensors")
PRECISIONS = ("fp32", "fp16", "int8")


@click.command()
@click.argument(
    "checkpoints", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="CHECKPOINT..."
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True,
              help="The bundle, NAME.mmreg.")  # fmt: skip
@click.option("--precision", default="fp32", show_default=True, help="Of fp32, fp16, int8; commas between.")
@click.option("--half-weights", is_flag=True,
              help="Store the weights of fp32 as half floats: half the size.")  # fmt: skip
@click.option("--pair", "pairs", type=click.Path(path_type=Path), nargs=2, multiple=True,
              help="FIXED MOVING, to calibrate on and to compare with; as often as you like.")  # fmt: skip
@click.option("--name", help="In the manifest; by default that of the file.")
@click.option("--version", default="1", show_default=True)
@click.option("--licence", default="LicenseRef-unstated", show_default=True, help="Of the weights, SPDX.")
@click.option("--anatomy", default="any", show_default=True)
@click.option("--spacing-mm", type=float, nargs=2, default=(0.1, 10.0), show_default=True,
              help="Of scans that it is made for, from and to.")  # fmt: skip
@click.option("--field-of-view-mm", type=float, nargs=2, default=(1.0, 1000.0), show_default=True)
@click.option("--refine/--no-refine", default=None,
              help="What registering with it does by default: the solver goes on from its field, or it does "
              "not. Without this it does.")  # fmt: skip
@click.option("--threads", type=click.IntRange(1))
def export(
    checkpoints: tuple[Path, ...],
    output: Path,
    precision: str,
    pairs: tuple[tuple[Path, Path], ...],
    **given: Any,
) -> None:
    """Make a bundle of CHECKPOINT, a file of `mmreg train` or its run folder (the best checkpoint is taken).

    Several are those of one rigid method, coarse ones first: each sees the pair as the one before leaves it.

    The network is compared with torch on every backend of this machine, in mm of displacement; where a limit
    is passed nothing is written.
    """
    refuse_missing("Export", NEEDED, "train", "export")
    precisions = [word.strip() for word in precision.split(",")]
    if unknown := sorted({*precisions} - {*PRECISIONS}):
        raise InputError(
            "MMREG_E_PRECISION",
            f"Precisions are {', '.join(PRECISIONS)}; found {', '.join(unknown)}. Ask for these; bf16 needs "
            "no file of its own.",
        )
    if os.path.lexists(output):  # before the work; nothing is replaced
        raise InputError(
            "MMREG_E_OUTPUT",
            f"{output} is there already, and stays as it is. Choose another name for the bundle.",
        )
    _export(checkpoints, output, precisions, pairs, given)


def _export(
    checkpoints: tuple[Path, ...], output: Path, precisions: list[str], pairs: Any, given: dict[str, Any]
) -> None:
    from .calibration import read_pair
    from .load_checkpoint import read_stages
    from .pack import Identity, Request, pack

    trained, *later = read_stages(checkpoints)
    threads, name, half_weights = (given.pop(key) for key in ("threads", "name", "half_weights"))
    request = Request(
        trained.method,
        trained.spec,
        Identity(name or output.name.removesuffix(".mmreg"), **given),
        "\n".join(stage.card for stage in (trained, *later)),
        precisions,
        half_weights,
        [
            read_pair(fixed, moving, trained.spec, trained.method.dims, trained.method.window)
            for fixed, moving in pairs
        ],
        threads or 0,
        [stage.method for stage in later],
    )
    pack(request, output, lambda line: click.echo(line, err=True))
