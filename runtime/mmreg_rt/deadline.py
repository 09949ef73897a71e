"""Time of calls: deadlines, and the seconds of each stage."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Iterator

from .arguments import real

SHORTEST_S = 1e-9  # the native pipeline takes 0 as no deadline


class Deadline:
    """A time limit that starts now.

    Args:
        limit_ms: Limit in ms; None or infinity is no limit.
        clock: Monotonic clock in seconds; None uses ``time.perf_counter``.

    Raises:
        InputError: The limit is not a number above 0.
    """

    def __init__(self, limit_ms: float | None, clock: Callable[[], float] | None = None) -> None:
        limit = None if limit_ms is None else real(limit_ms, "deadline_ms", "MMREG_E_DEADLINE")
        self._limit_s = float("inf") if limit is None else limit / 1e3
        self.clock = clock
        self._start = self._now()

    def left_s(self) -> float:
        """Return the seconds until the limit; negative after it."""
        return self._limit_s - (self._now() - self._start)

    def native_s(self) -> float:
        """Return the seconds left for the native pipeline, where 0 means no limit."""
        left = self.left_s()
        return 0.0 if left == float("inf") else max(left, SHORTEST_S)

    def earlier(self, by_s: float) -> Deadline:
        """Return a deadline ``by_s`` seconds earlier, to reserve time for later work."""
        deadline = copy.copy(self)
        deadline._limit_s -= by_s
        return deadline

    def _now(self) -> float:
        return (self.clock or time.perf_counter)()


@contextlib.contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Add the wall time of the block, s, to ``seconds`` under the name of its stage."""
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[stage] = time.perf_counter() - start
