"""Deformations of SPM (``y_*.nii``): for each voxel of the fixed scan the position in the moving one, RAS mm.

The file has dim ``[5, X, Y, Z, 1, 3]``, intent VECTOR and the name "Mapping" (SPM manual, "Deformations").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .niftyreg import write_positions

if TYPE_CHECKING:
    from pathlib import Path

    from ..transform import Transform
    from .spaces import Spaces


def write(transform: Transform, path: Path, spaces: Spaces) -> None:
    """Write a deformation of SPM."""
    write_positions(transform, path, spaces, "Mapping")
