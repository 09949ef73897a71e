"""A stand-in for the registrar: it knows the answer, for tests of reports and commands."""

from dataclasses import dataclass, field, replace
from types import ModuleType, SimpleNamespace

import numpy as np

from mmreg_rt.errors import GeometryError
from mmreg_rt.geometry import Grid, Volume
from mmreg_rt.transform import DisplacementField, Rigid


@dataclass(frozen=True)
class Evidence:
    drift_mm: float = 0.2
    residual_mm: float = 0.3
    scatter_mm: float = 0.4
    far_fraction: float = 0.05
    body_mm: float = 60.0
    agreement: float = 0.6
    agreement_elsewhere: float = 0.05
    agreement_moved: float = 0.2
    agreement_moved_most: float = 0.3
    turned: float = 0.3
    mirrored: float = 0.5
    turned_information: float = 0.6
    mirrored_information: float = 0.9


@dataclass(frozen=True)
class Quality:
    similarity_before: float = 1.05
    similarity_after: float = 1.21
    mind_before: float = 0.11
    mind_after: float = 0.07
    folded_voxels: int = 0
    inverse_folded_voxels: int = 0
    min_jacobian: float = 0.6
    inverse_consistency_mean_mm: float = 0.05
    inverse_consistency_p95_mm: float = 0.1
    inverse_consistency_max_mm: float = 0.4
    displacement_p50_mm: float = 3.0
    displacement_p95_mm: float = 6.0
    displacement_max_mm: float = 9.0
    overlap_fraction: float = 0.95
    evidence: Evidence | None = field(default_factory=Evidence)


@dataclass(frozen=True)
class Registration:
    warped: object
    transform: object
    inverse: object
    rigid: object = None
    affine: object = None
    deformation: object = None
    seconds: dict = field(default_factory=lambda: {"preprocess": 0.1, "align_affine": 0.2, "deform": 0.7})
    quality: Quality = field(default_factory=Quality)
    degraded: bool = False
    settings: dict = field(default_factory=lambda: {"search_mm": [12.0, 8.0], "mind": {"radius": 1}})
    warnings: tuple = ()


SHIFT_MM = np.array([4.0, -3.0, 2.0])


def scans(shape=(14, 20, 24), spacing=(4.0, 2.0, 2.0)):
    """A bright box with a darker core; the moving one is shifted by ``SHIFT_MM`` and inverted."""
    affine = np.zeros((4, 4))
    affine[:3, :3] = (np.eye(3)[::-1] * np.array(spacing)[:, None]).T
    affine[:3, 3] = -20, -15, -25
    affine[3, 3] = 1
    grid = Grid(shape, affine)
    moved = grid.affine.copy()
    moved[:3, 3] += SHIFT_MM
    index = np.indices(shape).reshape(3, -1).T / (np.array(shape) - 1 + 1e-9) - 0.5
    radius = np.abs(index).max(axis=1).reshape(shape)
    image = np.select([radius < 0.2, radius < 0.4], [400, 1000], 0).astype(np.int16)
    other = np.select([radius < 0.2, radius < 0.4], [700, 100], -50).astype(np.int16)
    return Volume(image, grid), Volume(other, Grid(shape, moved))


def registration(fixed, moving, shift_mm=SHIFT_MM, **changes):
    u = np.broadcast_to(np.float32(shift_mm)[:, None, None, None], (3, *fixed.grid.shape))
    back = np.broadcast_to(np.float32(-shift_mm)[:, None, None, None], (3, *moving.grid.shape))
    transform = DisplacementField(np.ascontiguousarray(u), fixed.grid)
    matrix = np.eye(4)
    matrix[:3, 3] = shift_mm
    made = Registration(
        warped=transform.warp(moving, fixed),
        transform=transform,
        inverse=DisplacementField(np.ascontiguousarray(back), moving.grid),
        rigid=Rigid(matrix),
        affine=Rigid(matrix),
        deformation=DisplacementField(np.zeros_like(u), fixed.grid),
    )
    return replace(made, **changes)


def registrar_module(error=None, **changes):
    """A module to stand where ``mmreg_rt.registrar`` stands; ``error`` is raised in place of a result."""

    class Registrar:
        asked = SimpleNamespace()

        def __init__(self, model=None, *, progress=None, **options):
            self.progress = progress
            type(self).asked = SimpleNamespace(model=model, **options)

        def register(
            self, fixed, moving, *, fixed_mask=None, moving_mask=None, deadline_ms=None, outside=None
        ):
            vars(self.asked).update(
                fixed_mask=fixed_mask, moving_mask=moving_mask, deadline_ms=deadline_ms, outside=outside
            )
            for stage in ("preprocess", "align_affine", "deform"):
                self.progress(stage, 0.0)
            if error is not None:
                raise error
            return registration(fixed, moving, **changes)

    module = ModuleType("mmreg_rt.registrar")
    module.Registrar = Registrar
    return module


NO_OVERLAP = GeometryError(
    "MMREG_E_GEOMETRY_NO_OVERLAP", "The fields of view do not overlap. Check the headers."
)
