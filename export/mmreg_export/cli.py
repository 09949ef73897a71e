"""The command ``mmreg export``. Importing this module imports only click."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from mmreg_rt.cli.extras import refuse_missing
from mmreg_rt.cli.options import read_key
from mmreg_rt.errors import InputError

NEEDED = ("torch", "onnx", "onnxscript", "onnxruntime", "safetensors")
PRECISIONS = ("fp32", "fp16", "int8")


@click.command()
@click.argument(
    "checkpoints", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="CHECKPOINT..."
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True,
              help="The bundle, NAME.mmreg.")  # fmt: skip
@click.option("--precision", default="fp32", show_default=True, help="Comma-separated: fp32, fp16, int8.")
@click.option("--half-weights", is_flag=True,
              help="Store the fp32 weights as half floats, for half the file size.")  # fmt: skip
@click.option("--pair", "pairs", type=click.Path(path_type=Path), nargs=2, multiple=True,
              help="FIXED MOVING scans for calibration and comparison; repeatable.")  # fmt: skip
@click.option("--name", help="Name in the manifest; default: the file name.")
@click.option("--version", default="1", show_default=True)
@click.option(
    "--licence", default="LicenseRef-unstated", show_default=True, help="Licence of the weights, SPDX."
)
@click.option("--anatomy", default="any", show_default=True)
@click.option("--spacing-mm", type=float, nargs=2, default=(0.1, 10.0), show_default=True,
              help="Range of spacings of suitable scans.")  # fmt: skip
@click.option("--field-of-view-mm", type=float, nargs=2, default=(1.0, 1000.0), show_default=True)
@click.option("--refine/--no-refine", default=None,
              help="Default for registration with this bundle: whether the solver refines the field of the "
              "network. If neither is given, it does.")  # fmt: skip
@click.option("--sign", "key_file", type=click.Path(path_type=Path),
              help="Sign with the Ed25519 private key in this file, PEM or 32 raw bytes.")  # fmt: skip
@click.option("--threads", type=click.IntRange(1))
def export(
    checkpoints: tuple[Path, ...],
    output: Path,
    precision: str,
    pairs: tuple[tuple[Path, Path], ...],
    **options: Any,
) -> None:
    """Export CHECKPOINT, a file or run folder of `mmreg train`, to a bundle.

    From a run folder the best checkpoint is taken. Several checkpoints are the stages of one rigid method,
    coarsest first: each gets the pair as aligned by the previous one.

    The network is compared with torch on every backend of this machine, in mm of displacement. If a
    difference exceeds its limit, no bundle is written.
    """
    refuse_missing("Export", NEEDED, "train", "export")
    precisions = [word.strip() for word in precision.split(",")]
    if unknown := sorted({*precisions} - {*PRECISIONS}):
        raise InputError(
            "MMREG_E_PRECISION",
            f"--precision accepts {', '.join(PRECISIONS)}; found {', '.join(unknown)}. Remove it; bf16 needs "
            "no separate file.",
        )
    if os.path.lexists(output):  # checked before the export starts
        raise InputError(
            "MMREG_E_OUTPUT",
            f"{output} already exists and is not overwritten. Choose another name for the bundle.",
        )
    _export(checkpoints, output, precisions, pairs, options)


def _export(
    checkpoints: tuple[Path, ...], output: Path, precisions: list[str], pairs: Any, options: dict[str, Any]
) -> None:
    from .calibration import read_pair
    from .load_checkpoint import read_stages
    from .pack import Identity, Request, pack

    trained, *later = read_stages(checkpoints)
    threads, name, half_weights = (options.pop(key) for key in ("threads", "name", "half_weights"))
    private_key = read_key(options.pop("key_file"))
    request = Request(
        trained.method,
        trained.spec,
        Identity(name or output.name.removesuffix(".mmreg"), **options),
        "\n".join(stage.card for stage in (trained, *later)),
        precisions,
        half_weights,
        [
            read_pair(fixed, moving, trained.spec, trained.method.dims, trained.method.window)
            for fixed, moving in pairs
        ],
        threads or 0,
        [stage.method for stage in later],
        private_key,
    )
    pack(request, output, lambda line: click.echo(line, err=True))
