"""Displacement fields in NIfTI, in mm: dim [5, X, Y, Z, 1, 3], or [5, X, Y, 1, 1, 2] for a slice.

They are written as ITK and ANTs keep them; ``field_meaning`` interprets those that are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import TransformError
from ..transform import DisplacementField, fields
from . import fsl, niftyreg
from .axes import writable
from .field_meaning import FSL, check_displacement, check_positions, meaning_of
from .nifti import VECTOR, NiftiFile, grid_of, load, new_header, save, set_grid
from .spaces import Spaces

if TYPE_CHECKING:
    from pathlib import Path

    from ..geometry import Float32
    from ..transform import Transform
    from .nifti import Form

PLANAR_MM = 1e-3
_LPS = np.array([-1, -1, 1], np.float32).reshape(3, 1, 1, 1)


def read(path: Path, prefer: Form | None = None, spaces: Spaces | None = None) -> Transform:
    """Read a field; ``prefer`` chooses between forms that disagree.

    The vectors of FSL need the moving scan, and splines the fixed one, from ``spaces``.
    """
    file = load(path)
    spaces = spaces or Spaces()
    if file.header.intent_code in FSL:
        return fsl.read_field(file, path, prefer, spaces)
    meaning = meaning_of(file.header, path)
    _check_layout(file, path, meaning is not None)
    grid = grid_of(file.header, path, prefer)
    stored = file.array().reshape(-1, *grid.shape)
    u = np.zeros((3, *grid.shape), np.float32)
    with np.errstate(all="ignore"):  # DisplacementField refuses what is not finite
        u[: len(stored)] = stored * file.header.slope + file.header.inter
    if meaning == "LPS displacement":
        u *= _LPS
    if meaning == "control points":
        return niftyreg.spline(u, grid, spaces.fixed_grid(path, "a spline of NiftyReg"), path)
    if meaning == "RAS positions":
        origin = -grid.affine[:3]
        origin[len(stored) :] = 0
        u = fields.add_affine(u, np.eye(3), origin)
        check_positions(u, grid, path)
    else:
        check_displacement(u, grid, path)
    try:
        return DisplacementField(u, grid)
    except TransformError as reason:
        raise TransformError(reason.code, f"{path}: {reason.args[0]}") from reason


def write(transform: Transform, path: Path, planar: bool) -> None:
    """Write a displacement field with VECTOR intent and LPS components, two of them if ``planar``."""
    if not isinstance(transform, DisplacementField):
        raise TransformError(
            "MMREG_E_TRANSFORM_KIND",
            f"{path.name} can only hold a displacement field; found a {type(transform).__name__}. Write "
            "transform.to_field(fixed.grid), or a rigid or affine transform as .tfm.",
        )
    field = transform.to_field(writable(transform.grid))
    u: Float32 = field.displacement_mm * _LPS
    if planar:
        _check_planar(field, path)
        u = u[:2]
    data = u[:, None]  # (3, 1, Z, Y, X): the file's [X, Y, Z, 1, 3]
    header = new_header(field.grid.shape)
    set_grid(header, field.grid)
    header.set_data_shape(data.shape[::-1])
    header.set_intent(VECTOR)
    header.set_data_dtype("<f4")
    save(header, b"", data, path)


def write_for(transform: Transform, path: Path, spaces: Spaces) -> None:
    """Write a displacement field, on the grid of the fixed scan if that is given; see ``write``."""
    fixed = spaces.known("fixed")
    write(transform if fixed is None else transform.to_field(fixed), path, planar=False)


def _check_planar(field: DisplacementField, path: Path) -> None:
    """Raise unless a field is one axial slice that moves in its plane: 2-D ITK has no third axis."""
    across, along = field.grid.affine[:2, 0], field.grid.affine[2, 1:3]
    tilt_mm = float(np.abs([*across, *along]).max()) if field.grid.dims == 2 else np.inf
    lifted_mm = float(np.abs(field.displacement_mm[2]).max())
    if max(tilt_mm, lifted_mm) > PLANAR_MM:
        raise TransformError(
            "MMREG_E_FIELD_NOT_PLANAR",
            f"A planar field must be one axial slice that stays in its plane; that for {path} has shape "
            f"{field.grid.shape}, axes tilted by {tilt_mm:.2g} mm and moves up to {lifted_mm:.2g} mm across "
            f"the plane (limit {PLANAR_MM:g}). Write it with planar=False.",
        )


def _check_layout(file: NiftiFile, path: Path, is_field: bool) -> None:
    header = file.header
    intent, dim = header.intent_code, header.dim
    components = {3: (3,), 2: (2, 3)}[2 if dim[2:3] == (1,) else 3]
    if not is_field or len(dim) != 5 or dim[3] != 1 or dim[4] not in components:
        raise TransformError(
            "MMREG_E_FIELD_LAYOUT",
            f"A displacement field has dim X Y Z 1 3 and intent 1007 (LPS) or 1006 (RAS); {path} has dim "
            f"{' '.join(map(str, dim))} and intent {intent}. Convert it to the dialect of ITK.",
        )
    if header.mm_per_unit != 1:
        raise TransformError(
            "MMREG_E_FIELD_UNITS",
            f"A displacement field must be in mm; the unit of {path} is {header.mm_per_unit:g} mm, and it is "
            "not clear whether that holds for the vectors too. Convert it to mm.",
        )
    if header.dtype.kind != "f":
        raise TransformError(
            "MMREG_E_FIELD_LAYOUT",
            f"A displacement field must have float32 or float64 components; {path} has {header.dtype.name}.",
        )
