"""Times of one case over many runs: whole, stage by stage, after a pause, and beside others."""

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
from .contention import Crowd, crowded

if TYPE_CHECKING:
    from .cases import Case

PERCENTILES = {"p50": 50, "p90": 90, "p99": 99}
FIGURES = (*PERCENTILES, "max")
WARM_UPS, IDLE_RUNS = 3, 3
CONTENDED_RUNS, CONTENDED_SHARE = 100, 6  # at most, and the part of the limit that they may take
Sample = TypeVar("Sample")
Say = Callable[[str, float], object]  # the series, and how much of it is done


@dataclass(frozen=True)
class Effort:
    """How long to measure: a series ends after ``runs`` runs or ``limit_s`` seconds, whichever comes first.

    ``idle_s``: the pause before each run after idling, 0 for none of them. ``contention``: whether to run
    beside others.
    """

    runs: int
    limit_s: float
    idle_s: float
    contention: bool


@dataclass
class Measured:
    """Wall seconds of every run."""

    whole: list[float] = field(default_factory=list)
    stages: dict[str, list[float]] = field(default_factory=dict)
    after_idle: list[float] = field(default_factory=list)
    contended: list[float] = field(default_factory=list)
    crowd: Crowd | None = None  # beside which those were


def measure(case: Case, effort: Effort, device: str, say: Say = lambda *_: None) -> Measured:
    """All series of a case, one after the other, after a warm-up. ``say`` is told between two runs."""
    found = Measured()

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
        found.whole = series(whole, effort.runs, effort.limit_s, partial(say, "Whole runs"))
        case.stages()  # makes what it needs
        found.stages = _by_stage(
            series(case.stages, effort.runs, effort.limit_s, partial(say, "Stage by stage"))
        )
        if effort.idle_s > 0:
            say("After idling", 0)
            found.after_idle = [after_idle() for _ in range(IDLE_RUNS)]
        if effort.contention:
            with crowded(device, case.size) as found.crowd:
                runs = min(effort.runs, CONTENDED_RUNS)
                limit_s = effort.limit_s / CONTENDED_SHARE
                found.contended = series(whole, runs, limit_s, partial(say, "Under contention"))
    return found


def series(
    run: Callable[[], Sample], runs: int, limit_s: float, say: Callable[[float], object] = lambda _: None
) -> list[Sample]:
    """What each of up to ``runs`` runs gives, at least one; none begins after ``limit_s``."""
    start, samples = time.perf_counter(), []
    share = 0.0
    while share < 1:
        say(share)
        samples.append(run())
        share = max(len(samples) / runs, (time.perf_counter() - start) / limit_s)
    return samples


def figures(samples_s: list[float]) -> dict[str, float | None]:
    """Percentiles and the longest, in ms. None for a percentile above which no run of so few would lie."""
    found: dict[str, float | None] = {
        name: float(np.percentile(samples_s, percent)) * 1e3 if len(samples_s) >= runs_for(percent) else None
        for name, percent in PERCENTILES.items()
    }
    return {**found, "max": max(samples_s) * 1e3}


def runs_for(percent: float) -> int:
    """The fewest runs that say something about a percentile: one of them is to lie above it."""
    return 1 if percent <= 50 else math.ceil(100 / (100 - percent))


def _by_stage(runs: list[Mapping[str, float]]) -> dict[str, list[float]]:
    return {stage: [seconds[stage] for seconds in runs] for stage in runs[0]}
