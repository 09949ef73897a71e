"""Latency of networks: percentiles of many runs, and the longest layer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from ..process.gc_pause import without_collection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..geometry import Float64

PERCENTILES = {"p50": 50, "p90": 90, "p99": 99, "max": 100}
WARM_UPS = 10  # ONNX Runtime takes memory up to its tenth run
PROFILED_RUNS = 5
POLL_MS = 1.0  # of a thread that waits for the end of the longest layer


def times_ms(steps: Sequence[Callable[[], object]], runs: int) -> Float64:
    """Return the wall times ``(runs, steps)`` of steps that run in turn, after a warm-up, in ms."""
    for _ in range(WARM_UPS):
        for step in steps:
            step()
    times = np.empty((runs, len(steps)))
    with without_collection():
        for index in np.ndindex(times.shape):
            start = time.perf_counter()
            steps[index[1]]()
            times[index] = 1e3 * (time.perf_counter() - start)
    return times


def percentiles(times: Float64) -> dict[str, float]:
    """Return percentiles of times ``(runs,)``."""
    # the value of a run, not one between two runs
    return {
        name: float(np.percentile(times, percent, method="higher")) for name, percent in PERCENTILES.items()
    }
