"""Inversion of a displacement field in the space that it maps to; scans may lie turned and far apart.

The affine part of the field is inverted exactly, and the remainder by fixed-point iteration (Chen et al., "A
simple fixed-point approach to invert a deformation field", Med. Phys. 35, 2008), which converges where the
remainder does not fold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import TransformError
from ..geometry import MAX_VOXELS, Grid, nearest_orthogonal
from . import fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..geometry import Float32, Float64

MAX_INVERSE_ERROR_VOX = 0.5  # a larger residual anywhere means that there is no inverse
PLANES = 20  # planes along each axis whose voxels the affine part is fitted to
MAX_PADDING_VOX = 64


def affine_part(displacement: Float32, grid: Grid) -> Float64:
    """Return the affine ``(4, 4)`` nearest to a field, in least squares over a lattice of its voxels."""
    index = grid.lattice(PLANES)
    points = grid.map_indices(index)
    i0, i1, i2 = index.T
    u = displacement[:, i0, i1, i2].T.astype(np.float64)
    middle = points.mean(axis=0)
    # least squares of smallest norm: along an axis of one voxel the affine stays the identity
    slope = np.linalg.lstsq(points - middle, u - u.mean(axis=0), rcond=1e-9)[0].T
    matrix = np.eye(4)
    matrix[:3, :3] += slope
    matrix[:3, 3] = u.mean(axis=0) - slope @ middle
    return matrix if np.linalg.det(matrix) > 1e-3 else np.eye(4)


def grid_under(moved: Callable[[Float64], Float64], grid: Grid, linear: Float64) -> Grid:
    """Return a grid that covers all voxels of ``grid`` after ``moved`` has mapped their centres.

    It is rotated and scaled by ``linear`` ``(3, 3)``, the linear part of the transform, with orthogonal axes
    and a margin of one voxel. An axis of one voxel keeps one.
    """
    axes = linear @ grid.affine[:3, :3]
    spacing = np.linalg.norm(axes, axis=0)
    affine = np.eye(4)
    affine[:3, :3] = nearest_orthogonal(axes / spacing) * spacing
    reached = moved(grid.map_indices(grid.lattice(2 * PLANES)))
    index = np.linalg.solve(affine[:3, :3], reached.T).T
    origin = np.where(np.array(grid.shape) == 1, index.mean(axis=0), index.min(axis=0) - 1)
    count = np.where(np.array(grid.shape) == 1, 1, np.ceil(np.ptp(index, axis=0) + 3 - 1e-6))
    if count.prod() > MAX_VOXELS:
        raise TransformError(
            "MMREG_E_TRANSFORM_NEEDS_GRID",
            f"The space that the transform maps to needs {count.prod():.3g} voxels at the spacing of its "
            f"grid; the limit is {MAX_VOXELS}. Give a grid.",
        )
    affine[:3, 3] = affine[:3, :3] @ origin
    d, h, w = (int(n) for n in count)
    return Grid((d, h, w), affine)


def undo(displacement: Float32, grid: Grid) -> tuple[Float32, Grid]:
    """Return the inverse of a field without affine part, on its grid extended by the length of its vectors.

    Raises:
        TransformError: The field folds, so it has no inverse.
    """
    u_vox = fields.to_voxels(displacement, grid, grid)
    padding = _padding(u_vox)
    v_vox, error_vox = fields.invert(np.pad(u_vox, ((0, 0), *((n, n) for n in padding)), mode="edge"))
    if not error_vox <= MAX_INVERSE_ERROR_VOX:
        raise TransformError(
            "MMREG_E_TRANSFORM_NOT_INVERTIBLE",
            f"An inverse needs a field that does not fold; this one has an error of {error_vox:.3g} voxels "
            f"(limit {MAX_INVERSE_ERROR_VOX}). See folding(), and smooth the field or register again.",
        )
    affine = grid.affine.copy()
    affine[:3, 3] = grid.map_indices(-np.array([padding]))[0]
    _, d, h, w = v_vox.shape
    padded = Grid((d, h, w), affine)
    return fields.to_mm(v_vox, padded), padded


def _padding(u_vox: Float32) -> tuple[int, ...]:
    """Return the number of voxels to add along each axis, which the field may map to."""
    reach = np.ceil(np.abs(u_vox).max(axis=(1, 2, 3))).astype(int) + 1
    return tuple(
        0 if n == 1 else int(min(r, n, MAX_PADDING_VOX)) for r, n in zip(reach, u_vox.shape[1:], strict=True)
    )
