"""The figures of quality with their limits, and the worst of them as the verdict.

The limits of the evidence were chosen on registrations of known error, see ``docs/verdict.md``. They say when
a result needs a review, not that it is right: no figure without a ground truth can say that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .doubt import doubt

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..results import Evidence, Quality, Registration

PASS, REVIEW, FAIL, NOTE = "pass", "review", "fail", "note"
ORDER = (NOTE, PASS, REVIEW, FAIL)

# Chosen with benchmarks/accuracy/verdict_fit.py; docs/verdict.md has the curves.
DOUBT = 0.65, 0.95
TURNED = 0.9, 1.1
MIRRORED = 1.05, 1.2


@dataclass(frozen=True)
class Figure:
    """One figure of the result and its state."""

    key: str
    label: str
    value: str
    state: str  # pass, review, fail; note where there is no threshold
    rule: str  # the thresholds in words
    meaning: str


def verdict(figures: list[Figure]) -> str:
    """Return the worst state among the figures; a result without any needs a review."""
    judged = [figure.state for figure in figures if figure.state != NOTE]
    return max(judged, key=ORDER.index) if judged else REVIEW


def figures(result: Registration) -> list[Figure]:
    """Return all figures of a result, in reading order."""
    all_figures = [
        *_content(result),
        *_pose(result),
        *_smoothness(result),
        *_consistency(result),
        *_motion(result),
        *_course(result),
    ]
    if None not in vars(result.quality).values():
        return all_figures
    return [_unmeasured(figure) if "nan" in figure.value else figure for figure in all_figures]


def known(quality: Quality) -> Any:
    """Return the quality with NaN for figures that there was no time to measure."""
    missing = {name: math.nan for name, value in vars(quality).items() if value is None}
    return replace(quality, **missing)  # type: ignore[arg-type]


def _unmeasured(figure: Figure) -> Figure:
    return replace(figure, value="not measured", state=NOTE, rule="no time before the deadline")


def _grade(value: float, good: Callable[[float], bool], acceptable: Callable[[float], bool]) -> str:
    if not math.isfinite(value):
        return FAIL
    return PASS if good(value) else REVIEW if acceptable(value) else FAIL


def change(before: float | None, after: float, digits: int) -> str:
    """Format both values, or the one that is known."""
    return f"{after:.{digits}f}" if before is None else f"{before:.{digits}f} → {after:.{digits}f}"


def _content(result: Registration) -> list[Figure]:
    q = known(result.quality)
    comparable = result.quality.nmi_before is not None and result.quality.mind_before is not None
    gain = q.nmi_after - q.nmi_before
    mind = q.mind_after - q.mind_before
    return [
        Figure(
            "similarity",
            "Normalised mutual information (NMI)",
            change(result.quality.nmi_before, q.nmi_after, 3),
            _grade(gain, lambda g: g >= -0.005, lambda g: g >= -0.03) if comparable else NOTE,
            "pass: not lower by > 0.005 · review: by ≤ 0.03"
            if comparable
            else "headers without overlap: not judged",
            "How well one scan predicts the other, voxel by voxel; 1 to 2, higher is better.",
        ),
        Figure(
            "mind",
            "Structure difference (MIND)",
            change(result.quality.mind_before, q.mind_after, 4),
            _grade(mind, lambda g: g <= 0.05 * q.mind_before, lambda g: g <= 0.2 * q.mind_before)
            if comparable
            else NOTE,
            "pass: not higher by > 5 % · review: by ≤ 20 %"
            if comparable
            else "headers without overlap: not judged",
            "Difference of the local patterns of both scans; lower is better.",
        ),
        Figure(
            "overlap",
            "Body covered by the moving scan",
            f"{100 * q.overlap_fraction:.0f} %",
            _grade(q.overlap_fraction, lambda v: v >= 0.15, lambda v: v >= 0.05),
            "pass: ≥ 15 % · review: ≥ 5 %",
            "Share of the body of the fixed scan that the moving scan covers.",
        ),
    ]


def _pose(result: Registration) -> list[Figure]:
    """Judge the alignment by measures that it was not optimised for."""
    e = result.quality.evidence
    if e is None and result.quality.nmi_after is None:
        return []  # no time before the deadline, which another figure reports
    if e is None:
        return [
            Figure("evidence", "Evidence for the alignment", "none", REVIEW, "pass: some evidence",
                   "One of the scans shows too little to tell a right alignment from a wrong one.")
        ]  # fmt: skip
    grid = result.transform.grid
    voxel_mm = min(grid.spacing_mm[3 - grid.dims :])
    # A mirror image must raise mutual information too: agreement alone says little where structures are thin.
    mirrored = e.mirrored if e.mirrored_information > 1 else min(e.mirrored, 1.0)
    return [
        _limited(
            "doubt",
            "Doubt about the alignment",
            doubt(e, voxel_mm, grid.dims),
            DOUBT,
            "Probability of an error above 3 voxels if as many results are wrong as right. It combines the "
            "next four figures.",
        ),
        _noted("drift", "Drift when optimised further", f"{e.drift_mm:.2f} mm",
               "Mutual information on a coarse grid is highest at the right alignment."),
        _noted("residual", "Residual motion of local patterns", f"{e.residual_mm:.2f} mm",
               "A dense search of local patterns (MIND) finds no common motion at the right alignment."),
        _scatter(e, grid.dims),
        _noted("agreement", "Agreement of edges", f"{e.agreement:.2f}",
               f"1: every edge has a counterpart. At other places {e.agreement_elsewhere:.2f}, three voxels "
               f"from here {e.agreement_moved:.2f}."),
        _limited(
            "turned",
            "Half turns, relative to the alignment",
            e.turned,
            TURNED,
            "Mutual information times agreement of edges, reached with the moving scan rotated by 180 "
            "degrees about an axis.",
        ),
        _limited(
            "mirrored",
            "Mirror images, relative to the alignment",
            mirrored,
            MIRRORED,
            "Likewise with the moving scan mirrored: above 1, left and right may be swapped in a header.",
        ),
    ]  # fmt: skip


def _limited(key: str, label: str, value: float, limits: tuple[float, float], meaning: str) -> Figure:
    good, acceptable = limits
    return Figure(
        key,
        label,
        f"{value:.2f}",
        _grade(value, lambda v: v <= good, lambda v: v <= acceptable),
        f"pass: ≤ {good} · review: ≤ {acceptable}",
        meaning,
    )


def _noted(key: str, label: str, value: str, meaning: str) -> Figure:
    return Figure(key, label, value, NOTE, "part of the doubt", meaning)


def _scatter(e: Evidence, dims: int) -> Figure:
    """Return the share of far motion in volumes, the median in slices, where the search reaches less far."""
    if dims == 2:
        return _noted(
            "scatter",
            "Median motion of local patterns",
            f"{e.scatter_mm:.2f} mm",
            "Where structures do not match, the search moves each part elsewhere.",
        )
    return _noted(
        "scatter",
        "Parts with far motion of local patterns",
        f"{100 * e.far_fraction:.0f} %",
        "Share of the body that the search moves by more than a twentieth of its diameter.",
    )


def _smoothness(result: Registration) -> list[Figure]:
    q = known(result.quality)
    folds = [
        Figure(
            key,
            label,
            f"{count:,}",
            PASS if count == 0 else FAIL,
            "pass: 0 · otherwise fail",
            "Voxels where the transform turns space inside out, for every choice of finite differences.",
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
        _grade(q.min_jacobian, lambda v: v >= 0.05, lambda v: v > 0),
        "pass: ≥ 0.05 · review: > 0",
        "1 keeps the volume, 0.5 halves it, 0 or less is a fold.",
    )
    return [*folds, least]


def _consistency(result: Registration) -> list[Figure]:
    q = known(result.quality)
    voxel = max(result.transform.grid.spacing_mm[3 - result.transform.grid.dims :])
    good, acceptable = 0.5 * voxel, 2 * voxel
    return [
        Figure(
            "inverse_consistency",
            "Inverse consistency, 95th percentile",
            f"{q.inverse_consistency_p95_mm:.3f} mm",
            _grade(q.inverse_consistency_p95_mm, lambda v: v <= good, lambda v: v <= acceptable),
            f"pass: ≤ {good:.2f} mm (half a voxel) · review: ≤ {acceptable:.2f} mm",
            "Distance of a point from itself after the transform and its inverse. Mean "
            f"{q.inverse_consistency_mean_mm:.3f} mm, largest {q.inverse_consistency_max_mm:.3f} mm.",
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
            "Length of the deformation, without the alignment.",
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
            "pass: every stage finished",
            "The best finished stage was returned; later stages were skipped.",
        )
    ]
