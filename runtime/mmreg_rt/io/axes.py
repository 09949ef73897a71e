"""Axes of image files: their order, the directions LPS of ITK and DICOM, and the angles that ITK reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import GeometryError
from ..geometry import MAX_SHEAR_VOX, Grid

if TYPE_CHECKING:
    from pathlib import Path

    from ..geometry import Float64

ITK_SHEAR = 5e-5  # cosine between two axes: ITK reads 1e-4 and refuses 3e-4
ZYX = [2, 1, 0, 3]  # columns of an affine of (i, j, k) in the order of array axes, and back
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # LPS to RAS, and back


def grid_of(shape_xyz: tuple[int, ...], affine: Float64, path: Path) -> Grid:
    """Return the grid of a file.

    Args:
        shape_xyz: Number of voxels along the axes of the file, two or three.
        affine: ``(4, 4)``, indices along the axes of the file to RAS+ mm.
        path: The file, for messages.

    Raises:
        GeometryError: The affine is not valid for a scan.
    """
    x, y, z = (*shape_xyz, 1)[:3]
    try:
        return Grid((z, y, x), affine[:, ZYX])
    except GeometryError as reason:
        raise GeometryError(reason.code, f"{path}: {reason.args[0]}") from reason


def lps_affine(directions: Float64, spacing_mm: Float64, origin_mm: Float64) -> Float64:
    """Return the affine of indices along the axes of a file to RAS+ mm.

    Args:
        directions: ``(n, n)``, n = 2 or 3: a column for each axis of the file, in LPS.
        spacing_mm: ``(n,)``.
        origin_mm: ``(n,)``, the first voxel, in LPS.
    """
    count = len(origin_mm)
    affine = np.eye(4)
    affine[:count, :count] = directions * spacing_mm
    affine[:count, 3] = origin_mm
    ras: Float64 = LPS @ affine
    return ras


def lps_of(grid: Grid) -> tuple[Float64, Float64, Float64]:
    """Return directions ``(3, 3)``, spacing in mm and origin in mm as ``lps_affine`` takes them."""
    affine = LPS @ grid.affine[:, ZYX]
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    return affine[:3, :3] / spacing, spacing, affine[:3, 3]


def writable(grid: Grid) -> Grid:
    """Return the grid, or the nearest orthogonal one if ITK would refuse its axes.

    Raises:
        GeometryError: A corner would move too far.
    """
    if grid.shear <= ITK_SHEAR:
        return grid
    if (off_vox := grid.shear_vox) > MAX_SHEAR_VOX:
        raise GeometryError(
            "MMREG_E_GRID_SHEAR",
            f"An image file needs orthogonal axes, as ITK reads no others; the cosine between two is "
            f"{grid.shear:.3g}, which shifts a corner by {off_vox:.2g} voxels (limit {MAX_SHEAR_VOX:g}). "
            "Resample to an orthogonal grid first.",
        )
    return grid.orthogonal()
