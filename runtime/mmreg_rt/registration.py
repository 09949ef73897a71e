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
class Quality:
    """How good a registration is, as far as it can be told without a ground truth.

    ``similarity_*`` is the normalised mutual information of both scans where they overlap (1:
    independent, 2: each determines the other), ``mind_*`` the mean squared difference of their MIND-SSC
    features at half resolution; *before* is with the two headers as they are. ``folded_voxels`` counts
    the voxels of the transform whose Jacobian determinant is not positive, for the worst of central and
    all eight one-sided differences; ``min_jacobian`` is the least of them. ``inverse_consistency_*_mm``
    is how far a fixed point lands from itself after the transform and then its inverse.
    ``displacement_*_mm`` is the length of the deformation, without the affine part.
    """

    similarity_before: float
    similarity_after: float
    mind_before: float
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


@dataclass(frozen=True, eq=False, kw_only=True)
class Outcome:
    """What is told of a registration wherever its arrays lie; see ``Registration``."""

    seconds: Mapping[str, float]
    quality: Quality
    degraded: bool
    finished: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


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
    return {
        "rigid": None if align == "none" else Rigid(found["rigid"]),
        "affine": Affine(found["affine"]) if align == "affine" else None,
        "seconds": {**seconds, **found["seconds"]},
        "quality": Quality(**found["quality"]),
        "degraded": found["degraded"],
        "finished": found["finished"],
        "settings": found["settings"],
        "warnings": warnings,
    }


@dataclass(frozen=True, eq=False)
class Registration(Outcome):
    """What ``Registrar.register`` returns.

    ``warped``: the moving scan on the grid of the fixed one, ``(D, H, W)`` float32; outside of the moving
    scan its lowest value, or what was asked for. ``transform``: the whole pull-back on the fixed grid, fixed
    points to moving points, mm. ``inverse``: on the moving grid, moving points to fixed points, mm.
    ``rigid``, ``affine``, ``deformation``: its parts, None where not wanted or not reached;
    ``affine(p + deformation(p))`` is ``transform(p)``. ``seconds``: wall time of each stage. ``degraded``:
    the deadline cut a stage short; ``finished`` is the last that was completed.
    """

    warped: Volume
    transform: DisplacementField
    inverse: DisplacementField
    rigid: Rigid | None
    affine: Affine | None
    deformation: DisplacementField | None
