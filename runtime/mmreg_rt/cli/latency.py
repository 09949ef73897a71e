"""Times of one pair's way through a network, stage by stage, over many runs."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import fields

if TYPE_CHECKING:
    from ..backends import Session
    from ..geometry import Float32

FIGURES = ("p50", "p90", "p99", "max")
WARM_UPS, IDLE_RUNS = 3, 3
Samples = dict[str, list[float]]


@dataclass(frozen=True)
class Output:
    """What comes out of the network, as a bundle says; ``None`` as kind: the network alone is timed."""

    kind: str | None = None  # "velocity" | "displacement"
    factor: int = 1  # voxels of the input along one voxel of the output
    steps: int = 7  # of the integration

    def stages(self, moving: Float32) -> Callable[[Float32, Samples], None]:
        """What follows the network: takes its output and adds its times to the samples."""
        if self.kind not in ("velocity", "displacement"):
            return lambda *_: None

        def follow(output: Float32, samples: Samples) -> None:
            clock = _Clock(samples)
            u_vox = _as_field(output)
            if self.kind == "velocity":  # in voxels of its own grid while it is followed
                u_vox = clock("integrate", lambda: self._integrated(u_vox))
            if self.factor > 1:
                u_vox = clock("upsample", lambda: self._upsampled(u_vox, moving.shape))
            clock("warp", lambda: fields.warp(moving, np.ascontiguousarray(u_vox), "linear"))

        return follow

    def _integrated(self, velocity_vox: Float32) -> Float32:
        if self.factor == 1:
            return fields.integrate(velocity_vox, self.steps)
        found = fields.integrate(velocity_vox / np.float32(self.factor), self.steps)
        found *= np.float32(self.factor)
        return found

    def _upsampled(self, u_vox: Float32, shape: Any) -> Float32:
        """Voxel i of the output lies at ``factor * i + (factor - 1) / 2``; a 2-D image keeps its plane."""
        scale = np.array([1.0 if shape[0] == 1 and axis == 0 else 1 / self.factor for axis in range(3)])
        offset = (scale - 1) / 2
        return fields.resample_field(u_vox, np.column_stack([np.diag(scale), offset]), shape)


def cold_start(
    load: Callable[[], Session], inputs: Mapping[str, Float32]
) -> tuple[Session, dict[str, float]]:
    """The session, and the seconds of loading it and of its first inference."""
    start = time.perf_counter()
    session = load()
    loaded = time.perf_counter()
    session.infer(inputs)
    return session, {"load": loaded - start, "first inference": time.perf_counter() - loaded}


def measure(
    session: Session, inputs: Mapping[str, Float32], output: Output, runs: int, idle_s: float
) -> tuple[Samples, list[float]]:
    """Seconds of every stage and of their total for each run, and totals of runs after a pause."""
    moving = _as_volume(list(inputs.values())[-1])
    follow = output.stages(moving)

    def once(samples: Samples) -> None:
        start = time.perf_counter()
        found = session.infer(inputs)
        for stage, seconds in session.seconds.items():
            samples.setdefault(stage, []).append(seconds)
        follow(found, samples)
        samples.setdefault("total", []).append(time.perf_counter() - start)

    samples: Samples = {}
    after_idle: Samples = {}
    was_on = gc.isenabled()
    gc.disable()
    try:
        for _ in range(WARM_UPS):
            once({})
        for _ in range(runs):
            once(samples)
        for _ in range(IDLE_RUNS if idle_s > 0 else 0):
            time.sleep(idle_s)
            once(after_idle)
    finally:
        if was_on:
            gc.enable()
    return samples, after_idle.get("total", [])


def figures(samples_s: list[float]) -> dict[str, float]:
    """Percentiles and the longest, in ms."""
    found = np.percentile(samples_s, (50, 90, 99, 100)) * 1e3
    return dict(zip(FIGURES, map(float, found), strict=True))


def random_inputs(names: tuple[str, ...], shape: tuple[int, ...], seed: int = 0) -> dict[str, Float32]:
    """Images in [0, 1] on one grid."""
    rng = np.random.default_rng(seed)
    return {name: rng.random(shape, np.float32) for name in names}


class _Clock:
    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def __call__(self, stage: str, work: Callable[[], Float32]) -> Float32:
        start = time.perf_counter()
        found = work()
        self._samples.setdefault(stage, []).append(time.perf_counter() - start)
        return found


def _as_volume(image: Float32) -> Float32:
    """``(D, H, W)`` of ``(1, 1, D, H, W)`` or ``(1, 1, H, W)``."""
    volume: Float32 = image[0, 0] if image.ndim == 5 else image[0]
    return volume


def _as_field(output: Float32) -> Float32:
    """``(3, D, H, W)`` of ``(1, 3, D, H, W)`` or ``(1, 2, H, W)``, which stays in its plane."""
    field: Float32 = output[0] if output.ndim == 5 else output[0][:, None]
    return field if output.ndim == 5 else np.concatenate([np.zeros_like(field[:1]), field])
