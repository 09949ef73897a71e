"""``mmreg deploy``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..text.printable import printable
from .options import FILE, FOLDER, json_option, public_key_option, read_key, threads_option
from .terminal import print_json, print_message, print_result

if TYPE_CHECKING:
    from ..deployment import Check

FORMAT = "mmreg-deploy/1"
ENGINES = ("openvino", "onnxruntime")
GRID = "A scan, or a shape with its spacing in mm, such as 160x192x160@1.5 or 160x192x160@1.5x1x1."
NEEDED = ("model", "folder", "fixed_grid", "moving_grid")


@click.command()
@click.argument("model", required=False)
@click.option("-o", "--output", "folder", type=FOLDER, help="Folder to write; it must not exist.")
@click.option("--fixed-grid", help=f"Grid of the fixed images. {GRID}")
@click.option("--moving-grid", help="Largest grid of moving images, likewise.")
@click.option("--engine", type=click.Choice(ENGINES), default="openvino", show_default=True,
              help="Library that runs the network.")  # fmt: skip
@click.option("--precision", type=click.Choice(("fp32", "bf16", "fp16", "int8")), default="fp32",
              show_default=True, help="Inference precision.")  # fmt: skip
@click.option("--cpu", type=click.Choice(("this", "any")), default="this", show_default=True,
              help="CPU of the device: like this one, or any that passes the self-test.")  # fmt: skip
@click.option("--sign", "sign_file", type=FILE,
              help="Sign with the Ed25519 private key in this file, PEM or 32 raw bytes.")  # fmt: skip
@click.option("--check", type=FOLDER, help="Check this folder on this machine instead, and time it.")
@click.option("--runs", type=click.IntRange(1, 1_000_000), default=100, show_default=True,
              help="With --check: number of timed runs.")  # fmt: skip
@public_key_option
@threads_option
@json_option
@click.pass_context
def deploy(
    ctx: click.Context,
    model: str | None,
    folder: Path | None,
    fixed_grid: str | None,
    moving_grid: str | None,
    engine: str,
    precision: str,
    cpu: str,
    sign_file: Path | None,
    check: Path | None,
    runs: int,
    key_file: Path | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Write the network of MODEL, a bundle or the name of a built-in one, as a folder that a device loads.

    The folder is for fixed images of one grid, one library and one precision. libmmreg loads it without
    Python; mmreg deploy --check runs its self-test on the device and prints the times to plan with.
    """
    from ..deployment import check_deployment, grid_of, write_deployment

    if check is not None:
        if given := [name for name in NEEDED if ctx.params[name] is not None]:
            raise click.UsageError(
                f"--check takes a folder alone. Leave out {', '.join(map(_option, given))}."
            )
        done = check_deployment(check, read_key(key_file), runs, threads)
        _print(done, check, "signature not checked", as_json)
        return
    if missing := [name for name in NEEDED if not ctx.params[name]]:
        raise click.UsageError(f"Give {', '.join(map(_option, missing))}, or --check with a folder.")
    assert model is not None
    assert folder is not None
    assert fixed_grid is not None
    assert moving_grid is not None
    written = write_deployment(
        model,
        folder,
        grid_of(fixed_grid),
        grid_of(moving_grid),
        engine=engine,
        precision=precision,
        threads=threads or 0,
        cpu=None if cpu == "this" else cpu,
        public_key=read_key(key_file),
        private_key=read_key(sign_file),
    )
    for warning in written.warnings:
        print_message(f"Warning: {printable(warning)}", err=True)
    _print(written, folder, "not signed", as_json)


def _option(name: str) -> str:
    return {"model": "MODEL", "folder": "-o"}.get(name, f"--{name.replace('_', '-')}")


def _print(done: Check, folder: Path, unsigned: str, as_json: bool) -> None:
    if as_json:
        print_json(_facts(done, folder))
    else:
        print_result("\n".join(_words(done, folder, unsigned)))


def _facts(done: Check, folder: Path) -> dict[str, object]:
    manifest = done.deployment.manifest
    return {
        "format": FORMAT,
        "status": "ok",
        "folder": str(folder),
        "name": manifest.name,
        "version": manifest.version,
        "bundle_sha256": manifest.bundle_sha256,
        "signed": done.deployment.signed,
        "engine": manifest.engine,
        "engine_version": manifest.engine_version,
        "cpu": manifest.cpu,
        "ran": dict(done.ran),
        "threads": done.threads,
        "runs": done.runs,
        "golden_deviation": done.worst_mm,
        "golden_limit": manifest.golden_limit_mm,
        "latency_ms": dict(done.latency_ms),
        "slack_ms": done.slack_ms,
        "expected_ms": manifest.expected_ms,
        "memory_mb": manifest.memory_mb,
        "warnings": list(done.warnings),
    }


def _words(done: Check, folder: Path, unsigned: str) -> list[str]:
    manifest = done.deployment.manifest
    signed = "signed" if done.deployment.signed else unsigned
    times = ", ".join(f"{name} {ms:.1f}" for name, ms in done.latency_ms.items())
    unit = " mm" * (manifest.output != "descriptor")
    return [
        printable(f"{folder}: {manifest.name} {manifest.version}, {signed}"),
        f"  Engine     {manifest.engine} {manifest.engine_version}, {manifest.precision} "
        f"({done.ran['arithmetic']}), {done.threads} thread{'s' * (done.threads > 1)}",
        f"  CPU        {manifest.cpu}",
        f"  Grids      fixed {_by(manifest.fixed_shape)}, network {_by(manifest.network_shape)} voxels",
        f"  Self-test  off by {done.worst_mm:.3g}{unit}; the limit is {manifest.golden_limit_mm:.3g}{unit}",
        f"  Network    {times} ms over {done.runs} runs",
        f"  Memory     {manifest.memory_mb} MB for the network, measured when it was deployed",
        f"  Slack      {done.slack_ms:.1f} ms: a run that the deadline stops ends that much later at most",
    ]


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
