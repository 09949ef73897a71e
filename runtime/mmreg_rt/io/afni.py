"""Matrices of AFNI (``.aff12.1D``): fixed (base) to moving (source) points, in DICOM order, which is LPS.

AFNI ignores the obliquity of scans: its coordinates belong to the grid whose axes are turned to the nearest
axes of the patient, with the first voxel kept in its place (``3dinfo -aform_real`` and ``-aform_orth``). If
the scans are given, this is accounted for; without them they are taken to be straight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import bare_matrix
from .transform_file import LPS, affine, file_affine, single_affine

if TYPE_CHECKING:
    from pathlib import Path

    from ..geometry import Float64, Grid
    from ..transform import Affine, Transform
    from .spaces import Spaces

HEADING = "# 3dvolreg matrices (DICOM-to-DICOM, row-by-row):\n"


def read(path: Path, spaces: Spaces) -> Affine:
    """Read a matrix of 12 numbers, in one line or in three."""
    matrix = LPS @ bare_matrix.read(path, "matrix of AFNI", ((12,), (4, 4, 4))) @ LPS
    fixed, moving = (_straightened(spaces.known(which)) for which in ("fixed", "moving"))
    return affine(np.linalg.inv(moving) @ matrix @ fixed, path)


def write(transform: Transform, path: Path, spaces: Spaces) -> None:
    """Write a matrix of 12 numbers in one line."""
    fixed, moving = (_straightened(spaces.known(which)) for which in ("fixed", "moving"))
    matrix = LPS @ moving @ single_affine(transform, path).matrix @ np.linalg.inv(fixed) @ LPS
    bare_matrix.write(matrix[:3], path, HEADING, one_line=True)


def _straightened(grid: Grid | None) -> Float64:
    """Return the map from RAS+ mm to the coordinates of AFNI, in RAS+, that ignore obliquity."""
    if grid is None or not grid.is_oblique:
        return np.eye(4)
    real = file_affine(grid)
    cosines = real[:3, :3] / grid.spacing_mm[::-1]
    nearest = np.where(np.abs(cosines) == np.abs(cosines).max(axis=0), np.sign(cosines), 0)
    straight = real.copy()
    straight[:3, :3] = nearest * grid.spacing_mm[::-1]
    back: Float64 = straight @ np.linalg.inv(real)
    return back
