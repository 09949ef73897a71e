"""Checks of the matrix or the displacement of a transform."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import arguments
from ..errors import InputError, TransformError
from . import fields

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..geometry import Array, Float32, Float64, Grid

MAX_DISPLACEMENT_MM = 1e5  # far beyond any scanner: such a field is in another unit, or is not a field
ORTHOGONAL = 1e-4  # largest entry of R^T R - I for a rotation read from text of 5 digits


def as_array(values: npt.ArrayLike, name: str, code: str) -> Array:
    """Return ``values`` as an array of real numbers, or raise ``TransformError``."""
    try:
        return arguments.array(values, name, code)
    except InputError as reason:
        raise TransformError(reason.code, str(reason.args[0])) from reason


def is_rotation(linear: Float64) -> bool:
    """Return whether a ``(3, 3)`` matrix is a rotation, within the rounding of numbers written as text."""
    return departure_from_rotation(linear) <= ORTHOGONAL and bool(np.linalg.det(linear) > 0)


def departure_from_rotation(linear: Float64) -> float:
    """Return the largest entry of ``R^T R - I``, which is 0 for a rotation."""
    return float(np.abs(linear.T @ linear - np.eye(3)).max())


def check_matrix(matrix: Float64) -> None:
    """Raise ``TransformError`` unless ``matrix`` is affine, finite and invertible."""
    entries = " ".join(f"{v:g}" for v in matrix.ravel()[:16])
    if matrix.shape != (4, 4) or not np.array_equal(matrix[3], (0, 0, 0, 1)):
        raise TransformError(
            "MMREG_E_TRANSFORM_MATRIX",
            f"A matrix must be (4, 4) with last row 0 0 0 1; found shape {matrix.shape}: {entries}.",
        )
    if not np.isfinite(matrix).all():
        raise TransformError("MMREG_E_TRANSFORM_NOT_FINITE", f"A matrix must be finite; found {entries}.")
    if np.linalg.cond(matrix[:3, :3]) > 1e6:
        raise TransformError(
            "MMREG_E_TRANSFORM_SINGULAR",
            f"A transform must be invertible; found a singular matrix: {entries}.",
        )


def check_displacement(u: Float32, grid: Grid) -> None:
    """Raise ``TransformError`` unless ``u`` fits the grid, is finite and of a plausible length in mm."""
    if u.shape != (3, *grid.shape):
        raise TransformError(
            "MMREG_E_TRANSFORM_GRID",
            f"A displacement on a grid {grid.shape} must have shape {(3, *grid.shape)}; found {u.shape}. "
            "Give the grid of the field.",
        )
    longest_mm, not_finite = fields.longest(u)
    if not_finite:
        bad = np.argwhere(~np.isfinite(u))
        raise TransformError(
            "MMREG_E_TRANSFORM_NOT_FINITE",
            f"A displacement must be finite; {not_finite} vectors are not, the first at index "
            f"{tuple(int(i) for i in bad[0])}. Compute the field again.",
        )
    if longest_mm > MAX_DISPLACEMENT_MM:
        raise TransformError(
            "MMREG_E_TRANSFORM_TOO_LARGE",
            f"A displacement must be at most {MAX_DISPLACEMENT_MM:g} mm; found {longest_mm:g}. Check its "
            "unit.",
        )
