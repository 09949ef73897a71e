"""Where a transform folds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Folding:
    """Where a transform folds: its Jacobian determinant is 0 or less.

    Nine ways of taking differences: entry 0 takes central ones, entries 1 to 8 one-sided ones, with each
    combination of backward (0) and forward (1) along axes 0, 1, 2, ordered as ``numpy.ndindex(2, 2, 2)``.
    """

    counts: tuple[int, ...]  # voxels that fold, for each way
    minima: tuple[float, ...]  # smallest determinant, for each way

    @property
    def folded_voxels(self) -> int:
        """Most voxels that fold by any one way: 0 if and only if none folds by any."""
        return max(self.counts)

    @property
    def min_jacobian(self) -> float:
        """Smallest determinant by any way."""
        return min(self.minima)
