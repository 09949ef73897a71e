"""Free-form deformations: displacements as cubic B-splines on a coarse lattice (Rueckert et al. 1999)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..geometry import Grid, as_points
from .checks import check_displacement
from .transform import DisplacementField, Transform

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..geometry import Float32, Float64

    Flags = npt.NDArray[np.bool_]
    Int64 = npt.NDArray[np.int64]

CHUNK = 1 << 16  # points that are evaluated together
EDGE_VOX = 1e-6  # rounding by which a point may lie beyond the last cell
ALIGNED = 1e-9  # largest entry of an index map off its diagonal, relative to the largest on it


@dataclass(frozen=True, eq=False)
class SplineField(Transform):
    """A cubic B-spline transform, ``p -> p + sum(c[i] * B(x - i))`` with ``x`` the lattice index of ``p``.

    Points without all 64 control points around them do not move, as in ITK.

    Args:
        coefficients_mm: ``c``, ``(3, D, H, W)`` float32, mm, components x, y, z along RAS+.
        lattice: Grid of the control points.
        domain: Grid of the fixed scan that the transform was computed on.

    Raises:
        TransformError: The coefficients do not fit the lattice, are not finite or are not in mm.
    """

    coefficients_mm: Float32
    lattice: Grid
    domain: Grid

    def __post_init__(self) -> None:
        with np.errstate(over="ignore"):  # values that overflow are refused as not finite
            values = np.ascontiguousarray(self.coefficients_mm, np.float32)
        check_displacement(values, self.lattice)
        object.__setattr__(self, "coefficients_mm", values)

    def default_grid(self) -> Grid:
        return self.domain

    def covers(self, points_mm: npt.ArrayLike) -> Flags:
        index = self.lattice.map_points(as_points(points_mm))
        inside: Flags = np.all([_cells(index[:, a], n)[2] for a, n in enumerate(self.lattice.shape)], axis=0)
        return inside

    def moved(self, points: Float64) -> Float64:
        moved = np.array(points, np.float64)
        for start in range(0, len(points), CHUNK):
            piece = slice(start, start + CHUNK)
            moved[piece] += self._displacement(self.lattice.map_points(points[piece]))
        return moved

    def inverse(self) -> DisplacementField:
        """Return the inverse of the displacement at the voxels of ``domain``.

        Raises:
            TransformError: The field folds, so it has no inverse.
        """
        return self.to_field(self.domain).inverse()

    def to_field(self, grid: Grid) -> DisplacementField:
        index_map: Float64 = np.linalg.inv(self.lattice.affine) @ grid.affine
        steps = np.diag(index_map)[:3]
        if np.abs(index_map[:3, :3] - np.diag(steps)).max() > ALIGNED * np.abs(steps).max():
            return super().to_field(grid)
        u: Float64 = self.coefficients_mm.astype(np.float64)
        for axis, (count, step) in enumerate(zip(grid.shape, steps, strict=True)):  # separable
            weights = _matrix(index_map[axis, 3] + step * np.arange(count), self.lattice.shape[axis])
            u = np.moveaxis(np.tensordot(weights, u, (1, axis + 1)), 0, axis + 1)
        return DisplacementField(u.astype(np.float32), grid)

    def after(self, field: DisplacementField) -> DisplacementField:
        u: Float32 = np.empty(field.displacement_mm.shape, np.float32)
        depth, height, width = field.grid.shape
        plane = np.stack(np.meshgrid(0, np.arange(height), np.arange(width), indexing="ij"), -1)
        for k in range(depth):
            start = field.grid.map_indices(plane.reshape(-1, 3) + np.array([k, 0, 0]))
            points = start + field.displacement_mm[:, k].reshape(3, -1).T
            u[:, k] = (self.moved(points) - start).T.reshape(3, height, width)
        return DisplacementField(u, field.grid)

    def _displacement(self, index: Float64) -> Float64:
        cells = [_cells(index[:, a], n) for a, n in enumerate(self.lattice.shape)]
        inside = np.all([known for _, _, known in cells], axis=0)
        u = np.zeros((len(index), 3))
        first = [start[inside] for start, _, _ in cells]
        weight = [values[:, inside] for _, values, _ in cells]
        for i, j, k in np.ndindex(4, 4, 4):
            at = self.coefficients_mm[:, first[0] + i, first[1] + j, first[2] + k]
            u[inside] += (weight[0][i] * weight[1][j] * weight[2][k] * at).T
        return u


def _cells(x: Float64, count: int) -> tuple[Int64, Float64, Flags]:
    """Return the first of four control points, their weights ``(4, N)``, and whether all four are there."""
    inside = (x >= 1 - EDGE_VOX) & (x <= count - 2 + EDGE_VOX) & (count >= 4)
    low = np.clip(np.floor(np.where(inside, x, 1)), 1, max(count - 3, 1)).astype(np.int64)
    t = np.where(inside, x - low, 0)
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / 6
    return low - 1, weights, inside


def _matrix(x: Float64, count: int) -> Float64:
    """Return the weight of each of ``count`` control points at each index ``x``, zero outside."""
    first, weights, inside = _cells(x, count)
    matrix = np.zeros((len(x), count))
    rows = np.flatnonzero(inside)
    for i in range(4):
        matrix[rows, first[rows] + i] = weights[i, rows]
    return matrix
