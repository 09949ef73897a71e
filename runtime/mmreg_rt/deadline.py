"""The time that a call may take, from its first line until it returns."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

from .arguments import real

SHORTEST_S = 1e-9  # for the native pipeline, to which 0 is no deadline


class Deadline:
    """A limit that begins now.

    Args:
        limit_ms: From now on, in ms; None or infinity is as long as it takes.
        clock: Seconds that never go back; None is that of the machine.

    Raises:
        InputError: The limit is not a positive number.
    """

    def __init__(self, limit_ms: float | None, clock: Callable[[], float] | None = None) -> None:
        limit = None if limit_ms is None else real(limit_ms, "deadline_ms", "MMREG_E_DEADLINE")
        self._limit_s = float("inf") if limit is None else limit / 1e3
        self.clock = clock
        self._start = self._now()

    def left_s(self) -> float:
        """Until the limit; below 0 after it."""
        return self._limit_s - (self._now() - self._start)

    def native_s(self) -> float:
        """What is left, as the native pipeline wants it: 0 is no limit."""
        left = self.left_s()
        return 0.0 if left == float("inf") else max(left, SHORTEST_S)

    def earlier(self, by_s: float) -> Deadline:
        """The same limit, earlier by some seconds that are kept for what comes after."""
        made = copy.copy(self)
        made._limit_s -= by_s
        return made

    def _now(self) -> float:
        return (self.clock or time.perf_counter)()
