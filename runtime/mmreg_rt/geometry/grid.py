"""Grids and the scans that lie on them."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import arguments
from ..errors import GeometryError, InputError
from .affine import checked_affine

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Float32 = npt.NDArray[np.float32]
    Float64 = npt.NDArray[np.float64]
    Int32 = npt.NDArray[np.int32]

MAX_VOXELS = 2**31 - 1  # the native operations count voxels of one grid in 31 bits
MAX_SHEAR_VOX = 0.1  # of a corner voxel from where orthogonal axes would put it


@dataclass(frozen=True, eq=False)
class Grid:
    """A lattice of voxel centres in space.

    Args:
        shape: Voxels along axes 0, 1, 2.
        affine: ``(4, 4)`` float64, array indices to RAS+ mm. Kept as a read-only copy.

    Raises:
        GeometryError: The shape or the affine cannot be that of a scan; the message says why.

    Example:
        >>> grid = Grid((1, 4, 5), np.diag([1.0, 2.0, 0.5, 1.0]))
        >>> grid.spacing_mm, grid.dims
        ((1.0, 2.0, 0.5), 2)
    """

    shape: tuple[int, int, int]
    affine: Float64

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _checked_shape(self.shape))
        object.__setattr__(self, "affine", checked_affine(self.affine))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grid):
            return NotImplemented
        return self.shape == other.shape and bool(np.array_equal(self.affine, other.affine))

    def __hash__(self) -> int:
        return hash((self.shape, (self.affine + 0.0).tobytes()))  # -0.0 equals 0.0

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxels along axes 0, 1, 2."""
        s0, s1, s2 = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(s0), float(s1), float(s2)

    @property
    def dims(self) -> int:
        """2 for a single slice, ``(1, H, W)``, else 3."""
        return 2 if self.shape[0] == 1 else 3

    @property
    def size(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def handedness(self) -> str:
        """``"right"`` or ``"left"``: how axes 2, 1, 0 (x, y, z of the file) lie in RAS+ space."""
        return "right" if np.linalg.det(self.affine[:3, 2::-1]) > 0 else "left"

    @property
    def is_oblique(self) -> bool:
        """Whether some axis is more than 0.06 degrees off every axis of the patient."""
        directions = np.abs(self.affine[:3, :3] / self.spacing_mm)
        return bool((directions.max(axis=0) < 1 - 5e-7).any())  # cos(0.06 degrees)

    @property
    def shear(self) -> float:
        """Largest cosine between two axes: 0 for a scan, whose axes are orthogonal."""
        directions = self.affine[:3, :3] / self.spacing_mm
        return float(np.abs((directions.T @ directions)[np.triu_indices(3, 1)]).max())

    @property
    def shear_vox(self) -> float:
        """How far the axes are from orthogonal: by how much a corner voxel of ``orthogonal()`` lies off.

        In voxels, each axis by its own spacing.
        """
        apart = np.linalg.inv(self.affine[:3, :3]) @ (self.orthogonal().corners_mm - self.corners_mm).T
        return float(np.linalg.norm(apart, axis=0).max())

    def orthogonal(self) -> Grid:
        """The nearest grid with orthogonal axes: spacing and centre of the field of view are kept."""
        spacing = np.array(self.spacing_mm)
        affine = self.affine.copy()
        affine[:3, :3] = nearest_orthogonal(self.affine[:3, :3] / spacing) * spacing
        affine[:3, 3] = self.centre_mm - affine[:3, :3] @ ((np.array(self.shape) - 1) / 2)
        return Grid(self.shape, affine)

    def lattice(self, planes: int) -> npt.NDArray[np.int64]:
        """Array indices ``(N, 3)`` spread evenly: at most ``planes`` along each axis, its ends included."""
        lines = [np.unique(np.linspace(0, n - 1, min(n, planes)).astype(np.int64)) for n in self.shape]
        return np.stack(np.meshgrid(*lines, indexing="ij"), -1).reshape(-1, 3)

    @property
    def centre_mm(self) -> Float64:
        """``(3,)``: the middle of the field of view."""
        center: Float64 = self.map_indices((np.array([self.shape], np.float64) - 1) / 2)[0]
        return center

    @property
    def corners_mm(self) -> Float64:
        """``(8, 3)``: centres of the eight corner voxels."""
        return self.map_indices(np.array([*np.ndindex(2, 2, 2)]) * (np.array(self.shape) - 1))

    def map_indices(self, indices: npt.ArrayLike) -> Float64:
        """RAS+ mm, ``(N, 3)``, of array indices ``(N, 3)``, whole or not."""
        mapped: Float64 = as_points(indices) @ self.affine[:3, :3].T + self.affine[:3, 3]
        return mapped

    def map_points(self, points_mm: npt.ArrayLike) -> Float64:
        """Array indices, ``(N, 3)``, of points ``(N, 3)`` in RAS+ mm."""
        inverse = np.linalg.inv(self.affine[:3, :3])  # a product is ten times as fast as solving for each
        indices: Float64 = (as_points(points_mm) - self.affine[:3, 3]) @ inverse.T
        return indices

    def contains(self, points_mm: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether each of ``(N, 3)`` points, RAS+ mm, lies in a voxel of the grid."""
        indices = self.map_points(points_mm)
        inside = (indices >= -0.5) & (indices <= np.array(self.shape) - 0.5)
        return np.asarray(inside.all(axis=1))

    def points_mm(self) -> Float64:
        """RAS+ mm of every voxel centre, ``(D * H * W, 3)``, in the order of the array."""
        return self.map_indices(np.indices(self.shape).reshape(3, -1).T)

    @arguments.checked(other=arguments.a("Grid"))
    def same_as(self, other: Grid, tolerance_mm: float = 1e-3) -> bool:
        """Whether both have one shape and no voxel centre is further than this from its twin."""
        if self.shape != other.shape:
            return False  # an affine difference is largest at a corner
        return bool(np.linalg.norm(self.corners_mm - other.corners_mm, axis=1).max() <= tolerance_mm)

    def resampled(self, spacing_mm: float | Sequence[float]) -> Grid:
        """The same field of view with another spacing: one number, or one along each axis.

        The shape is rounded to whole voxels and the centre of the field of view is kept. The thickness of a
        single slice is kept too.
        """
        given = arguments.float64(spacing_mm, "spacing_mm", "MMREG_E_GRID_SPACING")
        asked = np.broadcast_to(given, 3) if given.shape in ((), (1,), (3,)) else np.zeros(3)
        if not (np.isfinite(asked).all() and (asked > 0).all()):
            raise GeometryError(
                "MMREG_E_GRID_SPACING",
                f"A resampled grid needs a spacing above 0 mm; found {reprlib.repr(spacing_mm)}. Give a "
                "number, or three.",
            )
        have = np.array(self.spacing_mm)
        asked = np.where([self.dims == 2, False, False], have, asked)
        shape = np.maximum(1, np.rint(np.array(self.shape) * have / asked))
        if shape.prod() > MAX_VOXELS:
            raise GeometryError(
                "MMREG_E_GRID_SHAPE",
                f"A spacing of {spacing_mm} mm would need {shape.prod():.3g} voxels; the limit is "
                f"{MAX_VOXELS}. Choose a larger spacing.",
            )
        affine = self.affine.copy()
        affine[:3, :3] *= asked / have
        affine[:3, 3] = self.centre_mm - affine[:3, :3] @ ((shape - 1) / 2)
        d, h, w = (int(n) for n in shape)
        return Grid((d, h, w), affine)


def nearest_orthogonal(matrix: Float64) -> Float64:
    """The orthogonal matrix nearest to ``matrix`` ``(3, 3)``; it mirrors where that does."""
    left, _, right = np.linalg.svd(matrix)
    nearest: Float64 = left @ right
    return nearest


def as_points(points: npt.ArrayLike) -> Float64:
    """``points`` as ``(N, 3)`` float64."""
    array = arguments.float64(points, "Points", "MMREG_E_POINTS_SHAPE")
    if array.ndim != 2 or array.shape[1] != 3:
        raise InputError(
            "MMREG_E_POINTS_SHAPE", f"Points are an array (N, 3), one point a row; found shape {array.shape}."
        )
    return array


def _checked_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    try:
        d, h, w = whole = tuple(_count(n) for n in shape)
    except (TypeError, ValueError, OverflowError):
        raise GeometryError(
            "MMREG_E_GRID_SHAPE",
            f"A grid needs three whole numbers of voxels, each at least 1; found {reprlib.repr(shape)}.",
        ) from None
    if d * h * w > MAX_VOXELS:
        raise GeometryError(
            "MMREG_E_GRID_SHAPE",
            f"A grid of {whole} has {d * h * w} voxels; the limit is {MAX_VOXELS}. Crop or resample it.",
        )
    return d, h, w


def _count(voxels: Any) -> int:
    count = int(voxels)
    if count != voxels or count < 1 or isinstance(voxels, str | bytes | bool | np.bool_):
        raise ValueError
    return count
