"""What ``mmreg benchmark`` was asked to time: how it is loaded, and the cases that this makes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import DEFAULT_SIZES
from .timed import Case, network_alone, planned, registered

if TYPE_CHECKING:
    from ..backends import Session

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
    from ..bundle import open_bundle
    from ..manifest import FIELDS
    from ..network import find_bundle
    from ..registrar import Registrar

    path = Path(model)
    if path.suffix.lower() == ".onnx":
        if pair:
            raise click.UsageError("--pair needs a bundle: an ONNX file does not say what it wants of scans.")
        return _network_alone(path.name, path.read_bytes(), where, sizes)
    bundle = open_bundle(find_bundle(model))
    manifest = bundle.manifest
    if pair:
        load = partial(Registrar, model, **where, **pipeline)
        return Subject(path.name, "registration", load, lambda _: [partial(registered, load, pair)])
    if manifest.output.kind not in FIELDS:
        return _network_alone(path.name, bundle.model_bytes(where["precision"]), where, sizes)
    load = partial(Registrar, model, **where, align="none", refine=False)
    chosen = _chosen(sizes, (None,) * manifest.dims)
    return Subject(
        path.name, "plan", load, lambda _: [partial(planned, load, manifest, size) for size in chosen]
    )


def _network_alone(name: str, data: bytes, where: dict[str, Any], sizes: tuple[Size, ...] | None) -> Subject:
    from ..backends import choose

    device, precision = where["device"], where["precision"]

    def load() -> Session:
        backend, _ = choose(device, where["backend"], precision)
        return backend.load(data, precision=precision, threads=where["threads"] or 0, device=device)

    def cases(first: Session) -> list[MakeCase]:
        with closing(first):
            chosen = _chosen(sizes, first.inputs[0].shape[2:])
        return [partial(network_alone, load, size) for size in chosen]

    return Subject(name, "network", load, cases)


def _chosen(sizes: tuple[Size, ...] | None, extents: tuple[int | None, ...]) -> tuple[Size, ...]:
    """The grids to time: those asked for, that of the network, or the usual ones."""
    fixed = tuple(extent for extent in extents if extent is not None)
    if sizes is None:
        return (fixed,) if len(fixed) == len(extents) else DEFAULT_SIZES.get(len(extents), ())
    for size in sizes:
        if len(size) != len(extents):
            raise click.UsageError(
                f"The network takes {len(extents)}-D images; {'x'.join(map(str, size))} is {len(size)}-D."
            )
    return sizes
