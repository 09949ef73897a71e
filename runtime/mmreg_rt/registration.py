"""What a registration gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .transform import Affine, Composite, DisplacementField, Rigid, Transform

if TYPE_CHECKING:
    from collections.abc import Callable

    from .geometry import Float32, Grid, Volume


@dataclass(frozen=True)
class Quality:
    """How good a registration is, as far as it can be told without a ground truth.

    ``similarity_*`` is the normalised mutual information of both scans where they overlap (1:
    independent, 2: each determines the other), ``mind_*`` the mean squared difference of their MIND-SSC
    features at half resolution; *before* is with the two headers as they are. ``folded_voxels`` counts
    the voxels of the transform whose Jacobian determinant is not positive, for the worst of central and
    all eight one-sided differences; ``min_jacobian`` is the least of them. ``inverse_consistency_*_mm``
    is how far a fixed point lands from itself after the transform and then its inverse.
    ``displacement_*_mm`` is the length of the deformation, without the affine part. None: the deadline
    left no time to measure it.
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
    left_out = [name for name, figure in found["quality"].items() if figure is None]
    if left_out:
        warnings = (*warnings, f"the deadline left no time to measure {', '.join(left_out)}")
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
        if name != "displacement":
            raise AttributeError(name)
        u: Float32 = object.__getattribute__(self, "_make")().displacement
        object.__setattr__(self, "displacement", u)
        return u

    def __reduce__(self) -> tuple[Any, ...]:
        return DisplacementField, (self.displacement, self.grid)


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
