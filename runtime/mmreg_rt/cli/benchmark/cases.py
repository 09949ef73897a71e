"""The cases of ``mmreg benchmark``: a plan, a network on its own, whole registrations.

Each is loaded and run once here, which is its cold start, and returned as a ``TimedCase`` for repeated runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from ...backends import Session
    from ...bundle.manifest import Manifest
    from ...geometry import Float32, Grid
    from ...registrar import Registrar

Result = TypeVar("Result")
SMOOTH_VOX = 2.0  # standard deviation of the filter that smooths noise into scan-like content


@dataclass(frozen=True)
class TimedCase:
    """One size, ready to be timed.

    ``whole`` runs once from end to end without interruption, ``stages`` runs once and returns the seconds of
    each stage, and ``close`` releases memory. ``facts`` are for the JSON.
    """

    size: tuple[int, ...]
    ran: Mapping[str, object]
    cold_s: Mapping[str, float]
    whole: Callable[[], object]
    stages: Callable[[], Mapping[str, float]]
    close: Callable[[], object] = lambda: None
    facts: Mapping[str, object] = field(default_factory=dict)


class _Stopwatch:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, work: Callable[[], Result]) -> Result:
        start = time.perf_counter()
        result = work()
        self.seconds[name] = time.perf_counter() - start
        return result


def planned(load: Callable[[], Registrar], manifest: Manifest, size: tuple[int, ...]) -> TimedCase:
    """Prepare the plan of two random scans, as an application that registers continuously."""
    from ...preprocess import network_grid

    grid, stopwatch = fitting_grid(manifest, size), _Stopwatch()
    fixed, moving = random_scan(grid, 0), random_scan(grid, 1)
    registrar = stopwatch("load", load)
    plan = stopwatch("plan", lambda: registrar.plan(grid, grid))
    first = stopwatch("first call", lambda: plan(fixed, moving))
    return TimedCase(
        size,
        plan.about(),
        stopwatch.seconds,
        lambda: plan(fixed, moving),
        lambda: plan.stage_seconds(fixed, moving),
        facts={
            "spacing_mm": grid.spacing_mm[2],
            "network_size_voxels": list(network_grid(grid, manifest.preprocess).shape[3 - len(size) :]),
            "folds_removed": first.folds_removed,
        },
    )


def network_alone(load: Callable[[], Session], size: tuple[int, ...]) -> TimedCase:
    """Prepare a network on random images, without preprocessing and integration."""
    stopwatch = _Stopwatch()
    session = stopwatch("load", load)
    rng = np.random.default_rng(0)
    images = {port.name: rng.random((1, 1, *size), np.float32) for port in session.inputs}
    stopwatch("first call", lambda: session.infer(images))

    def stages() -> Mapping[str, float]:
        session.infer(images)
        return session.seconds

    return TimedCase(
        size,
        dict(session.runtime_info),
        stopwatch.seconds,
        lambda: session.infer(images),
        stages,
        close=session.close,
    )


def registered(load: Callable[[], Registrar], scans: tuple[Path, Path]) -> TimedCase:
    """Prepare whole registrations, from two files, read in every run, to the transform."""
    stopwatch = _Stopwatch()
    registrar = stopwatch("load", load)
    result = stopwatch("first call", lambda: registrar.register(*scans))
    return TimedCase(
        result.transform.grid.shape,
        dict(result.settings["network"]),
        stopwatch.seconds,
        lambda: registrar.register(*scans),
        lambda: registrar.register(*scans).seconds,
    )


def fitting_grid(manifest: Manifest, size: tuple[int, ...]) -> Grid:
    """Return a grid of this size with the spacing of the network, or the nearest in its intended use."""
    from ...geometry import Grid

    use = manifest.intended_use
    spacing_mm = manifest.preprocess.spacing_mm or 1.0
    for low, high in (
        (use.field_of_view_mm[0] / min(size), use.field_of_view_mm[1] / max(size)),
        use.spacing_mm,
    ):
        spacing_mm = min(max(spacing_mm, low), high)
    affine = np.eye(4)
    affine[:3, :3] = spacing_mm * np.eye(3)[::-1]  # axes 0, 1, 2 run towards S, A, R
    depth, height, width = (1,) * (3 - len(size)) + size
    return Grid((depth, height, width), affine)


def random_scan(grid: Grid, seed: int) -> Float32:
    """Return smoothed noise: content everywhere, for networks of every kind."""
    import mmreg_rt._native as _native

    noise = np.random.default_rng(seed).random((1, *grid.shape), np.float32)
    scan: Float32 = _native.gaussian(noise, (SMOOTH_VOX,) * 3)[0]
    return scan
