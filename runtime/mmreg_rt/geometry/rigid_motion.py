"""Rigid motions as six numbers: the one statement of what they mean.

- **Six numbers** are shifts ``tx, ty, tz`` in mm and angles ``ax, ay, az`` in degrees: ``p -> R p + t`` with
  ``R = Rz(az) Ry(ay) Rx(ax)``.
- **The frame of a window** has its origin in the middle of the grid; x, y, z run along axes 2, 1, 0 of the
  array, in mm. A network sees nothing but the window, so its numbers are about no other frame.
- **What a network gives** is the motion ``D`` that brings what the moving image shows onto the fixed one:
  what it shows at ``q`` belongs to the fixed point ``D q``. Attention-Reg multiplies such increments from the
  left onto the map from moving to fixed. A transform of this package maps the other way (see ``geometry``),
  so the map ``M`` from fixed to moving points becomes ``M F D^-1 F^-1``, ``F`` taking the frame to RAS+ mm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from .grid import Float64, Grid


def matrix_of(numbers: npt.ArrayLike) -> Float64:
    """``(4, 4)`` of six numbers."""
    given = np.asarray(numbers, np.float64)
    (ca, cb, cc), (sa, sb, sc) = np.cos(np.radians(given[3:])), np.sin(np.radians(given[3:]))
    about_x = np.array([[1, 0, 0], [0, ca, -sa], [0, sa, ca]])
    about_y = np.array([[cb, 0, sb], [0, 1, 0], [-sb, 0, cb]])
    about_z = np.array([[cc, -sc, 0], [sc, cc, 0], [0, 0, 1]])
    matrix = np.eye(4)
    matrix[:3, :3] = about_z @ about_y @ about_x
    matrix[:3, 3] = given[:3]
    return matrix


def numbers_of(matrix: Float64) -> Float64:
    """The six numbers of a rigid ``(4, 4)``; where y is turned by 90 degrees, those with ``az`` 0."""
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
    """``F``, ``(4, 4)``: from the frame of a window to RAS+ mm."""
    made = np.eye(4)
    made[:3, :3] = _nearest_rotation((grid.affine[:3, :3] / grid.spacing_mm)[:, ::-1])
    made[:3, 3] = grid.centre_mm
    return made


def updated(transform: Float64, numbers: npt.ArrayLike, grid: Grid) -> Float64:
    """The map from fixed to moving points, once a network has seen the pair under ``transform``."""
    to_mm = frame(grid)
    matrix: Float64 = transform @ to_mm @ inverse(matrix_of(numbers)) @ inverse(to_mm)
    matrix[:3, :3] = _nearest_rotation(matrix[:3, :3])  # rounding does not add up
    return matrix


def missing(transform: Float64, truth: Float64, grid: Grid) -> Float64:
    """The six numbers that lead from ``transform`` to ``truth``: what ``updated`` undoes."""
    to_mm = frame(grid)
    step: Float64 = inverse(to_mm) @ inverse(truth) @ transform @ to_mm
    return numbers_of(step)


def corners_mm(size: Sequence[int], spacing_mm: Sequence[float]) -> Float64:
    """``(8, 3)``: the corner voxels of a window in its frame, by which motions are compared."""
    half = (np.asarray(size, np.float64) - 1) / 2 * np.asarray(spacing_mm, np.float64)
    corners: Float64 = (2 * np.array([*np.ndindex(2, 2, 2)]) - 1) * half[::-1]
    return corners


def moved(matrix: Float64, points: npt.ArrayLike) -> Float64:
    """Points ``(N, 3)`` under ``(4, 4)``."""
    found: Float64 = np.asarray(points) @ matrix[:3, :3].T + matrix[:3, 3]
    return found


def distance_mm(numbers: npt.ArrayLike, others: npt.ArrayLike, points: Float64) -> Float64:
    """How far each point ``(N, 3)`` lies under six numbers from where it lies under others, ``(N,)``."""
    apart = moved(matrix_of(numbers), points) - moved(matrix_of(others), points)
    lengths: Float64 = np.linalg.norm(apart, axis=1)
    return lengths


def inverse(matrix: Float64) -> Float64:
    """Of a rigid ``(4, 4)``."""
    made = np.eye(4)
    made[:3, :3] = matrix[:3, :3].T
    made[:3, 3] = -matrix[:3, :3].T @ matrix[:3, 3]
    return made


def _nearest_rotation(matrix: Float64) -> Float64:
    """Or, of a left-handed frame, the nearest rotation of a mirror."""
    u, _, vt = np.linalg.svd(matrix)
    rotation: Float64 = u @ vt
    return rotation
