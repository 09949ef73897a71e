"""What a registration gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .network.timing import late
from .transform import Affine, Composite, DisplacementField, Rigid, Transform

if TYPE_CHECKING:
    from collections.abc import Callable

    from .geometry import Float32, Grid, Volume


@dataclass(frozen=True)
class Evidence:
    """What speaks for and against the linear part of a transform, by other means than those that found it.

    A climb of mutual information from the pose moves the body by ``drift_mm``. A dense search of patterns
    (MIND-SSC) still finds an affine motion of ``residual_mm`` and a median motion of ``scatter_mm``, and
    moves the share ``far_fraction`` of the body by more than a twentieth of its diameter ``body_mm``.
    ``agreement`` says whether edges of both scans lie on each other, 1 where every edge has its like;
    ``agreement_elsewhere`` is that of other places, ``agreement_moved`` and ``agreement_moved_most`` the mean
    and the most of poses that are off by three voxels. ``turned`` and ``mirrored`` are what is reached from
    half turns and from reflections of the pose, as a share of what it reaches itself: mutual information
    times agreement of edges; ``*_information`` is mutual information alone.
    """

    drift_mm: float
    residual_mm: float
    scatter_mm: float
    far_fraction: float
    body_mm: float
    agreement: float
    agreement_elsewhere: float
    agreement_moved: float
    agreement_moved_most: float
    turned: float
    mirrored: float
    turned_information: float
    mirrored_information: float


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
    the share of the body of the fixed scan that the moving scan covers. None: the deadline left no time to
    measure it; for the figures before, also that the headers put too little of the moving scan there.
    """

    similarity_before: float | None
    similarity_after: float | None
    mind_before: float | None
    mind_after: float | None
    folded_voxels: int | None
    inverse_folded_voxels: int | None
    min_jacobian: float | None
    inverse_consistency_mean_mm: float | None
    inverse_consistency_p95_mm: float | None
    inverse_consistency_max_mm: float | None
    displacement_p50_mm: float | None
    displacement_p95_mm: float | None
    displacement_max_mm: float | None
    overlap_fraction: float | None
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
        same = {key: pose[key] for key in pose if key not in ("known", "information")}
        motion = {"residual_mm": residual["affine_mm"], "scatter_mm": residual["median_mm"]}
        evidence = Evidence(**same, **motion, far_fraction=residual["far"])
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
    evidence, figures = found["evidence"], found["quality"]
    if evidence["start_kept"]:
        warnings += ("the alignment is that of the headers: none was found that is better",)
    if not evidence["deformation"]["kept"]:
        warnings += (
            "the deformation was left out: it does not improve on the alignment more than by chance",
        )
    if words := late(**found["network"]):
        warnings += (words,)
    left_out = [name for name, figure in figures.items() if figure is None]
    if figures["similarity_after"] is not None:  # then those before are missing for want of overlap
        left_out = [name for name in left_out if not name.endswith("_before")]
    if left_out:
        warnings += (f"the deadline left no time to measure {', '.join(left_out)}",)
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

    ``warped``: the moving scan on the grid of the fixed one, ``(D, H, W)`` float32; outside of the moving
    scan its lowest value, or what was asked for. ``transform``: the whole pull-back on the fixed grid, fixed
    points to moving points, mm. ``inverse``: on the moving grid, moving points to fixed points, mm.
    ``rigid``, ``affine``, ``deformation``: its parts, None where not wanted or not reached;
    ``affine(p + deformation(p))`` is ``transform(p)``. ``seconds``: wall time of each stage. ``degraded``:
    the deadline cut a stage short; ``finished`` is the last that was completed. Where the deadline left no
    time for the inverse, it is computed when it is first used.
    """

    warped: Volume
    transform: DisplacementField
    inverse: DisplacementField
    rigid: Rigid | None
    affine: Affine | None
    deformation: DisplacementField | None


class LateField(DisplacementField):
    """A field that is computed when its displacement is first asked for.

    Args:
        grid: Where its voxels lie.
        make: The field, on that grid.
    """

    def __init__(self, grid: Grid, make: Callable[[], DisplacementField]) -> None:
        object.__setattr__(self, "grid", grid)
        object.__setattr__(self, "_make", make)

    def __getattr__(self, name: str) -> Float32:
        if name != "displacement_mm":
            raise AttributeError(name)
        u: Float32 = object.__getattribute__(self, "_make")().displacement_mm
        object.__setattr__(self, "displacement_mm", u)
        return u

    def __reduce__(self) -> tuple[Any, ...]:
        return DisplacementField, (self.displacement_mm, self.grid)


def inverse_of(
    found: Mapping[str, Any], deformation: DisplacementField | None, moving: Grid
) -> DisplacementField:
    """The inverse that the native pipeline found; else one that is computed when it is wanted.

    Args:
        found: By the pipeline: ``affine(p + deformation(p))`` is the moving point.
        deformation: The same as a field.
        moving: The grid of the moving scan.
    """
    if found["inverse_mm"] is not None:
        return DisplacementField(found["inverse_mm"], moving)

    def make() -> DisplacementField:
        back: Transform = Affine(found["affine"]).inverse()
        if deformation is not None:
            back = Composite((back, deformation.inverse()))
        return back.to_field(moving)

    return LateField(moving, make)
