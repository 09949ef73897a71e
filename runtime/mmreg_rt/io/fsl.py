"""Matrices of FLIRT and fields of FNIRT (FSL).

FSL counts in scaled voxels: the index of a voxel times its spacing, in mm, with x counted from the other end
if the affine of the scan has a positive determinant (FSL documentation, "FLIRT FAQ": what is the format of
the matrix). A matrix of FLIRT maps points of the moving scan (``-in``) to points of the fixed one (``-ref``),
the inverse of a transform here. A field of FNIRT lies on the voxels of the fixed scan and holds displacements
(relative) or positions (absolute), in scaled voxels of the moving scan.

Coefficients of FNIRT are cubic B-splines: ``pixdim`` has the distance of the knots in voxels, ``intent_p1``
to ``p3`` the spacing of the fixed scan in mm, ``sform`` a FLIRT matrix ``M``, and the offsets of ``qform``
the size of the fixed scan. The first knot lies one step before the first voxel. In scaled voxels, ``p`` maps
to ``inverse(M) p + d(p)``, as in fnirtfileutils and applywarp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import TransformError
from ..geometry import Grid
from ..transform import Affine, Composite, fields
from ..transform.spline import SplineField
from . import bare_matrix
from .transform_file import affine, displacement, field_of, file_affine, grid_of_file, inverted, single_affine

if TYPE_CHECKING:
    from pathlib import Path

    from ..geometry import Array, Float32, Float64
    from ..transform import Transform
    from .nifti import Form, NiftiFile
    from .spaces import Spaces

FIELD, CUBIC = 2006, 2007  # intents: displacement field, cubic B-spline coefficients
ABSOLUTE_SLOPE = 0.5  # positions change at least this much with the voxels along each axis; displacements do
# not: the affine part of a relative field has an axis without change
_MATRIX = "FLIRT matrix"


def scaled_voxels(grid: Grid) -> Float64:
    """Return the ``(4, 4)`` map from RAS+ mm to scaled voxels of FSL."""
    to_mm = file_affine(grid)
    spacing = np.array(grid.spacing_mm[::-1])
    scale = np.diag([*spacing, 1.0])
    if np.linalg.det(to_mm[:3, :3]) > 0:
        scale[0, 0] = -spacing[0]
        scale[0, 3] = (grid.shape[2] - 1) * spacing[0]
    scaled: Float64 = scale @ np.linalg.inv(to_mm)
    return scaled


def read_matrix(path: Path, spaces: Spaces) -> Affine:
    """Read a FLIRT matrix."""
    matrix = bare_matrix.read(path, _MATRIX, ((4, 4, 4, 4),))
    fixed, moving = spaces.both(path, f"a {_MATRIX}")
    back: Float64 = np.linalg.inv(scaled_voxels(moving)) @ inverted(matrix, path) @ scaled_voxels(fixed)
    return affine(back, path)


def write_matrix(transform: Transform, path: Path, spaces: Spaces) -> None:
    """Write a FLIRT matrix."""
    single = single_affine(transform, path)
    fixed, moving = spaces.both(path, f"a {_MATRIX}")
    back = np.linalg.inv(single.matrix)
    matrix = scaled_voxels(fixed) @ back @ np.linalg.inv(scaled_voxels(moving))
    matrix[3] = 0, 0, 0, 1
    bare_matrix.write(matrix, path)


def read_field(file: NiftiFile, path: Path, prefer: Form | None, spaces: Spaces) -> Transform:
    """Read a field or the coefficients of FNIRT, by its intent."""
    intent = file.header.intent_code
    if intent not in (FIELD, CUBIC):
        raise TransformError(
            "MMREG_E_FIELD_PROGRAM",
            f"{path} has intent {intent} of FSL; fields (2006) and cubic splines (2007) of FNIRT are read. "
            "Convert it to a field with fnirtfileutils (FSL).",
        )
    if len(file.header.dim) not in (4, 5) or file.header.dim[3:] not in ((3,), (1, 3)):
        raise TransformError(
            "MMREG_E_FIELD_LAYOUT",
            f"A field of FNIRT has dim X Y Z 3; {path} has {' '.join(map(str, file.header.dim))}. Write it "
            "again with FSL.",
        )
    return _coefficients(file, path, spaces) if intent == CUBIC else _field(file, path, prefer, spaces)


def write_field(transform: Transform, path: Path, spaces: Spaces) -> None:
    """Write a field of relative displacements as FNIRT does."""
    from .axes import writable
    from .nifti import new_header, save, set_grid

    fixed = spaces.fixed_grid(path, "a field of FNIRT")
    to_moving = scaled_voxels(spaces.moving_grid(path, "a field of FNIRT"))
    field = field_of(transform, writable(fixed), path)
    to_fixed = scaled_voxels(field.grid)
    offset: Float64 = (to_moving - to_fixed) @ field.grid.affine
    d = fields.add_affine(field.displacement_mm, to_moving[:3, :3], offset[:3])
    header = new_header(field.grid.shape)
    set_grid(header, field.grid)
    header.set_data_shape(d.shape[::-1])
    header["intent_code"] = FIELD
    header.set_data_dtype("<f4")
    save(header, b"", d, path)


def _field(file: NiftiFile, path: Path, prefer: Form | None, spaces: Spaces) -> Transform:
    from .nifti import grid_of

    grid = grid_of(file.header, path, prefer)
    to_fixed = scaled_voxels(grid)
    back = np.asarray(np.linalg.inv(scaled_voxels(spaces.moving_grid(path, "a field of FNIRT"))), np.float64)
    d = _values(file, grid.shape)
    start = to_fixed @ grid.affine  # array indices to scaled voxels
    if not _absolute(d, start):
        d = fields.add_affine(d, np.eye(3), start[:3])
    origin = -grid.affine[:3]
    origin[:, 3] += back[:3, 3]
    return displacement(fields.add_affine(d, back[:3, :3], origin), grid, path)


def _coefficients(file: NiftiFile, path: Path, spaces: Spaces) -> Transform:
    header = file.header
    fixed, moving = spaces.both(path, "a grid of splines of FNIRT")
    from .nifti import raw_header

    raw = raw_header(header.raw, header.version, header.byte_order)
    step = np.array(raw["pixdim"][1:4], np.float64)
    original_mm = np.array([raw[f"intent_p{n}"] for n in (1, 2, 3)], np.float64)
    premat = np.eye(4)
    premat[:3] = [raw[f"srow_{axis}"] for axis in "xyz"]
    if not (np.isfinite(step).all() and np.isfinite(original_mm).all() and (step * original_mm > 0).all()):
        raise TransformError(
            "MMREG_E_TRANSFORM_FILE",
            f"{path} is not a valid grid of splines of FNIRT: it needs a knot spacing in pixdim and the "
            f"spacing of the fixed scan in intent_p1 to p3; found {step} and {original_mm}.",
        )
    to_fixed = scaled_voxels(fixed)
    knots = np.diag([*(step * original_mm), 1.0])  # in the order x, y, z, unflipped voxels times spacing
    knots[:3, 3] = -step * original_mm
    voxels_mm = file_affine(fixed) @ np.diag([*(1 / np.array(fixed.spacing_mm[::-1])), 1.0])
    lattice = grid_of_file(header.dim[:3], voxels_mm @ knots, path)
    # displacements are added after the inverse of the matrix; here they come before it
    linear = np.asarray((np.linalg.inv(to_fixed) @ premat)[:3, :3], np.float64)
    c = fields.add_affine(_values(file, lattice.shape), linear, np.zeros((3, 4)))
    back = np.linalg.inv(scaled_voxels(moving)) @ inverted(premat, path) @ to_fixed
    try:
        return Composite((SplineField(c, lattice, fixed), affine(back, path)))
    except TransformError as reason:
        raise TransformError(reason.code, f"{path}: {reason.args[0]}") from reason


def _values(file: NiftiFile, shape: tuple[int, ...]) -> Float32:
    with np.errstate(all="ignore"):  # what is not finite is refused later
        stored = file.array().reshape(3, *shape) * file.header.slope + file.header.inter
        values: Float32 = np.ascontiguousarray(stored, np.float32)
    return values


def _absolute(d: Array, start: Float64) -> bool:
    """Return whether a field holds positions: its affine part changes along every axis."""
    wide = [axis for axis in range(3) if d.shape[axis + 1] > 1]
    index = Grid((d.shape[1], d.shape[2], d.shape[3]), np.eye(4)).lattice(20)
    values = d[:, index[:, 0], index[:, 1], index[:, 2]].T.astype(np.float64)
    known = np.isfinite(values).all(axis=1)
    points = index[known] @ start[:3, :3].T
    if known.sum() < 4 or not wide:
        return False
    along = np.linalg.qr(start[:3, wide])[0]
    points, values = points - points.mean(axis=0), values[known] - values[known].mean(axis=0)
    slope = np.linalg.lstsq(points @ along, values, rcond=1e-9)[0]
    return bool(np.linalg.svd(slope, compute_uv=False).min() > ABSOLUTE_SLOPE)
