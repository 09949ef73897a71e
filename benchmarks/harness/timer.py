"""Interleaved timing of all contenders, with a memory copy in every round as the yardstick.

On one thread the clock is the CPU time of the process, which is least affected by other load; on more threads
it is wall time. The speed of a machine changes from second to second, so everything that is compared is timed
in the same rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

COPY_BYTES = 64 * 2**20
COPY = "copy"
Task = Callable[[], object]


@dataclass(frozen=True)
class Timing:
    """Seconds of one contender over the rounds."""

    median_s: float
    iqr_s: float
    least_s: float
    rounds: int
    clock: str  # "cpu" or "wall"


def clock_for(threads: int) -> str:
    return "cpu" if threads == 1 else "wall"


def seconds(task: Task, clock: str) -> float:
    now = time.process_time if clock == "cpu" else time.perf_counter
    start = now()
    task()
    return now() - start


def copier(threads: int) -> Task:
    """Return a task that copies COPY_BYTES (reads and writes that many each), split over the threads."""
    source, target = np.ones(COPY_BYTES // 4, np.float32), np.zeros(COPY_BYTES // 4, np.float32)
    parts = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
    if threads == 1:
        return lambda: np.copyto(target, source)
    pool = ThreadPoolExecutor(threads)
    return lambda: list(pool.map(lambda part: np.copyto(*part), parts))


def timing(samples: list[float], clock: str) -> Timing:
    low, median, high = np.percentile(samples, (25, 50, 75))
    return Timing(float(median), float(high - low), float(min(samples)), len(samples), clock)


def race(tasks: dict[str, Task], threads: int, rounds: int) -> dict[str, Timing]:
    """Time every task and the copy once per round, after one warm-up round."""
    clock, runners = clock_for(threads), {COPY: copier(threads), **tasks}
    samples: dict[str, list[float]] = {name: [] for name in runners}
    for task in runners.values():
        task()
    for _ in range(rounds):
        for name, task in runners.items():
            samples[name].append(seconds(task, clock))
    return {name: timing(values, clock) for name, values in samples.items()}


def copy_bandwidth(copy: Timing) -> float:
    """Return bytes read and written per second."""
    return 2 * COPY_BYTES / copy.median_s
