"""Confidence intervals of paired mean differences (Efron 1979, percentile bootstrap)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import bootstrap


@dataclass(frozen=True)
class PairedDifference:
    """Mean of ``ours - theirs`` over common pairs, its 95 % interval, and the pairs won and lost."""

    mean: float
    low: float
    high: float
    pairs: int
    won: int
    lost: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def paired_difference(
    ours: Sequence[float], theirs: Sequence[float], resamples: int = 10_000, seed: int = 0
) -> PairedDifference:
    """Resample whole pairs with replacement; the interval is the 2.5th to 97.5th percentile of the means.

    Raises:
        ValueError: There are no pairs, or a number is not finite.
    """
    difference = np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)
    if difference.ndim != 1 or not difference.size or not np.isfinite(difference).all():
        raise ValueError(f"paired_difference needs finite numbers for at least one pair, got {difference}")
    mean = float(difference.mean())
    interval = (mean, mean)  # of one pair, which scipy refuses
    if difference.size > 1:
        interval = bootstrap(
            (difference,), np.mean, n_resamples=resamples, method="percentile", random_state=seed
        ).confidence_interval
    won, lost = int((difference > 0).sum()), int((difference < 0).sum())
    return PairedDifference(mean, float(interval[0]), float(interval[1]), difference.size, won, lost)
