"""The inverse of a displacement field, where the field leads: scans may lie turned and far apart.

The affine part of the field is inverted exactly and what remains by fixed-point iteration (Chen et al., "A
simple fixed-point approach to invert a deformation field", Med. Phys. 35, 2008), which converges where the
remainder does not fold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from . import fields
from .errors import TransformError
from .geometry import MAX_VOXELS, Grid, as_points, nearest_orthogonal
from .transform import Affine, Composite, DisplacementField

if TYPE_CHECKING:
    import numpy.typing as npt

    from .geometry import Float32, Float64

MAX_INVERSE_ERROR_VOX = 0.5  # an inverse that misses by more, anywhere, is none
PLANES = 20  # along each axis, of the voxels that the affine part is fitted to
POLISH_VOX, POLISH_STEPS = 1e-6, 50  # of points: the float32 of the sampled inverse, taken to float64
MAX_PADDING_VOX = 64


@dataclass(frozen=True, eq=False)
class InverseField(DisplacementField):
    """The inverse of ``forward``: exact for points, and sampled as a displacement where they lie.

    Args:
        displacement: As of any field, on ``grid``.
        grid: In the space of the moving scan.
        forward: The field that this is the inverse of.
        back: Inverse of its affine part.
        chain: ``back``, then the inverse of what remains: continues beyond ``grid``.
    """

    forward: DisplacementField
    back: Affine
    chain: Composite

    def covers(self, points_mm: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        return self.forward.grid.contains(self.chain.moved(as_points(points_mm)))

    def to_field(self, grid: Grid) -> DisplacementField:
        return self if grid == self.grid else self.chain.to_field(grid)

    def after(self, field: DisplacementField) -> DisplacementField:
        return self.chain.after(field)

    def inverse(self, grid: Grid | None = None) -> DisplacementField:
        return self.forward if grid is None else self.forward.to_field(grid)

    def moved(self, points: Float64) -> Float64:
        """The chain's points, then Newton's steps with its affine slope for the field as it is."""
        found = self.chain.moved(points)
        slope = self.back.matrix[:3, :3].T
        limit_mm = POLISH_VOX * min(self.forward.grid.spacing_mm)
        miss = self.forward.moved(found) - points
        active = np.arange(len(points))
        for _ in range(POLISH_STEPS):
            active = active[(np.abs(miss[active]) > limit_mm).any(axis=1)]
            if not len(active):
                break
            tried = found[active] - miss[active] @ slope
            left = self.forward.moved(tried) - points[active]
            better = np.linalg.norm(left, axis=1) < np.linalg.norm(miss[active], axis=1)
            active = active[better]  # what no field covers does not come closer
            found[active], miss[active] = tried[better], left[better]
        return found


def inverse_of(field: DisplacementField, grid: Grid | None = None) -> InverseField:
    """The inverse of ``field``, sampled on ``grid``, by default on ``grid_under``.

    Raises:
        TransformError: The field folds, so it has no inverse.
    """
    affine = affine_part(field)
    back = affine.inverse()
    chain = Composite((back, _undone(back.after(field))))
    if grid is None:
        grid = grid_under(field, field.grid, affine.matrix[:3, :3])
    return InverseField(chain.to_field(grid).displacement, grid, field, back, chain)


def affine_part(field: DisplacementField) -> Affine:
    """The affine nearest to the field, in least squares over a lattice of its voxels."""
    index = field.grid.lattice(PLANES)
    points = field.grid.map_indices(index)
    i0, i1, i2 = index.T
    u = field.displacement[:, i0, i1, i2].T.astype(np.float64)
    middle = points.mean(axis=0)
    # least squares of smallest norm: along an axis of one voxel the affine stays the identity
    slope = np.linalg.lstsq(points - middle, u - u.mean(axis=0), rcond=1e-9)[0].T
    matrix = np.eye(4)
    matrix[:3, :3] += slope
    matrix[:3, 3] = u.mean(axis=0) - slope @ middle
    return Affine(matrix if np.linalg.det(matrix) > 1e-3 else np.eye(4))


def grid_under(transform: Affine | DisplacementField, grid: Grid, linear: Float64) -> Grid:
    """A grid that holds all voxels of ``grid`` once ``transform`` has moved them.

    It is turned and scaled as ``linear`` ``(3, 3)``, the linear part of the transform, says, with orthogonal
    axes and a margin of one voxel. An axis of one voxel keeps one.
    """
    axes = linear @ grid.affine[:3, :3]
    spacing = np.linalg.norm(axes, axis=0)
    affine = np.eye(4)
    affine[:3, :3] = nearest_orthogonal(axes / spacing) * spacing
    moved = transform.moved(grid.map_indices(grid.lattice(2 * PLANES)))
    index = np.linalg.solve(affine[:3, :3], moved.T).T
    origin = np.where(np.array(grid.shape) == 1, index.mean(axis=0), index.min(axis=0) - 1)
    count = np.where(np.array(grid.shape) == 1, 1, np.ceil(np.ptp(index, axis=0) + 3 - 1e-6))
    if count.prod() > MAX_VOXELS:
        raise TransformError(
            "MMREG_E_TRANSFORM_NEEDS_GRID",
            f"The space that the transform leads to takes {count.prod():.3g} voxels of the spacing of its "
            f"grid; the limit is {MAX_VOXELS}. Give a grid.",
        )
    affine[:3, 3] = affine[:3, :3] @ origin
    d, h, w = (int(n) for n in count)
    return Grid((d, h, w), affine)


def _undone(remainder: DisplacementField) -> DisplacementField:
    """The inverse of a field without affine part, on its grid and as far around as it reaches."""
    u_vox = fields.to_voxels(remainder.displacement, remainder.grid, remainder.grid)
    padding = _padding(u_vox)
    v_vox, missed_vox = fields.invert(np.pad(u_vox, ((0, 0), *((n, n) for n in padding)), mode="edge"))
    if not missed_vox <= MAX_INVERSE_ERROR_VOX:
        raise TransformError(
            "MMREG_E_TRANSFORM_NOT_INVERTIBLE",
            f"An inverse needs a field that does not fold; this one's misses by {missed_vox:.3g} voxels "
            f"somewhere (limit {MAX_INVERSE_ERROR_VOX}). Look at folding(), and smooth the field or register "
            "again.",
        )
    affine = remainder.grid.affine.copy()
    affine[:3, 3] = remainder.grid.map_indices(-np.array([padding]))[0]
    _, d, h, w = v_vox.shape
    grid = Grid((d, h, w), affine)
    return DisplacementField(fields.to_mm(v_vox, grid), grid)


def _padding(u_vox: Float32) -> tuple[int, ...]:
    """Voxels to add along each axis: what lies there may come from within."""
    reach = np.ceil(np.abs(u_vox).max(axis=(1, 2, 3))).astype(int) + 1
    return tuple(
        0 if n == 1 else int(min(r, n, MAX_PADDING_VOX)) for r, n in zip(reach, u_vox.shape[1:], strict=True)
    )
