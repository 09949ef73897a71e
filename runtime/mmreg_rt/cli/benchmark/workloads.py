"""The workload of ``mmreg benchmark``: how a model is loaded, and the cases to time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import click

from ..options import DEFAULT_SIZES
from .cases import TimedCase, network_alone, planned, registered

if TYPE_CHECKING:
    from ...backends import Session
    from ...network.trust import Runner
    from ...onnx_model.validation import ModelFacts
    from ...options import RegistrarOptions
    from ...registrar import Registrar

Size = tuple[int, ...]
CaseFactory = Callable[[], TimedCase]
Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class Workload(Generic[Loaded]):
    """A model to time, and its cases. ``load`` loads it, and ``close`` releases what was loaded."""

    name: str
    way: str  # "plan", "network" or "registration"
    load: Callable[[], Loaded]
    cases: list[CaseFactory]
    close: Callable[[Loaded], object] = lambda _: None

    def first_load_s(self) -> float:
        """Load once; return the time, of which the import of the library is a part."""
        start = time.perf_counter()
        loaded = self.load()
        seconds = time.perf_counter() - start
        self.close(loaded)
        return seconds


def open_workload(
    model: str, options: RegistrarOptions, sizes: tuple[Size, ...] | None, pair: tuple[Path, Path] | None
) -> Workload[Registrar] | Workload[Session]:
    """Return how to time a bundle, by path or built-in name, or a plain ONNX file.

    Args:
        model: Path, or name of a built-in bundle.
        options: As for ``Registrar``.
        sizes: Grids to time, or None for the default.
        pair: Files of two scans, or None.

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
        if options.public_key is not None:
            raise click.UsageError(
                "--public-key checks the signature of a bundle; an ONNX file is not signed."
            )
        return _file_alone(path, options, sizes)
    opened = open_model(model, options.public_key)
    manifest = opened.bundle.manifest
    if pair:
        load = partial(Registrar, model, options)
        return Workload(path.name, "registration", load, [partial(registered, load, pair)])
    if manifest.output.kind not in FIELDS:
        chosen = _grids(sizes, _extents(opened.bundle.model(options.precision).facts))
        return _network_alone(path.name, opened.proven, options, chosen)
    load = partial(Registrar, model, options, align="none", refine=False)
    chosen = _grids(sizes, (None,) * manifest.dims)
    return Workload(path.name, "plan", load, [partial(planned, load, manifest, size) for size in chosen])


def _file_alone(path: Path, options: RegistrarOptions, sizes: tuple[Size, ...] | None) -> Workload[Session]:
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

    return _network_alone(path.name, proven, options, chosen)


def _network_alone(
    name: str, proven: Callable[[Runner], bytes], options: RegistrarOptions, sizes: tuple[Size, ...]
) -> Workload[Session]:
    from ...backends import choose
    from ...network.trust import Runner

    device, precision, threads = options.device, options.precision, options.threads or 0
    once = cache(proven)  # so that only the loading of the library is timed

    def load() -> Session:
        backend, _ = choose(device, options.backend, precision)
        data = once(Runner(backend.name, device, precision, threads))
        return backend.load(data, precision=precision, threads=threads, device=device)

    cases: list[CaseFactory] = [partial(network_alone, load, size) for size in sizes]
    return Workload(name, "network", load, cases, lambda session: session.close())


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
