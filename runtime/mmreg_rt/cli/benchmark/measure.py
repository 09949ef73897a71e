"""Times of one case over many runs: whole, by stage, after a pause, and under contention."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ...process.gc_pause import without_collection
from .contention import Contention, under_contention

if TYPE_CHECKING:
    from .cases import TimedCase

PERCENTILES = {"p50": 50, "p90": 90, "p99": 99}
FIGURES = (*PERCENTILES, "max")
WARM_UPS, IDLE_RUNS = 3, 3
CONTENDED_RUNS, CONTENDED_SHARE = 100, 6  # at most, and the divisor of their time limit
Sample = TypeVar("Sample")
Report = Callable[[str, float], object]  # a series, and the share of it that is done


@dataclass(frozen=True)
class Effort:
    """How long to measure: a series ends after ``runs`` runs or ``limit_s`` seconds, whichever comes first.

    ``idle_s`` is the pause before each run after idling, 0 for no such runs. ``contention`` adds runs under
    contention.
    """

    runs: int
    limit_s: float
    idle_s: float
    contention: bool


@dataclass
class Timings:
    """Wall time of every run, in seconds."""

    whole: list[float] = field(default_factory=list)
    stages: dict[str, list[float]] = field(default_factory=dict)
    after_idle: list[float] = field(default_factory=list)
    contended: list[float] = field(default_factory=list)
    contention: Contention | None = None  # during the contended runs


def measure(case: TimedCase, effort: Effort, device: str, report: Report = lambda *_: None) -> Timings:
    """Measure all series of a case after a warm-up; ``report`` is called between runs."""
    timings = Timings()

    def whole() -> float:
        start = time.perf_counter()
        case.whole()
        return time.perf_counter() - start

    def after_idle() -> float:
        time.sleep(effort.idle_s)
        return whole()

    gc.collect()
    with without_collection():
        for _ in range(WARM_UPS):
            case.whole()
        timings.whole = series(whole, effort.runs, effort.limit_s, partial(report, "Whole runs"))
        case.stages()  # allocates its memory
        timings.stages = _by_stage(
            series(case.stages, effort.runs, effort.limit_s, partial(report, "Stage by stage"))
        )
        if effort.idle_s > 0:
            report("After idling", 0)
            timings.after_idle = [after_idle() for _ in range(IDLE_RUNS)]
        if effort.contention:
            with under_contention(device, case.size) as timings.contention:
                runs = min(effort.runs, CONTENDED_RUNS)
                limit_s = effort.limit_s / CONTENDED_SHARE
                timings.contended = series(whole, runs, limit_s, partial(report, "Under contention"))
    return timings


def series(
    run: Callable[[], Sample], runs: int, limit_s: float, report: Callable[[float], object] = lambda _: None
) -> list[Sample]:
    """Return the sample of each of up to ``runs`` runs, at least one; none starts after ``limit_s``."""
    start, samples = time.perf_counter(), []
    share = 0.0
    while share < 1:
        report(share)
        samples.append(run())
        share = max(len(samples) / runs, (time.perf_counter() - start) / limit_s)
    return samples


def figures(samples_s: list[float]) -> dict[str, float | None]:
    """Return percentiles and maximum, in ms; None for percentiles with too few runs, see ``runs_for``."""
    values: dict[str, float | None] = {
        name: float(np.percentile(samples_s, percent)) * 1e3 if len(samples_s) >= runs_for(percent) else None
        for name, percent in PERCENTILES.items()
    }
    return {**values, "max": max(samples_s) * 1e3}


def runs_for(percent: float) -> int:
    """Return the fewest runs for which one is expected above a percentile."""
    return 1 if percent <= 50 else math.ceil(100 / (100 - percent))


def _by_stage(runs: list[Mapping[str, float]]) -> dict[str, list[float]]:
    return {stage: [seconds[stage] for seconds in runs] for stage in runs[0]}
