"""What ``mmreg benchmark`` times: a plan, a network alone, whole registrations. Each is loaded and run once
here, which is its cold start, and comes back as a ``Case`` that can be run again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from ...backends import Session
    from ...bundle.manifest import Manifest
    from ...geometry import Float32, Grid
    from ...registrar import Registrar

Made = TypeVar("Made")
SMOOTH_VOX = 2.0  # standard deviation of what smooths the noise into something like a scan


@dataclass(frozen=True)
class Case:
    """One size, ready. ``whole``: one run from end to end, of which nothing is asked in between; ``stages``:
    one run, with the seconds of each stage; ``close`` gives its memory back; ``facts`` are for the JSON."""

    size: tuple[int, ...]
    ran: Mapping[str, Any]
    cold_s: Mapping[str, float]
    whole: Callable[[], object]
    stages: Callable[[], Mapping[str, float]]
    close: Callable[[], object] = lambda: None
    facts: Mapping[str, Any] = field(default_factory=dict)


class _Laps:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, work: Callable[[], Made]) -> Made:
        start = time.perf_counter()
        made = work()
        self.seconds[name] = time.perf_counter() - start
        return made


def planned(load: Callable[[], Registrar], manifest: Manifest, size: tuple[int, ...]) -> Case:
    """The plan of two random scans: what a program does that registers again and again."""
    from ...preprocess import network_grid

    grid, laps = fitting_grid(manifest, size), _Laps()
    fixed, moving = random_scan(grid, 0), random_scan(grid, 1)
    registrar = laps("load", load)
    plan = laps("plan", lambda: registrar.plan(grid, grid))
    first = laps("first call", lambda: plan(fixed, moving))
    return Case(
        size,
        plan.about(),
        laps.seconds,
        lambda: plan(fixed, moving),
        lambda: plan.stage_seconds(fixed, moving),
        facts={
            "spacing_mm": grid.spacing_mm[2],
            "network_size_voxels": list(network_grid(grid, manifest.preprocess).shape[3 - len(size) :]),
            "mended_voxels": first.mended_voxels,
        },
    )


def network_alone(load: Callable[[], Session], size: tuple[int, ...]) -> Case:
    """A network on random images, without what comes before and after it."""
    laps = _Laps()
    session = laps("load", load)
    rng = np.random.default_rng(0)
    images = {port.name: rng.random((1, 1, *size), np.float32) for port in session.inputs}
    laps("first call", lambda: session.infer(images))

    def stages() -> Mapping[str, float]:
        session.infer(images)
        return session.seconds

    return Case(
        size,
        dict(session.runtime_info),
        laps.seconds,
        lambda: session.infer(images),
        stages,
        close=session.close,
    )


def registered(load: Callable[[], Registrar], scans: tuple[Path, Path]) -> Case:
    """Whole registrations, from two files, read anew in every run, to the transform."""
    laps = _Laps()
    registrar = laps("load", load)
    result = laps("first call", lambda: registrar.register(*scans))
    return Case(
        result.transform.grid.shape,
        dict(result.settings["network"]),
        laps.seconds,
        lambda: registrar.register(*scans),
        lambda: registrar.register(*scans).seconds,
    )


def fitting_grid(manifest: Manifest, size: tuple[int, ...]) -> Grid:
    """A grid of this size with the network's spacing, or the nearest that the bundle is meant for."""
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
    """Smoothed noise: something to see at every place, for networks of every kind."""
    import mmreg_rt._native as _native

    noise = np.random.default_rng(seed).random((1, *grid.shape), np.float32)
    scan: Float32 = _native.gaussian(noise, (SMOOTH_VOX,) * 3)[0]
    return scan
