"""Matrices, fields and control points of NiftyReg.

Everything maps fixed (reference) to moving (floating) points in RAS mm. ``reg_aladin`` writes 4 x 4 numbers.
Fields carry the intent VECTOR and the name ``NREG_TRANS``; ``intent_p1`` states the kind: 0 positions, 1
displacements, 2 the positions of the control points of a cubic spline, on a lattice given by its affine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import TransformError
from ..transform import fields
from ..transform.spline import SplineField
from . import bare_matrix
from .transform_file import affine, field_of, single_affine

if TYPE_CHECKING:
    from pathlib import Path

    from ..geometry import Float32, Grid
    from ..transform import Affine, Transform
    from .spaces import Spaces

POSITIONS, DISPLACEMENTS, CONTROL_POINTS = 0, 1, 2


def read_matrix(path: Path, spaces: Spaces) -> Affine:  # noqa: ARG001 (in RAS mm)
    """Read a matrix of reg_aladin."""
    return affine(bare_matrix.read(path, "matrix of reg_aladin", ((4, 4, 4, 4),)), path)


def write_matrix(transform: Transform, path: Path, spaces: Spaces) -> None:  # noqa: ARG001
    """Write a matrix as reg_aladin does."""
    bare_matrix.write(single_affine(transform, path).matrix, path)


def spline(positions: Float32, lattice: Grid, fixed: Grid, path: Path) -> SplineField:
    """Return the transform of control points given by their positions ``(3, D, H, W)``, RAS+ mm."""
    # a spline of positions is the identity plus the spline of displacements: splines reproduce the identity
    try:
        return SplineField(fields.add_affine(positions, np.eye(3), -lattice.affine[:3]), lattice, fixed)
    except TransformError as reason:
        raise TransformError(reason.code, f"{path}: {reason.args[0]}") from reason


def write_field(transform: Transform, path: Path, spaces: Spaces) -> None:
    """Write a field of positions, which all programs of NiftyReg read."""
    write_positions(transform, path, spaces, "NREG_TRANS")


def write_positions(transform: Transform, path: Path, spaces: Spaces, name: str) -> None:
    """Write the positions, RAS mm, that a transform maps the voxels of a grid to."""
    from .axes import writable
    from .nifti import VECTOR, new_header, save, set_grid

    field = field_of(transform, spaces.known("fixed"), path)
    field = field.to_field(writable(field.grid))
    positions = fields.add_affine(field.displacement_mm, np.eye(3), field.grid.affine[:3])
    header = new_header(field.grid.shape)
    set_grid(header, field.grid)
    header.set_data_shape(positions[:, None].shape[::-1])
    header["intent_code"], header["intent_name"] = VECTOR, name
    header.set_data_dtype("<f4")
    save(header, b"", positions[:, None], path)
