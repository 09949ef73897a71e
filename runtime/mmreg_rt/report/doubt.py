"""The doubt about an alignment: measures that it was not optimised for, weighed into one number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..results import Evidence

SMALL = 0.01, 0.0125  # diameters of the body that count as a voxel, for the drift and for the residual
NAMES = ("drift", "residual", "scatter", "agreement", "moved_most", "peak", "turned")


@dataclass(frozen=True)
class Weights:
    """Weights of a logistic regression, fitted by ``benchmarks/accuracy/verdict_fit.py``."""

    constant: float
    of: tuple[float, ...]  # in the order of NAMES


SLICES = Weights(-0.75, (0.46, 0.33, 0.59, 0.49, 0.0, 0.97, 1.31))
VOLUMES = Weights(-1.78, (1.15, 0.53, 0.53, 0.0, 0.33, 0.56, 0.8))


def measures(evidence: Evidence, voxel_mm: float, dims: int) -> tuple[float, ...]:
    """Return the measures in the order of ``NAMES``, each higher where the alignment is worse.

    Each is bounded, so that none decides alone: a logarithm of a ratio, 0 about where right and wrong results
    are as frequent.

    Args:
        evidence: Evidence for the alignment.
        voxel_mm: Smallest spacing of the fixed grid, in mm.
        dims: 2 for slices, 3 for volumes. In slices the search reaches less far, so that scatter is the
            median motion of the parts there, and in volumes the share of them that moves far.
    """
    e = evidence
    chance = max(e.agreement_elsewhere, 1e-3)
    drift, residual = (
        motion / max(voxel_mm, share * e.body_mm)
        for motion, share in zip((e.drift_mm, e.residual_mm), SMALL, strict=True)
    )
    most = (max(e.agreement_moved_most, 0) + chance) / (max(e.agreement, 0) + chance)
    return (
        _log(drift, 0.05, 10, 0.5),
        _log(residual, 0.02, 5, 0.3),
        _log(e.scatter_mm / e.body_mm, 0.001, 0.04, 0.01) if dims == 2 else 2 * e.far_fraction - 1,
        -_log(e.agreement, 0.02, 1, 0.3),
        _log(most, 0.1, 2, 0.6),
        -_log((e.agreement - e.agreement_moved) / chance, 0.3, 30, 3),
        2 * min(max(e.turned_information, 0), 1.2) - 1,
    )


def _log(value: float, least: float, most: float, one: float) -> float:
    return math.log(min(max(value, least), most) / one)


def doubt(evidence: Evidence, voxel_mm: float, dims: int) -> float:
    """Return the doubt about an alignment, 0 to 1.

    It is the probability that the error exceeds 3 voxels if as many results are wrong as right, as in the set
    of ``docs/verdict.md``. In practice results are right more often than that.
    """
    weights = SLICES if dims == 2 else VOLUMES
    values = measures(evidence, voxel_mm, dims)
    total = weights.constant + sum(w * m for w, m in zip(weights.of, values, strict=True))
    return 1 / (1 + math.exp(-total))
