"""How long a network takes on a grid, by how long it took before, so that none begins that ends too late."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

KEPT_RUNS = 3  # the longest of the last counts: a machine that was busy once is not busy for ever
Extents = tuple[int, ...]


@dataclass
class _OnGrid:
    """Runs on one grid, and the multiply-adds of each."""

    work: int
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_RUNS))


class NetworkTime:
    """Times of one network; the first are those of its golden pair."""

    def __init__(self) -> None:
        self._on: dict[Extents, _OnGrid] = {}
        self._prepare_s = 0.0

    def note(self, extents: Extents, work: int, run_s: float, prepare_s: float = 0.0) -> None:
        """Keep the time of a run.

        Args:
            extents: Of the grid.
            work: Multiply-adds of the network there.
            run_s: What it took, in s.
            prepare_s: What it took before that to compile the network for this grid; 0 if it was already.
        """
        self._on.setdefault(extents, _OnGrid(work)).seconds.append(run_s)
        self._prepare_s = max(self._prepare_s, prepare_s)

    def expected_s(self, extents: Extents, work: int, prepared: bool) -> float:
        """Return what a run will take, in s; 0 if nothing is known.

        On a grid that it never ran on, it is that of the largest known one, scaled by voxels or by
        multiply-adds, whichever grows faster; the time to compile it there does not grow with the grid.
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
    """Say what the deadline did to a network; None if it was not in its way.

    Args:
        end: What became of it: ``"not begun"``, ``"stopped"`` or anything else.
        expected_s: What it was expected to take, in s.
        left_s: What was left when that was decided, in s.
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
