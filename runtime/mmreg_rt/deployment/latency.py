"""Latency of a network: percentiles of many runs, and its longest layer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from ..process.gc_pause import without_collection

if TYPE_CHECKING:
    from collections.abc import Callable

PERCENTILES = {"p50": 50, "p90": 90, "p99": 99, "max": 100}
WARM_UPS = 10  # ONNX Runtime takes memory up to its tenth run
PROFILED_RUNS = 5
POLL_MS = 1.0  # of a thread that waits for the end of the longest layer


def percentiles_ms(run: Callable[[], object], runs: int) -> dict[str, float]:
    """Return percentiles of the wall time of some runs, after a warm-up, in ms."""
    for _ in range(WARM_UPS):
        run()
    times = np.empty(runs)
    with without_collection():
        for index in range(runs):
            start = time.perf_counter()
            run()
            times[index] = 1e3 * (time.perf_counter() - start)
    # the value of a run, not one between two runs
    return {
        name: float(np.percentile(times, percent, method="higher")) for name, percent in PERCENTILES.items()
    }
