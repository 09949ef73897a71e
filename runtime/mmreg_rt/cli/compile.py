"""``mmreg compile``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import DEFAULT_SIZES, Extents, Sizes, json_option, public_key_option, read_key
from .terminal import is_terminal, print_json, print_message, print_result

if TYPE_CHECKING:
    from ..backends.tensorrt.builder import Built, Profile
    from ..bundle import Bundle
    from ..bundle.manifest import Manifest

BACKENDS = ("tensorrt", "tensorrt-rtx")
FORMAT = "mmreg-compile/1"


@click.command(name="compile")
@click.argument("model")
@click.option("--backend", type=click.Choice(BACKENDS), help="Default: the first that is installed.")
@click.option("--precision", type=click.Choice(("fp32", "fp16", "int8")), default="fp32", show_default=True,
              help="Inference precision.")  # fmt: skip
@click.option(
    "--sizes",
    type=Sizes(),
    help="Grids of scans at the spacing of the network, such as 96x96x96,160x192x160; each is rounded up to "
    "a grid that the network accepts.",
)
@click.option("--device", default="cuda", show_default=True, help="cuda or cuda:N.")
@click.option("--dry-run", is_flag=True,
              help="Build and describe, but keep nothing. TensorRT for RTX needs no GPU.")  # fmt: skip
@public_key_option
@json_option
def compile_(
    model: str,
    backend: str | None,
    precision: str,
    sizes: Extents | None,
    device: str,
    dry_run: bool,
    key_file: Path | None,
    as_json: bool,
) -> None:
    """Build the TensorRT engines of MODEL, a bundle or the name of a built-in one, before they are needed.

    They are kept in $MMREG_CACHE, or in the cache folder of this user, for this GPU, driver and version only.
    Without this command an engine is built when its size is first used, which can take minutes.
    """
    from ..backends.tensorrt.builder import Profile
    from ..network.trust import Runner, open_model

    opened = open_model(model, read_key(key_file))
    manifest = opened.bundle.manifest
    name = backend or _first_installed()
    if not dry_run:
        _check_device(name, device, precision)
    runner, engines = Runner(name, device, precision), []
    for stage, extents in _engines(manifest, sizes):
        _check_size(opened.bundle, precision, stage, extents)
        progress = _ProgressLine(not as_json)
        model_bytes, profile = opened.proven(runner, stage, builds=dry_run), Profile.fixed(extents)
        if dry_run:
            engine = _dry_run(model_bytes, name, precision, profile, progress)
        else:
            engine = _build(model_bytes, name, precision, profile, device, progress)
        progress.close()
        engines.append({"stage": stage, **engine})
        if not as_json:
            print_result(f"{_title(manifest, stage)}{name} {precision} {profile}: {engine['words']}")
    if as_json:
        print_json({"format": FORMAT, "status": "ok", "model": manifest.name, "engines": engines})


def _engines(manifest: Manifest, sizes: Extents | None) -> list[tuple[int, tuple[int, ...]]]:
    """Return the stage and the grid of each engine.

    Networks of rigid motions have one size, their window. Others work on any grid, rounded up as
    ``preprocess.network_grid`` does.
    """
    if manifest.rigid is None:
        multiple = manifest.preprocess.multiple
        requested = sizes or DEFAULT_SIZES[manifest.dims]
        return [(0, tuple(-(-extent // multiple) * multiple for extent in extents)) for extents in requested]
    if sizes:
        raise click.BadParameter(
            f"{manifest.name} finds rigid motions in a window of {'x'.join(map(str, manifest.rigid.size))} "
            "voxels, whatever the size of the scans. Leave out --sizes.",
            param_hint="--sizes",
        )
    return [(stage, tuple(manifest.rigid.size)) for stage in range(len(manifest.stages))]


def _check_size(bundle: Bundle, precision: str, stage: int, extents: tuple[int, ...]) -> None:
    """Raise unless the network may run on the grid; the builder checks the number of dimensions."""
    from ..bundle.network_size import check_grid

    flat = 3 - bundle.manifest.dims
    if len(extents) == bundle.manifest.dims:
        check_grid(
            bundle.manifest, bundle.model(precision, stage).facts, (1,) * flat + extents, on_host=False
        )


def _title(manifest: Manifest, stage: int) -> str:
    count = len(manifest.stages)
    return f"network {stage + 1} of {count}, " if count > 1 else ""


def _dry_run(
    model: bytes, name: str, precision: str, profile: Profile, progress: _ProgressLine
) -> dict[str, object]:
    from ..backends.tensorrt.builder import build

    built = build(name, model, precision, profile, progress)
    return {
        "backend": name,
        "precision": precision,
        "size": str(profile),
        "bytes": len(built.plan),
        "seconds": round(built.seconds, 2),
        "layers": built.layers,
        "multiplying": dict(built.multiplying),
        "fused": len(built.engine_layers),
        "words": _words(built),
    }


def _words(built: Built) -> str:
    kinds = ", ".join(f"{count} in {kind}" for kind, count in sorted(built.multiplying.items()))
    return (
        f"{built.layers} layers ({kinds} that multiply) became {len(built.engine_layers)}, "
        f"{len(built.plan) / 1e6:.1f} MB, built in {built.seconds:.1f} s, not kept"
    )


def _build(
    model: bytes, name: str, precision: str, profile: Profile, device: str, progress: _ProgressLine
) -> dict[str, object]:
    from ..backends.tensorrt.backend import Engines
    from ..backends.tensorrt.engine_cache import EngineCache, default_folder

    cache = EngineCache(default_folder())
    engines = Engines(name, model, precision, device, cache)
    plan, origin = engines.engine(profile, progress)
    words = f"{len(plan) / 1e6:.1f} MB, {origin}"
    return {"backend": name, "precision": precision, "size": str(profile), "bytes": len(plan), "words": words}


def _check_device(name: str, device: str, precision: str) -> None:
    """Raise unless engines can be built for the GPU of this machine."""
    from ..backends.tensorrt.backend import TensorRt
    from ..errors import BackendUnavailableError

    reason = TensorRt(name).unavailable_reason(device, precision)
    if reason is not None:
        raise BackendUnavailableError(
            "MMREG_E_BACKEND",
            f"{name} cannot build for {device}: {reason}. To see whether it accepts the network, add "
            "--dry-run with --backend tensorrt-rtx.",
        )


def _first_installed() -> str:
    from ..backends.tensorrt.builder import library
    from ..errors import BackendUnavailableError

    reasons = []
    for name in BACKENDS:
        try:
            library(name)
        except BackendUnavailableError as error:
            reasons.append(str(error.args[0]))
        else:
            return name
    raise BackendUnavailableError("MMREG_E_BACKEND", " ".join(reasons))


class _ProgressLine:
    """Progress of a build and the time left: one line on a terminal, nothing elsewhere.

    Not ``click.progressbar``, which raises if the terminal has been closed.
    """

    def __init__(self, enabled: bool) -> None:
        self._live, self._since = enabled and is_terminal(sys.stderr), time.perf_counter()

    def __call__(self, phase: str, share: float) -> None:
        if not self._live:
            return
        took = time.perf_counter() - self._since
        left = f", {took * (1 - share) / share:.0f} s left" if share > 0.02 else ""
        print_message(f"\r\x1b[K{phase}: {share:4.0%}, {took:.0f} s{left}", err=True, nl=False)

    def close(self) -> None:
        """Clear the line."""
        if self._live:
            print_message("\r\x1b[K", err=True, nl=False)
