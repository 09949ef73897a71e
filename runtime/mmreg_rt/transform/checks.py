"""What the matrix or the displacement of a transform must be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import arguments
from ..errors import InputError, TransformError
from . import fields

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..geometry import Float32, Float64, Grid

MAX_DISPLACEMENT_MM = 1e5  # far beyond any scanner: such a field is in another unit or not a field
ORTHOGONAL = 1e-4  # largest entry of R^T R - I that a rotation read from text of 5 digits may have


def as_array(given: npt.ArrayLike, name: str, code: str) -> npt.NDArray[Any]:
    try:
        return arguments.array(given, name, code)
    except InputError as reason:
        raise TransformError(reason.code, str(reason.args[0])) from reason


def is_rotation(linear: Float64) -> bool:
    """Whether a ``(3, 3)`` matrix is a rotation, to the rounding of numbers written as text."""
    return departure_from_rotation(linear) <= ORTHOGONAL and bool(np.linalg.det(linear) > 0)


def departure_from_rotation(linear: Float64) -> float:
    """Return the largest entry of ``R^T R - I``, which is 0 for a rotation."""
    return float(np.abs(linear.T @ linear - np.eye(3)).max())


def check_matrix(matrix: Float64) -> None:
    shown = " ".join(f"{v:g}" for v in matrix.ravel()[:16])
    if matrix.shape != (4, 4) or not np.array_equal(matrix[3], (0, 0, 0, 1)):
        raise TransformError(
            "MMREG_E_TRANSFORM_MATRIX",
            f"A matrix is (4, 4) with last row 0 0 0 1; found shape {matrix.shape}: {shown}.",
        )
    if not np.isfinite(matrix).all():
        raise TransformError("MMREG_E_TRANSFORM_NOT_FINITE", f"A matrix needs finite numbers; found {shown}.")
    if np.linalg.cond(matrix[:3, :3]) > 1e6:
        raise TransformError(
            "MMREG_E_TRANSFORM_SINGULAR",
            f"A transform must have an inverse; found a singular matrix: {shown}.",
        )


def check_displacement(u: Float32, grid: Grid) -> None:
    if u.shape != (3, *grid.shape):
        raise TransformError(
            "MMREG_E_TRANSFORM_GRID",
            f"A displacement on a grid {grid.shape} has shape {(3, *grid.shape)}; found {u.shape}. "
            "Give the grid that the field was made on.",
        )
    longest_mm, not_finite = fields.longest(u)
    if not_finite:
        bad = np.argwhere(~np.isfinite(u))
        raise TransformError(
            "MMREG_E_TRANSFORM_NOT_FINITE",
            f"A displacement needs finite numbers; found {not_finite} vectors that are not, the first at "
            f"index {tuple(int(i) for i in bad[0])}. Compute the field again.",
        )
    if longest_mm > MAX_DISPLACEMENT_MM:
        raise TransformError(
            "MMREG_E_TRANSFORM_TOO_LARGE",
            f"A displacement is in mm, at most {MAX_DISPLACEMENT_MM:g}; found {longest_mm:g}. "
            "Check its unit.",
        )
