"""What ``mmreg benchmark`` was asked to time: how it is loaded, and the cases that this makes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..options import DEFAULT_SIZES
from .cases import Case, network_alone, planned, registered

if TYPE_CHECKING:
    from ...backends import Session
    from ...network.trust import Runner
    from ...onnx_model.validation import ModelFacts

Size = tuple[int, ...]
MakeCase = Callable[[], Case]


@dataclass(frozen=True)
class Subject:
    """``load`` loads it; ``cases``, which gets what was loaded first and lets go of it, says what to time."""

    name: str
    way: str  # "plan", "network" or "registration"
    load: Callable[[], Any]
    cases: Callable[[Any], list[MakeCase]]


def open_subject(
    model: str,
    where: dict[str, Any],
    sizes: tuple[Size, ...] | None,
    pair: tuple[Path, Path] | None,
    pipeline: dict[str, Any],
) -> Subject:
    """What a bundle, by its path or built-in name, or a plain ONNX file is timed as.

    Args:
        model: As given.
        where: Device, backend, precision and threads, as of ``Registrar``.
        sizes: Asked for, or None.
        pair: Files of two scans, or None.
        pipeline: What ``Registrar`` is to do with those besides.

    Raises:
        InputError: There is no such bundle.
        BundleError: It cannot be trusted or used.
        UsageError: The sizes or the pair are not for this model.
    """
    from ...bundle.manifest import FIELDS
    from ...network.trust import open_model
    from ...registrar import Registrar

    path = Path(model)
    if path.suffix.lower() == ".onnx":
        if pair:
            raise click.UsageError("--pair needs a bundle: an ONNX file does not say what it wants of scans.")
        if where["public_key"] is not None:
            raise click.UsageError("--public-key is the key of a bundle; an ONNX file is not signed.")
        return _file_alone(path, where, sizes)
    opened = open_model(model, where["public_key"])
    manifest = opened.bundle.manifest
    if pair:
        load = partial(Registrar, model, **where, **pipeline)
        return Subject(path.name, "registration", load, lambda _: [partial(registered, load, pair)])
    if manifest.output.kind not in FIELDS:
        chosen = _chosen(sizes, _extents(opened.bundle.model(where["precision"])[1]))
        return _network_alone(path.name, opened.proven, where, chosen)
    load = partial(Registrar, model, **where, align="none", refine=False)
    chosen = _chosen(sizes, (None,) * manifest.dims)
    return Subject(
        path.name, "plan", load, lambda _: [partial(planned, load, manifest, size) for size in chosen]
    )


def _file_alone(path: Path, where: dict[str, Any], sizes: tuple[Size, ...] | None) -> Subject:
    """An ONNX file, which has no golden pair: it is tried on images of the smallest size."""
    from ...io.files import check_length, open_regular
    from ...network.trust import prove_file
    from ...onnx_model.validation import LIMITS, check_model

    with open_regular(path) as stream:
        check_length(stream, path, LIMITS.bytes)
        data = stream.read()
    chosen = _chosen(sizes, _extents(check_model(data)))

    def proven(runner: Runner) -> bytes:
        prove_file(path.name, data, runner, min(chosen, key=math.prod))
        return data

    return _network_alone(path.name, proven, where, chosen)


def _network_alone(
    name: str, proven: Callable[[Runner], bytes], where: dict[str, Any], sizes: tuple[Size, ...]
) -> Subject:
    from ...backends import choose
    from ...network.trust import Runner

    device, precision, threads = where["device"], where["precision"], where["threads"] or 0
    once = cache(proven)  # what is timed is the library's loading

    def load() -> Session:
        backend, _ = choose(device, where["backend"], precision)
        data = once(Runner(backend.name, device, precision, threads))
        return backend.load(data, precision=precision, threads=threads, device=device)

    def cases(first: Session) -> list[MakeCase]:
        first.close()
        return [partial(network_alone, load, size) for size in sizes]

    return Subject(name, "network", load, cases)


def _extents(facts: ModelFacts) -> tuple[int | None, ...]:
    """Of the images that a network takes; None for any."""
    axes = facts.inputs[0].dims[2:] if facts.inputs else ()
    if len(axes) not in DEFAULT_SIZES:
        raise click.UsageError("Networks of slices and of volumes can be timed; this one takes neither.")
    return tuple(n if isinstance(n, int) else None for n in axes)


def _chosen(sizes: tuple[Size, ...] | None, extents: tuple[int | None, ...]) -> tuple[Size, ...]:
    """The grids to time: those asked for, that of the network, or the usual ones."""
    fixed = tuple(extent for extent in extents if extent is not None)
    if sizes is None:
        return (fixed,) if len(fixed) == len(extents) else DEFAULT_SIZES[len(extents)]
    for size in sizes:
        if len(size) != len(extents):
            raise click.UsageError(
                f"The network takes {len(extents)}-D images; {'x'.join(map(str, size))} is {len(size)}-D."
            )
    return sizes
