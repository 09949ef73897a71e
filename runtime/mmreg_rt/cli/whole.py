"""Times of whole registrations of two scans with a network, stage by stage, over many runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .latency import IDLE_RUNS, WARM_UPS, Samples, figures

if TYPE_CHECKING:
    from ..registrar import Registrar


def time_registrations(
    make: Callable[[], Registrar], scans: tuple[Path, Path], runs: int, idle_s: float
) -> tuple[dict[str, Any], list[float]]:
    """The figures of a pair, and the samples of the total, from the two files to the transform.

    Args:
        make: The registrar, with its bundle opened and proved; timed as a part of the cold start.
        scans: Fixed and moving, read anew in every run.
        runs: Registrations after the warm-up.
        idle_s: Pause before the last registrations, which are told apart; 0 leaves them out.
    """
    start = time.perf_counter()
    registrar = make()
    loaded = time.perf_counter()
    result = registrar.register(*scans)
    cold_s = {"load": loaded - start, "first registration": time.perf_counter() - loaded}
    samples: Samples = {}
    after_idle: Samples = {}
    for _ in range(WARM_UPS - 1):
        _once(registrar, scans, {})
    for _ in range(runs):
        _once(registrar, scans, samples)
    for _ in range(IDLE_RUNS if idle_s > 0 else 0):
        time.sleep(idle_s)
        _once(registrar, scans, after_idle)
    case = {
        "size": list(result.transform.grid.shape),
        "ran": dict(result.settings["network"]),
        "cold_start_ms": {stage: seconds * 1e3 for stage, seconds in cold_s.items()},
        "stages_ms": {stage: figures(times) for stage, times in samples.items()},
        "after_idle_ms": [seconds * 1e3 for seconds in after_idle.get("total", [])],
        "pairs_per_s": 1 / (sum(samples["total"]) / len(samples["total"])),
    }
    return case, samples["total"]


def _once(registrar: Registrar, scans: tuple[Path, Path], samples: Samples) -> None:
    start = time.perf_counter()
    seconds = registrar.register(*scans).seconds
    total = time.perf_counter() - start
    for stage, taken in (*seconds.items(), ("total", total)):
        samples.setdefault(stage, []).append(taken)
