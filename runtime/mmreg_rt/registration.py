"""What a registration gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .transform import Affine, Rigid

if TYPE_CHECKING:
    from .geometry import Volume
    from .transform import DisplacementField


@dataclass(frozen=True)
class Evidence:
    """What speaks for and against the linear part of a transform, by other means than those that found it.

    A climb of mutual information from the pose moves the body by ``drift_mm``. ``turned`` and ``mirrored``
    are the mutual information that is reached from half turns and from reflections of the pose, as a share
    of its own; ``typical`` is their median before that climb. A dense search of patterns (MIND-SSC) then
    still finds an affine motion of ``residual_mm`` and a median motion of ``scatter_mm``, and moves the share
    ``far_fraction`` of the body by more than a twentieth of its diameter ``body_mm``.
    """

    drift_mm: float
    turned: float
    mirrored: float
    typical: float
    residual_mm: float
    scatter_mm: float
    far_fraction: float
    body_mm: float


@dataclass(frozen=True)
class Quality:
    """How good a registration is, as far as it can be told without a ground truth.

    ``similarity_*`` is the normalised mutual information of both scans (1: independent, 2: each determines
    the other), ``mind_*`` the mean squared difference of their MIND-SSC features at half resolution. Both
    are taken near the body of the fixed scan, over voxels that both scans show before and after, and do not
    depend on offset or gain of the intensities. *Before* is with the two headers as they are; it is None
    where they put too little of the moving scan on that body to compare. ``evidence`` holds what the verdict
    is based on, see ``docs/verdict.md``. ``folded_voxels`` counts
    the voxels of the transform whose Jacobian determinant is not positive, for the worst of central and
    all eight one-sided differences; ``min_jacobian`` is the least of them. ``inverse_consistency_*_mm``
    is how far a fixed point lands from itself after the transform and then its inverse.
    ``displacement_*_mm`` is the length of the deformation, without the affine part. ``overlap_fraction`` is
    the share of the body of the fixed scan that the moving scan covers.
    """

    similarity_before: float | None
    similarity_after: float
    mind_before: float | None
    mind_after: float
    folded_voxels: int
    inverse_folded_voxels: int
    min_jacobian: float
    inverse_consistency_mean_mm: float
    inverse_consistency_p95_mm: float
    inverse_consistency_max_mm: float
    displacement_p50_mm: float
    displacement_p95_mm: float
    displacement_max_mm: float
    overlap_fraction: float
    evidence: Evidence | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Outcome:
    """What is told of a registration wherever its arrays lie; see ``Registration``."""

    seconds: Mapping[str, float]
    quality: Quality
    degraded: bool
    finished: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def quality_of(found: Mapping[str, Any]) -> Quality:
    """The figures of what the native pipeline found."""
    pose, residual = found["evidence"]["pose"], found["evidence"]["residual"]
    evidence = None
    if pose["known"] and residual["known"]:
        shares = {key: pose[key] for key in ("drift_mm", "turned", "mirrored", "typical", "body_mm")}
        motion = {"residual_mm": residual["affine_mm"], "scatter_mm": residual["median_mm"]}
        evidence = Evidence(**shares, **motion, far_fraction=residual["far"])
    return Quality(**found["quality"], evidence=evidence)


def told(
    found: Mapping[str, Any], seconds: Mapping[str, float], warnings: tuple[str, ...], align: str
) -> dict[str, Any]:
    """Of what the native pipeline found, all that is no array: by the names of ``Registration``.

    Args:
        found: By the pipeline.
        seconds: Spent before it.
        warnings: So far.
        align: The linear part that was looked for.
    """
    found_evidence = found["evidence"]
    if found_evidence["start_kept"]:
        warnings += ("the alignment is that of the headers: none was found that is better",)
    if not found_evidence["deformation"]["kept"]:
        warnings += (
            "the deformation was left out: it does not improve on the alignment more than by chance",
        )
    return {
        "rigid": None if align == "none" else Rigid(found["rigid"]),
        "affine": Affine(found["affine"]) if align == "affine" else None,
        "seconds": {**seconds, **found["seconds"]},
        "quality": quality_of(found),
        "degraded": found["degraded"],
        "finished": found["finished"],
        "settings": found["settings"],
        "warnings": warnings,
    }


@dataclass(frozen=True, eq=False)
class Registration(Outcome):
    """What ``Registrar.register`` returns.

    ``warped``: the moving scan on the grid of the fixed one, ``(D, H, W)`` float32, 0 outside the
    moving scan. ``transform``: the whole pull-back on the fixed grid, fixed points to moving points,
    mm. ``inverse``: on the moving grid, moving points to fixed points, mm. ``rigid``, ``affine``,
    ``deformation``: its parts, None where not wanted or not reached; ``affine(p + deformation(p))`` is
    ``transform(p)``. ``seconds``: wall time of each stage. ``degraded``: the deadline cut a stage
    short; ``finished`` is the last that was completed.
    """

    warped: Volume
    transform: DisplacementField
    inverse: DisplacementField
    rigid: Rigid | None
    affine: Affine | None
    deformation: DisplacementField | None
