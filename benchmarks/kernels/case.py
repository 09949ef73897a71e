"""Rows of the kernel benchmark, and their registry."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, int, int]
Floats = NDArray[np.float32]
Native = Callable[[str, int], object]  # (target, threads) -> answer
Library = Callable[[], object]  # runs on the number of threads that `limit_threads` set
Maker = Callable[[], Library]  # raises ImportError where the library is not installed


@dataclass(frozen=True)
class Case:
    """One operation on one kind of input.

    Attributes:
        run: Runs the native operation.
        voxels: Voxels processed.
        bytes: Minimum traffic: every input read once, every output written once.
        check: Returns the largest error of an answer and the allowed error, compared with NumPy, SciPy or the
            twins of the tests, which are always available.
        libraries: The same operation in other libraries, which are optional.
    """

    run: Native
    voxels: int
    bytes: int
    check: Callable[[object], tuple[float, float]]
    libraries: dict[str, Maker] = field(default_factory=dict)


Builder = Callable[[Shape], Case]
CASES: dict[str, Builder] = {}  # "operation" or "operation/variant" -> builder


def case(name: str) -> Callable[[Builder], Builder]:
    """Register a builder; inputs are created only when the row is run."""

    def register(build: Builder) -> Builder:
        CASES[name] = build
        return build

    return register


def needing(module: str, library: Library) -> Maker:
    """Return the maker of a library that imports ``module`` when it runs."""

    def make() -> Library:
        import_module(module)
        return library

    return make


def made(case: Case) -> tuple[dict[str, Library], dict[str, str]]:
    """Return the installed libraries of a row, and why the others are missing."""
    installed: dict[str, Library] = {}
    missing: dict[str, str] = {}
    for name, make in case.libraries.items():
        try:
            installed[name] = make()
        except ImportError as error:
            missing[name] = f"not installed: {error}"
    return installed, missing


def worst(answer: object, expected: object, inner: tuple[slice, ...] = ()) -> float:
    """Return the largest absolute difference, optionally of an inner part."""
    difference = np.abs(np.asarray(answer, np.float64) - np.asarray(expected, np.float64))
    return float(difference[(..., *inner)].max())


def random_image(shape: Shape, channels: int = 1, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).random((channels, *shape), np.float32)


def limit_threads(threads: int) -> None:
    """Set the number of threads of every installed library."""
    with suppress(ImportError):
        import torch

        torch.set_num_threads(threads)
    with suppress(ImportError):
        import SimpleITK

        SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
