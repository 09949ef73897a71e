"""What a row of the kernel benchmark is, and the registry of rows."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, int, int]
Floats = NDArray[np.float32]
Native = Callable[[str, int], object]  # (target, threads) -> answer
Library = Callable[[], object]  # runs on the number of threads that `limit_threads` set


@dataclass(frozen=True)
class Case:
    """One operation on one kind of input.

    ``bytes`` is what must move at least: every input read once, every output written once. ``check`` gives
    the greatest error of an answer and the error that is allowed.
    """

    run: Native
    voxels: int
    bytes: int
    check: Callable[[object], tuple[float, float]]
    libraries: dict[str, Library] = field(default_factory=dict)


Builder = Callable[[Shape], Case]
CASES: dict[str, Builder] = {}  # "operation" or "operation/variant" -> builder


def case(name: str) -> Callable[[Builder], Builder]:
    """Registers a builder; the inputs are made only when the row is run."""

    def register(build: Builder) -> Builder:
        CASES[name] = build
        return build

    return register


def worst(found: object, expected: object, inner: tuple[slice, ...] = ()) -> float:
    """Greatest absolute difference, of the inner part if one is given."""
    difference = np.abs(np.asarray(found, np.float64) - np.asarray(expected, np.float64))
    return float(difference[(..., *inner)].max())


def random_image(shape: Shape, channels: int = 1, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).random((channels, *shape), np.float32)


def limit_threads(threads: int) -> None:
    """Gives every library that is installed this many threads."""
    with suppress(ImportError):
        import torch

        torch.set_num_threads(threads)
    with suppress(ImportError):
        import SimpleITK

        SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
