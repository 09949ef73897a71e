"""Expected run times of a network, so that no run starts that would end after the deadline."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

KEPT_RUNS = 3  # the longest of these counts: a machine that was busy once is not busy for ever
Extents = tuple[int, ...]


@dataclass
class _OnGrid:
    """Run times on one grid, and the multiply-adds of a run."""

    work: int
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_RUNS))


class NetworkTime:
    """Run times of one network; the first are those of its golden pair."""

    def __init__(self) -> None:
        self._on: dict[Extents, _OnGrid] = {}
        self._prepare_s = 0.0

    def note(self, extents: Extents, work: int, run_s: float, prepare_s: float = 0.0) -> None:
        """Record the time of a run.

        Args:
            extents: Extents of the grid.
            work: Multiply-adds of the network on it.
            run_s: Run time in s.
            prepare_s: Time in s to compile the network for this grid; 0 if it was compiled before.
        """
        self._on.setdefault(extents, _OnGrid(work)).seconds.append(run_s)
        self._prepare_s = max(self._prepare_s, prepare_s)

    def expected_s(self, extents: Extents, work: int, prepared: bool) -> float:
        """Return the expected time of a run in s; 0 if nothing is known.

        For a new grid, the time on the largest known grid is scaled by voxels or by multiply-adds, whichever
        grows more; the time to compile does not grow with the grid.

        Args:
            extents: Extents of the grid.
            work: Multiply-adds of the network on it.
            prepared: The network is compiled for this grid.
        """
        if not self._on:
            return 0.0
        preparing_s = 0.0 if prepared else self._prepare_s
        if extents in self._on:
            return max(self._on[extents].seconds) + preparing_s
        largest = max(self._on, key=math.prod)
        known = self._on[largest]
        grown = max(math.prod(extents) / math.prod(largest), work / max(known.work, 1))
        return max(known.seconds) * grown + preparing_s


def late(end: str, expected_s: float, left_s: float) -> str | None:
    """Return the warning about a network that the deadline prevented or stopped, else None.

    Args:
        end: How the run ended: ``"not begun"``, ``"stopped"`` or anything else.
        expected_s: Expected run time in s.
        left_s: Time left in s when that was decided.
    """
    if end == "not begun":
        takes = f"it takes about {expected_s:.2g} s on this grid, and " if expected_s > 0 else ""
        return (
            f"the network was not begun: {takes}the deadline left {max(left_s, 0.0):.2g} s for it; the "
            "transform is what was found before"
        )
    if end == "stopped":
        return "the deadline stopped the network; the transform is what was found before"
    return None
