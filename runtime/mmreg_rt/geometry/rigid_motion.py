"""Rigid motions as six numbers: the one statement of their meaning.

- **Six numbers** are shifts ``tx, ty, tz`` in mm and angles ``ax, ay, az`` in degrees: ``p -> R p + t`` with
  ``R = Rz(az) Ry(ay) Rx(ax)``.
- **The frame of a window** has its origin in the middle of the grid; x, y, z run along axes 2, 1, 0 of the
  array, in mm. A network sees nothing but the window, so its numbers are about no other frame.
- **The output of a network** is the motion ``D`` that aligns the moving image with the fixed one: the moving
  image at ``q`` corresponds to the fixed point ``D q``. Attention-Reg multiplies such increments from the
  left onto the map from moving to fixed. A transform of this package maps the other way (see ``geometry``),
  so the map ``M`` from fixed to moving points becomes ``M F D^-1 F^-1``, where ``F`` maps the frame to RAS+.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from .grid import Float64, Grid


def matrix_of(numbers: npt.ArrayLike) -> Float64:
    """Return the ``(4, 4)`` matrix of six numbers."""
    values = np.asarray(numbers, np.float64)
    (ca, cb, cc), (sa, sb, sc) = np.cos(np.radians(values[3:])), np.sin(np.radians(values[3:]))
    about_x = np.array([[1, 0, 0], [0, ca, -sa], [0, sa, ca]])
    about_y = np.array([[cb, 0, sb], [0, 1, 0], [-sb, 0, cb]])
    about_z = np.array([[cc, -sc, 0], [sc, cc, 0], [0, 0, 1]])
    matrix = np.eye(4)
    matrix[:3, :3] = about_z @ about_y @ about_x
    matrix[:3, 3] = values[:3]
    return matrix


def numbers_of(matrix: Float64) -> Float64:
    """Return the six numbers of a rigid ``(4, 4)`` matrix; with ``az`` 0 where ``ay`` is 90 degrees."""
    r = matrix[:3, :3]
    across = np.hypot(r[0, 0], r[1, 0])
    about_y = np.arctan2(-r[2, 0], across)
    if across > 1e-9:
        about_x, about_z = np.arctan2(r[2, 1], r[2, 2]), np.arctan2(r[1, 0], r[0, 0])
    else:
        about_x, about_z = np.arctan2(-r[1, 2], r[1, 1]), 0.0
    numbers: Float64 = np.concatenate([matrix[:3, 3], np.degrees([about_x, about_y, about_z])])
    return numbers


def frame(grid: Grid) -> Float64:
    """Return ``F``, ``(4, 4)``, from the frame of a window to RAS+ mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = _nearest_orthogonal((grid.affine[:3, :3] / grid.spacing_mm)[:, ::-1])
    matrix[:3, 3] = grid.centre_mm
    return matrix


def updated(transform: Float64, numbers: npt.ArrayLike, grid: Grid) -> Float64:
    """Apply the output of a network to ``transform``.

    Args:
        transform: ``(4, 4)``, fixed to moving points, under which the network saw the pair.
        numbers: Output of the network.
        grid: Grid of the window.

    Returns:
        The new map from fixed to moving points, ``(4, 4)``.
    """
    to_mm = frame(grid)
    matrix: Float64 = transform @ to_mm @ inverse(matrix_of(numbers)) @ inverse(to_mm)
    matrix[:3, :3] = _nearest_orthogonal(matrix[:3, :3])  # so that rounding does not accumulate
    return matrix


def missing(transform: Float64, truth: Float64, grid: Grid) -> Float64:
    """Return the six numbers with which ``updated`` turns ``transform`` into ``truth``."""
    to_mm = frame(grid)
    step: Float64 = inverse(to_mm) @ inverse(truth) @ transform @ to_mm
    return numbers_of(step)


def corners_mm(size: Sequence[int], spacing_mm: Sequence[float]) -> Float64:
    """Return the corner voxels of a window in its frame, ``(8, 3)``, by which motions are compared."""
    half = (np.asarray(size, np.float64) - 1) / 2 * np.asarray(spacing_mm, np.float64)
    corners: Float64 = (2 * np.array([*np.ndindex(2, 2, 2)]) - 1) * half[::-1]
    return corners


def moved(matrix: Float64, points: npt.ArrayLike) -> Float64:
    """Map points ``(N, 3)`` by a ``(4, 4)`` matrix."""
    mapped: Float64 = np.asarray(points) @ matrix[:3, :3].T + matrix[:3, 3]
    return mapped


def distance_mm(numbers: npt.ArrayLike, others: npt.ArrayLike, points: Float64) -> Float64:
    """Return the distance of each point ``(N, 3)`` between two motions of six numbers, ``(N,)``, in mm."""
    difference = moved(matrix_of(numbers), points) - moved(matrix_of(others), points)
    lengths: Float64 = np.linalg.norm(difference, axis=1)
    return lengths


def inverse(matrix: Float64) -> Float64:
    """Invert a rigid ``(4, 4)`` matrix."""
    inverted = np.eye(4)
    inverted[:3, :3] = matrix[:3, :3].T
    inverted[:3, 3] = -matrix[:3, :3].T @ matrix[:3, 3]
    return inverted


def _nearest_orthogonal(matrix: Float64) -> Float64:
    """Project onto the nearest orthogonal matrix."""
    u, _, vt = np.linalg.svd(matrix)
    orthogonal: Float64 = u @ vt
    return orthogonal
