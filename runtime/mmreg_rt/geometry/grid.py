"""Grids: where the voxels of a scan lie."""

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
MAX_SHEAR_VOX = 0.1  # distance of a corner voxel from its place with orthogonal axes


@dataclass(frozen=True, eq=False)
class Grid:
    """A lattice of voxel centres in space.

    Args:
        shape: Number of voxels along axes 0, 1, 2.
        affine: ``(4, 4)``, array indices to RAS+ mm. Kept as a read-only float64 copy.

    Raises:
        GeometryError: The shape or the affine is not valid for a scan.

    Example:
        >>> grid = Grid((1, 4, 5), np.diag([1.0, 2.0, 0.5, 1.0]))
        >>> grid.spacing_mm, grid.dims
        ((1.0, 2.0, 0.5), 2)
        >>> grid.map_indices([[0, 3, 4]])
        array([[0., 6., 2.]])
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
        """Spacing along axes 0, 1, 2, in mm."""
        s0, s1, s2 = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(s0), float(s1), float(s2)

    @property
    def dims(self) -> int:
        """Number of dimensions: 2 for a single slice ``(1, H, W)``, else 3."""
        return 2 if self.shape[0] == 1 else 3

    @property
    def size(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def handedness(self) -> str:
        """Handedness of axes 2, 1, 0 (x, y, z of the file) in RAS+ space: ``"right"`` or ``"left"``."""
        return "right" if np.linalg.det(self.affine[:3, 2::-1]) > 0 else "left"

    @property
    def is_oblique(self) -> bool:
        """True if an axis is more than 0.06 degrees off every patient axis."""
        directions = np.abs(self.affine[:3, :3] / self.spacing_mm)
        return bool((directions.max(axis=0) < 1 - 5e-7).any())  # cos(0.06 degrees)

    @property
    def shear(self) -> float:
        """Largest cosine between two axes: 0 if the axes are orthogonal."""
        directions = self.affine[:3, :3] / self.spacing_mm
        return float(np.abs((directions.T @ directions)[np.triu_indices(3, 1)]).max())

    @property
    def shear_vox(self) -> float:
        """Largest distance between a corner voxel and that of ``orthogonal()``, in voxels along each axis."""
        offset = np.linalg.inv(self.affine[:3, :3]) @ (self.orthogonal().corners_mm - self.corners_mm).T
        return float(np.linalg.norm(offset, axis=0).max())

    def orthogonal(self) -> Grid:
        """Return the nearest grid with orthogonal axes, the same spacing and the same centre."""
        spacing = np.array(self.spacing_mm)
        affine = self.affine.copy()
        affine[:3, :3] = nearest_orthogonal(self.affine[:3, :3] / spacing) * spacing
        affine[:3, 3] = self.centre_mm - affine[:3, :3] @ ((np.array(self.shape) - 1) / 2)
        return Grid(self.shape, affine)

    def lattice(self, planes: int) -> npt.NDArray[np.int64]:
        """Return evenly spread indices ``(N, 3)``, at most ``planes`` along each axis, ends included."""
        lines = [np.unique(np.linspace(0, n - 1, min(n, planes)).astype(np.int64)) for n in self.shape]
        return np.stack(np.meshgrid(*lines, indexing="ij"), -1).reshape(-1, 3)

    @property
    def centre_mm(self) -> Float64:
        """Centre of the field of view, ``(3,)``, RAS+ mm."""
        centre: Float64 = self.map_indices((np.array([self.shape], np.float64) - 1) / 2)[0]
        return centre

    @property
    def corners_mm(self) -> Float64:
        """Centres of the eight corner voxels, ``(8, 3)``, RAS+ mm."""
        return self.map_indices(np.array([*np.ndindex(2, 2, 2)]) * (np.array(self.shape) - 1))

    def map_indices(self, indices: npt.ArrayLike) -> Float64:
        """Map array indices ``(N, 3)``, whole or not, to points ``(N, 3)`` in RAS+ mm."""
        mapped: Float64 = as_points(indices) @ self.affine[:3, :3].T + self.affine[:3, 3]
        return mapped

    def map_points(self, points_mm: npt.ArrayLike) -> Float64:
        """Map points ``(N, 3)`` in RAS+ mm to array indices ``(N, 3)``, not rounded."""
        inverse = np.linalg.inv(self.affine[:3, :3])  # a product is ten times as fast as solving for each
        indices: Float64 = (as_points(points_mm) - self.affine[:3, 3]) @ inverse.T
        return indices

    def contains(self, points_mm: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Return, for each of ``(N, 3)`` points in RAS+ mm, whether it lies in a voxel of the grid."""
        indices = self.map_points(points_mm)
        inside = (indices >= -0.5) & (indices <= np.array(self.shape) - 0.5)
        return np.asarray(inside.all(axis=1))

    def points_mm(self) -> Float64:
        """Return every voxel centre, ``(D * H * W, 3)``, RAS+ mm, in array order."""
        return self.map_indices(np.indices(self.shape).reshape(3, -1).T)

    @arguments.checked(other=arguments.a("Grid"))
    def same_as(self, other: Grid, tolerance_mm: float = 1e-3) -> bool:
        """Return whether shapes are equal and all voxel centres agree to ``tolerance_mm``."""
        if self.shape != other.shape:
            return False  # an affine difference is largest at a corner
        return bool(np.linalg.norm(self.corners_mm - other.corners_mm, axis=1).max() <= tolerance_mm)

    def resampled(self, spacing_mm: float | Sequence[float]) -> Grid:
        """Return a grid over the same field of view with another spacing.

        The shape is rounded to whole voxels; the centre of the field of view and the thickness of a single
        slice are kept.

        Args:
            spacing_mm: One number, or one for each axis, in mm.

        Raises:
            GeometryError: The spacing is not above 0, or needs too many voxels.

        Example:
            >>> Grid((10, 20, 20), np.eye(4)).resampled(2.0).shape
            (5, 10, 10)
        """
        values = arguments.float64(spacing_mm, "spacing_mm", "MMREG_E_GRID_SPACING")
        spacing = np.broadcast_to(values, 3) if values.shape in ((), (1,), (3,)) else np.zeros(3)
        if not (np.isfinite(spacing).all() and (spacing > 0).all()):
            raise GeometryError(
                "MMREG_E_GRID_SPACING",
                f"A spacing must be above 0 mm; found {reprlib.repr(spacing_mm)}. Give one number, or three.",
            )
        current = np.array(self.spacing_mm)
        spacing = np.where([self.dims == 2, False, False], current, spacing)
        shape = np.maximum(1, np.rint(np.array(self.shape) * current / spacing))
        if shape.prod() > MAX_VOXELS:
            raise GeometryError(
                "MMREG_E_GRID_SHAPE",
                f"A spacing of {spacing_mm} mm would need {shape.prod():.3g} voxels; the limit is "
                f"{MAX_VOXELS}. Choose a larger spacing.",
            )
        affine = self.affine.copy()
        affine[:3, :3] *= spacing / current
        affine[:3, 3] = self.centre_mm - affine[:3, :3] @ ((shape - 1) / 2)
        d, h, w = (int(n) for n in shape)
        return Grid((d, h, w), affine)


def nearest_orthogonal(matrix: Float64) -> Float64:
    """Return the orthogonal matrix nearest to ``matrix`` ``(3, 3)``; a reflection stays one."""
    left, _, right = np.linalg.svd(matrix)
    nearest: Float64 = left @ right
    return nearest


def as_points(points: npt.ArrayLike) -> Float64:
    """Convert ``points`` to ``(N, 3)`` float64.

    Raises:
        InputError: They do not have this shape, or are not numbers.
    """
    array = arguments.float64(points, "Points", "MMREG_E_POINTS_SHAPE")
    if array.ndim != 2 or array.shape[1] != 3:
        raise InputError(
            "MMREG_E_POINTS_SHAPE", f"Points must be an array (N, 3), one point a row; found {array.shape}."
        )
    return array


def _checked_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    try:
        d, h, w = whole = tuple(_count(n) for n in shape)
    except (TypeError, ValueError, OverflowError):
        raise GeometryError(
            "MMREG_E_GRID_SHAPE",
            f"The shape of a grid must be three whole numbers of at least 1; found {reprlib.repr(shape)}.",
        ) from None
    if d * h * w > MAX_VOXELS:
        raise GeometryError(
            "MMREG_E_GRID_SHAPE",
            f"A grid of {whole} has {d * h * w} voxels; the limit is {MAX_VOXELS}. Crop or resample it.",
        )
    return d, h, w


def _count(voxels: float) -> int:
    count = int(voxels)
    if count != voxels or count < 1 or isinstance(voxels, str | bytes | bool | np.bool_):
        raise ValueError
    return count
