"""Results of a registration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from .geometry import Volume
from .network.timing import late
from .transform import Affine, Composite, DisplacementField, Rigid, Transform

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from ._native import Result
    from .geometry import Float32, Float64, Grid
    from .input_validation import CheckedPair

    Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Evidence:
    """Measures of the linear part of a transform that it was not optimised for.

    Attributes:
        drift_mm: How far maximising mutual information from this pose moves the body.
        residual_mm: Affine motion that a dense search of MIND-SSC patterns still finds.
        scatter_mm: Median motion of that search.
        far_fraction: Share of the body that it moves by more than a twentieth of ``body_mm``.
        body_mm: Diameter of the body in the fixed scan.
        agreement: Agreement of the edges of both scans: 1 if every edge has its counterpart.
        agreement_elsewhere: The same at other places of the scans.
        agreement_moved: Mean of it over poses that are off by three voxels.
        agreement_moved_most: Maximum of it over these poses.
        turned: Mutual information times agreement of edges reached from half turns of the pose, as a share of
            what the pose itself reaches.
        mirrored: The same for reflections of the pose.
        turned_information: ``turned``, of mutual information alone.
        mirrored_information: ``mirrored``, of mutual information alone.
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
    """Figures of quality of a registration, measured without a ground truth.

    Similarity is measured near the body of the fixed scan, over voxels that both scans show before and after,
    and does not depend on offset or gain of the intensities. *Before* is with the headers as they are. A
    figure is None if it was not requested or the deadline left no time for it; those before, also if the
    headers put too little of the moving scan on that body.

    Attributes:
        nmi_before: Normalised mutual information: 1 for independent scans, 2 if each determines the other.
        nmi_after: The same after registration.
        mind_before: Mean squared difference of MIND-SSC features at half resolution.
        mind_after: The same after registration.
        folded_voxels: Voxels whose Jacobian determinant is not positive, for the worst of central and all
            eight one-sided differences.
        inverse_folded_voxels: The same count for the inverse.
        min_jacobian: Smallest Jacobian determinant.
        inverse_consistency_mean_mm: Mean distance of a fixed point from itself after transform and inverse.
        inverse_consistency_p95_mm: 95th percentile of it.
        inverse_consistency_max_mm: Maximum of it.
        displacement_p50_mm: Median length of the deformation, without the affine part.
        displacement_p95_mm: 95th percentile of it.
        displacement_max_mm: Maximum of it.
        overlap_fraction: Share of the body of the fixed scan that the moving scan covers.
        evidence: What the verdict rests on; see ``docs/verdict.md``.
    """

    nmi_before: float | None
    nmi_after: float | None
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


_FIGURES = tuple(f.name for f in fields(Quality) if f.name != "evidence")


@dataclass(frozen=True, eq=False, kw_only=True)
class RegistrationSummary:
    """Fields shared by host and device results; see ``Registration``."""

    rigid: Rigid | None
    affine: Affine | None
    seconds: Mapping[str, float]
    quality: Quality
    degraded: bool
    finished: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    tracked: bool = False


def quality_of(result: Result) -> Quality:
    """Return the figures of a pipeline result."""
    figures = result.quality
    pose, residual, evidence = figures.pose, figures.residual, None
    if pose.known and residual.known:
        motion = {
            "residual_mm": residual.affine_mm,
            "scatter_mm": residual.median_mm,
            "far_fraction": residual.far,
        }
        of_pose = {f.name: getattr(pose, f.name) for f in fields(Evidence) if f.name not in motion}
        evidence = Evidence(**of_pose, **motion)
    return Quality(**{name: getattr(figures, name) for name in _FIGURES}, evidence=evidence)


def figures_of(quality: str, inverse: bool) -> tuple[str, ...]:
    """Return the names of the figures that are measured.

    Args:
        quality: ``"full"``, ``"fast"`` or ``"none"``.
        inverse: The inverse is computed.
    """
    if quality == "none":
        return ()
    fast = [name for name in _FIGURES if not name.startswith(("mind_", "inverse_"))]
    if quality == "fast":
        return tuple(fast)
    return tuple(name for name in _FIGURES if inverse or not name.startswith("inverse_"))


def summary_fields(
    result: Result,
    seconds: Mapping[str, float],
    warnings: tuple[str, ...],
    align: str,
    figures: tuple[str, ...] = _FIGURES,
) -> RegistrationSummary:
    """Collect the fields that results on the host and on a device share.

    Args:
        result: Result of the native pipeline.
        seconds: Wall time of the stages before it, s.
        warnings: Warnings so far.
        align: The linear part: ``"none"``, ``"rigid"`` or ``"affine"``.
        figures: Names of the figures that were requested.
    """
    quality = quality_of(result)
    return RegistrationSummary(
        rigid=None if align == "none" else Rigid(result.rigid),
        affine=Affine(result.affine) if align == "affine" else None,
        seconds={**seconds, **result.seconds},
        quality=quality,
        degraded=result.degraded,
        finished=result.finished,
        settings=result.settings,
        warnings=warnings + tuple(_warnings_of(result, quality, figures)),
        tracked=result.tracked,
    )


def _warnings_of(result: Result, quality: Quality, figures: tuple[str, ...]) -> Iterator[str]:
    if result.start_kept:
        yield "the alignment is that of the headers: none was found that is better"
    if not result.deformation.kept:
        yield "the deformation was left out: it does not improve on the alignment more than by chance"
    network = result.network
    if warning := late(network.end, network.expected_s, network.left_s):
        yield warning
    missing = [name for name in figures if getattr(quality, name) is None]
    if quality.nmi_after is not None:  # then those before are missing for want of overlap
        missing = [name for name in missing if not name.endswith("_before")]
    if missing:
        yield f"the deadline left no time to measure {', '.join(missing)}"


@dataclass(frozen=True, eq=False)
class Registration(RegistrationSummary):
    """The result of ``Registrar.register``.

    Attributes:
        warped: The moving scan on the fixed grid, ``(D, H, W)`` float32.
        valid: ``(D, H, W)`` uint8: 1 where ``warped`` was sampled inside the moving scan.
        transform: The whole pull-back on the fixed grid, fixed points to moving points.
        inverse: The same on the moving grid, moving points to fixed points. If it was not requested, or the
            deadline left no time for it, it is computed on first use.
        rigid: Rigid part; None if it was not wanted.
        affine: Affine part; None if it was not wanted.
        deformation: ``affine(p + deformation(p))`` is ``transform(p)``; None without one.
        seconds: Wall time of each stage, s.
        quality: Figures of quality.
        degraded: The deadline cut a stage short.
        finished: The last stage that was completed.
        settings: What ran, and with which settings.
        warnings: Oddities of the scans, and what was left out.
        tracked: The alignment started from the transform of the call before, in a ``Session``.
    """

    warped: Volume
    valid: Bytes
    transform: DisplacementField
    inverse: DisplacementField
    deformation: DisplacementField | None

    @property
    def displacement_mm(self) -> Float32:
        """``(3, D, H, W)`` float32, RAS+ mm: that of ``transform``, as on a device and of a plan."""
        return self.transform.displacement_mm

    @property
    def inverse_mm(self) -> Float32:
        """``(3, D, H, W)`` float32, RAS+ mm, on the moving grid: that of ``inverse``."""
        return self.inverse.displacement_mm

    @property
    def deformation_mm(self) -> Float32 | None:
        """``(3, D, H, W)`` float32, RAS+ mm: that of ``deformation``; None without one."""
        return None if self.deformation is None else self.deformation.displacement_mm


class LateField(DisplacementField):
    """A field that is computed when its displacement is first used.

    Args:
        grid: Where its voxels lie.
        make: Computes the field on that grid.
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

    def __reduce__(self) -> tuple[type[DisplacementField], tuple[Float32, Grid]]:
        return DisplacementField, (self.displacement_mm, self.grid)


def inverse_of(result: Result, deformation: DisplacementField | None, moving: Grid) -> DisplacementField:
    """Return the inverse that the pipeline computed, else one that is computed on first use.

    Args:
        result: Result of the native pipeline: ``affine(p + deformation(p))`` is the moving point.
        deformation: The same deformation as a field.
        moving: The grid of the moving scan.
    """
    if result.inverse_mm is not None:
        return DisplacementField(result.inverse_mm, moving)
    affine = Affine(result.affine)

    def make() -> DisplacementField:
        back: Transform = affine.inverse()
        if deformation is not None:
            back = Composite((back, deformation.inverse()))
        return back.to_field(moving)

    return LateField(moving, make)


def to_registration(result: Result, pair: CheckedPair, summary: RegistrationSummary) -> Registration:
    """Return a pipeline result as a ``Registration``.

    Args:
        result: Result of the native pipeline.
        pair: The scans that were registered.
        summary: Output of ``summary_fields``.
    """
    grid, u = pair.fixed.grid, result.deformation_mm
    deformation = None if u is None else DisplacementField(u, grid)
    return Registration(
        warped=Volume(result.warped, grid, pair.fixed.source),
        valid=result.valid,
        transform=DisplacementField(result.displacement_mm, grid),
        inverse=inverse_of(result, deformation, pair.moving.grid),
        deformation=deformation,
        **vars(summary),
    )


def cascade_settings(result: Result) -> dict[str, int | str | Float64]:
    """Return what became of networks that output rigid transforms, for ``Registration.settings``."""
    cascade = result.cascade
    refinement = cascade.refinement
    if refinement == "rejected":
        refinement = f"rejected: it led {cascade.away_mm:.1f} mm away"
    return {
        "stages_run": cascade.stages_run,
        "refinement": refinement,
        "window_centre_mm": np.array(cascade.window_centre_mm),
    }
