"""Is the result good? Each figure with its thresholds, and the worst of them as the verdict.

The thresholds are this package's own convention, printed beside every figure. They say that a result
deserves a look, not that it is right: no figure without a ground truth can say that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..registration import Quality, Registration

PASS, REVIEW, FAIL, NOTE = "pass", "review", "fail", "note"
ORDER = (NOTE, PASS, REVIEW, FAIL)


@dataclass(frozen=True)
class Figure:
    """One number of the result and what is thought of it."""

    key: str
    label: str
    value: str
    state: str  # pass, review, fail; note where there is no threshold
    rule: str  # the thresholds in words
    meaning: str


def verdict(figures: list[Figure]) -> str:
    """The worst state among the figures; a result without any figure needs a review."""
    judged = [figure.state for figure in figures if figure.state != NOTE]
    return max(judged, key=ORDER.index) if judged else REVIEW


def figures(result: Registration) -> list[Figure]:
    """All figures of a result, in the order in which to read them."""
    found = [
        *_content(result),
        *_smoothness(result),
        *_consistency(result),
        *_motion(result),
        *_course(result),
    ]
    if None not in vars(result.quality).values():
        return found
    return [_unmeasured(figure) if "nan" in figure.value else figure for figure in found]


def known(quality: Quality) -> Any:
    """The same figures, NaN where there was no time to measure one."""
    missing = {name: math.nan for name, value in vars(quality).items() if value is None}
    return replace(quality, **missing)  # type: ignore[arg-type]


def _unmeasured(figure: Figure) -> Figure:
    return replace(figure, value="not measured", state=NOTE, rule="the deadline left no time")


def _grade(value: float, good: Callable[[float], bool], bearable: Callable[[float], bool]) -> str:
    if not math.isfinite(value):
        return FAIL
    return PASS if good(value) else REVIEW if bearable(value) else FAIL


def _content(result: Registration) -> list[Figure]:
    q = known(result.quality)
    gain = q.similarity_after - q.similarity_before
    mind = q.mind_before - q.mind_after
    return [
        Figure(
            "similarity",
            "Mutual information (NMI)",
            f"{q.similarity_before:.3f} → {q.similarity_after:.3f}",
            _grade(gain, lambda g: g >= 0, lambda g: g >= -0.01),
            "pass: not lower · review: lower by ≤ 0.01",
            "How well one scan predicts the other, voxel by voxel. Higher is better.",
        ),
        Figure(
            "mind",
            "Structure difference (MIND)",
            f"{q.mind_before:.4f} → {q.mind_after:.4f}",
            _grade(mind, lambda g: g >= 0, lambda g: g >= -0.05 * q.mind_before),
            "pass: not higher · review: higher by up to 5 %",
            "Difference of the local patterns of both scans. Lower is better.",
        ),
        Figure(
            "overlap",
            "Overlap of the fields of view",
            f"{100 * q.overlap_fraction:.0f} %",
            _grade(q.overlap_fraction, lambda v: v >= 0.6, lambda v: v >= 0.25),
            "pass: ≥ 60 % · review: ≥ 25 %",
            "Share of the fixed scan that comes from inside the moving scan.",
        ),
    ]


def _smoothness(result: Registration) -> list[Figure]:
    q = known(result.quality)
    folds = [
        Figure(
            key,
            label,
            f"{count:,}",
            PASS if count == 0 else FAIL,
            "pass: 0 · any other number fails",
            "Places where the map turns space inside out, for every way to take differences.",
        )
        for key, label, count in (
            ("folds", "Folded voxels, forward", q.folded_voxels),
            ("inverse_folds", "Folded voxels, inverse", q.inverse_folded_voxels),
        )
    ]
    least = Figure(
        "min_jacobian",
        "Smallest Jacobian determinant",
        f"{q.min_jacobian:.3f}",
        _grade(q.min_jacobian, lambda v: v >= 0.1, lambda v: v > 0),
        "pass: ≥ 0.1 · review: > 0",
        "1 keeps the volume, 0.5 halves it, 0 or less is a fold.",
    )
    return [*folds, least]


def _consistency(result: Registration) -> list[Figure]:
    q = known(result.quality)
    voxel = max(result.transform.grid.spacing_mm[3 - result.transform.grid.dims :])
    good, bearable = 0.5 * voxel, 2 * voxel
    return [
        Figure(
            "inverse_consistency",
            "Inverse consistency, 95th percentile",
            f"{q.inverse_consistency_p95_mm:.3f} mm",
            _grade(q.inverse_consistency_p95_mm, lambda v: v <= good, lambda v: v <= bearable),
            f"pass: ≤ {good:.2f} mm (half a voxel) · review: ≤ {bearable:.2f} mm",
            f"There and back again should end where it began. Mean {q.inverse_consistency_mean_mm:.3f} mm, "
            f"largest {q.inverse_consistency_max_mm:.3f} mm.",
        )
    ]


def _motion(result: Registration) -> list[Figure]:
    q = known(result.quality)
    return [
        Figure(
            "displacement",
            "Deformation, median · 95 % · largest",
            " · ".join(
                f"{v:.1f}" for v in (q.displacement_p50_mm, q.displacement_p95_mm, q.displacement_max_mm)
            )
            + " mm",
            NOTE,
            "no threshold",
            "How far the deformation moves points, without the alignment.",
        )
    ]


def _course(result: Registration) -> list[Figure]:
    if not result.degraded:
        return []
    return [
        Figure(
            "degraded",
            "Stopped at the deadline",
            "yes",
            REVIEW,
            "pass: every stage was finished",
            "The best finished stage was returned; later stages were left out.",
        )
    ]
