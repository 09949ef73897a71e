"""Checks of affine matrices from array indices to RAS+ mm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import arguments
from ..errors import GeometryError, InputError

if TYPE_CHECKING:
    import numpy.typing as npt

    from .grid import Array, Float64

SPACING_LIMITS_MM = (1e-6, 1e4)  # a nanometre to ten metres: outside, a unit or a header is wrong
MAX_ORIGIN_MM = 1e6  # a kilometre from the scanner's centre
# Axes nearer to one plane than this lose three digits of every coordinate.
MIN_AXES_VOLUME = 1e-3  # |det| of the three unit axes; 1 when orthogonal


def checked_affine(affine: npt.ArrayLike) -> Float64:
    """Return ``affine`` as a read-only ``(4, 4)`` float64 matrix.

    Raises:
        GeometryError: It is not an affine, not finite, singular, or not plausible in mm.
    """
    matrix = as_matrix(affine, "An affine")
    if matrix.shape != (4, 4) or not np.array_equal(matrix[3], (0, 0, 0, 1)):
        raise GeometryError(
            "MMREG_E_GRID_AFFINE",
            f"An affine must be (4, 4), last row 0 0 0 1; found shape {matrix.shape}: {numbers_of(matrix)}.",
        )
    if not np.isfinite(matrix).all():
        raise GeometryError(
            "MMREG_E_GRID_NOT_FINITE",
            f"An affine must be finite; found {numbers_of(matrix)}. Repair the header.",
        )
    _check_axes(matrix)
    matrix.flags.writeable = False
    return matrix


def as_matrix(affine: npt.ArrayLike, name: str) -> Float64:
    """Return ``affine`` as float64, or raise ``GeometryError``."""
    try:
        return arguments.float64(affine, name, "MMREG_E_GRID_AFFINE")
    except InputError as reason:
        raise GeometryError(reason.code, str(reason.args[0])) from reason


def slice_affine(matrix: Float64) -> Float64:
    """Return the ``(4, 4)`` affine of ``(1, H, W)`` for a ``(3, 3)`` one of ``(H, W)`` in the plane z = 0."""
    affine = np.zeros((4, 4))
    affine[2, 0] = 1
    affine[:2, 1:] = matrix[:2]
    affine[3, 1:] = matrix[2]
    return affine


def _check_axes(matrix: Float64) -> None:
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    low, high = SPACING_LIMITS_MM
    if not ((spacing >= low) & (spacing <= high)).all():
        raise GeometryError(
            "MMREG_E_GRID_SPACING",
            f"Voxel spacing must lie between {low:g} and {high:g} mm; found {numbers_of(spacing)} mm along "
            "axes 0, 1, 2. Repair the spacing or its unit in the header.",
        )
    volume = abs(np.linalg.det(matrix[:3, :3] / spacing))
    if volume < MIN_AXES_VOLUME:
        raise GeometryError(
            "MMREG_E_GRID_SINGULAR",
            f"The three axes of an image must span space; found a singular affine (volume of the unit axes "
            f"{volume:.2g}, limit {MIN_AXES_VOLUME:g}): {numbers_of(matrix[:3])}. Repair the header.",
        )
    if np.abs(matrix[:3, 3]).max() > MAX_ORIGIN_MM:
        raise GeometryError(
            "MMREG_E_GRID_ORIGIN",
            f"The first voxel must lie within {MAX_ORIGIN_MM:g} mm of the scanner's centre; found "
            f"{numbers_of(matrix[:3, 3])} mm. Repair the origin or its unit in the header.",
        )


def numbers_of(values: Array) -> str:
    """Return the values as text, for messages."""
    return " ".join(f"{v:g}" for v in np.asarray(values).ravel())
