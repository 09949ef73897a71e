"""Folding of a transform."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Folding:
    """Folding of a transform, where its Jacobian determinant is 0 or less.

    There are nine difference schemes: entry 0 is central; entries 1 to 8 are one-sided, with each combination
    of backward (0) and forward (1) along axes 0, 1, 2, ordered as ``numpy.ndindex(2, 2, 2)``.

    Attributes:
        counts: Number of voxels that fold, by scheme.
        minima: Smallest determinant, by scheme.
    """

    counts: tuple[int, ...]
    minima: tuple[float, ...]

    @property
    def folded_voxels(self) -> int:
        """Largest count of any scheme: 0 if and only if no voxel folds by any."""
        return max(self.counts)

    @property
    def min_jacobian(self) -> float:
        """Smallest determinant of any scheme."""
        return min(self.minima)
