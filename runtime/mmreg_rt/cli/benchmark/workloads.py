"""The workload of ``mmreg benchmark``: how a model is loaded, and the cases to time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..options import DEFAULT_SIZES
from .cases import TimedCase, network_alone, planned, registered

if TYPE_CHECKING:
    from ...backends import Session
    from ...network.trust import Runner
    from ...onnx_model.validation import ModelFacts

Size = tuple[int, ...]
CaseFactory = Callable[[], TimedCase]


@dataclass(frozen=True)
class Workload:
    """A model to time. ``load`` loads it; ``cases`` takes the first loaded object and returns the cases."""

    name: str
    way: str  # "plan", "network" or "registration"
    load: Callable[[], Any]
    cases: Callable[[Any], list[CaseFactory]]


def open_workload(
    model: str,
    where: dict[str, Any],
    sizes: tuple[Size, ...] | None,
    pair: tuple[Path, Path] | None,
    pipeline: dict[str, Any],
) -> Workload:
    """Return how to time a bundle, by path or built-in name, or a plain ONNX file.

    Args:
        model: Path, or name of a built-in bundle.
        where: Device, backend, precision, threads and public key, as for ``Registrar``.
        sizes: Grids to time, or None for the default.
        pair: Files of two scans, or None.
        pipeline: Further options of ``Registrar`` for the pair.

    Raises:
        InputError: There is no such bundle.
        BundleError: The bundle cannot be trusted or used.
        UsageError: The sizes or the pair do not fit the model.
    """
    from ...bundle.manifest import FIELDS
    from ...network.trust import open_model
    from ...registrar import Registrar

    path = Path(model)
    if path.suffix.lower() == ".onnx":
        if pair:
            raise click.UsageError("--pair needs a bundle: an ONNX file does not describe its preprocessing.")
        if where["public_key"] is not None:
            raise click.UsageError(
                "--public-key checks the signature of a bundle; an ONNX file is not signed."
            )
        return _file_alone(path, where, sizes)
    opened = open_model(model, where["public_key"])
    manifest = opened.bundle.manifest
    if pair:
        load = partial(Registrar, model, **where, **pipeline)
        return Workload(path.name, "registration", load, lambda _: [partial(registered, load, pair)])
    if manifest.output.kind not in FIELDS:
        chosen = _grids(sizes, _extents(opened.bundle.model(where["precision"]).facts))
        return _network_alone(path.name, opened.proven, where, chosen)
    load = partial(Registrar, model, **where, align="none", refine=False)
    chosen = _grids(sizes, (None,) * manifest.dims)
    return Workload(
        path.name, "plan", load, lambda _: [partial(planned, load, manifest, size) for size in chosen]
    )


def _file_alone(path: Path, where: dict[str, Any], sizes: tuple[Size, ...] | None) -> Workload:
    """Time an ONNX file, which has no golden pair and is tested on images of the smallest size."""
    from ...io.files import check_length, open_regular
    from ...network.trust import prove_file
    from ...onnx_model.validation import LIMITS, check_model

    with open_regular(path) as stream:
        check_length(stream, path, LIMITS.bytes)
        data = stream.read()
    chosen = _grids(sizes, _extents(check_model(data)))

    def proven(runner: Runner) -> bytes:
        prove_file(path.name, data, runner, min(chosen, key=math.prod))
        return data

    return _network_alone(path.name, proven, where, chosen)


def _network_alone(
    name: str, proven: Callable[[Runner], bytes], where: dict[str, Any], sizes: tuple[Size, ...]
) -> Workload:
    from ...backends import choose
    from ...network.trust import Runner

    device, precision, threads = where["device"], where["precision"], where["threads"] or 0
    once = cache(proven)  # so that only the loading of the library is timed

    def load() -> Session:
        backend, _ = choose(device, where["backend"], precision)
        data = once(Runner(backend.name, device, precision, threads))
        return backend.load(data, precision=precision, threads=threads, device=device)

    def cases(first: Session) -> list[CaseFactory]:
        first.close()
        return [partial(network_alone, load, size) for size in sizes]

    return Workload(name, "network", load, cases)


def _extents(facts: ModelFacts) -> tuple[int | None, ...]:
    """Return the extents of the images that a network takes; None for any."""
    axes = facts.inputs[0].dims[2:] if facts.inputs else ()
    if len(axes) not in DEFAULT_SIZES:
        raise click.UsageError("Only networks of slices or of volumes can be timed; this one takes neither.")
    return tuple(n if isinstance(n, int) else None for n in axes)


def _grids(sizes: tuple[Size, ...] | None, extents: tuple[int | None, ...]) -> tuple[Size, ...]:
    """Return the grids to time: those requested, that of the network, or the default."""
    fixed = tuple(extent for extent in extents if extent is not None)
    if sizes is None:
        return (fixed,) if len(fixed) == len(extents) else DEFAULT_SIZES[len(extents)]
    for size in sizes:
        if len(size) != len(extents):
            raise click.UsageError(
                f"The network takes {len(extents)}-D images; {'x'.join(map(str, size))} is {len(size)}-D."
            )
    return sizes
