"""Six numbers for a rigid motion, and how far a head moves from one frame to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..geometry import Float64
    from ..transform import Affine

HEAD_MM = 50.0  # radius of the sphere on which rotations are measured (Power et al. 2012)


def rigid_parameters(motion: Affine, centre_mm: Float64) -> Float64:
    """Return the translation and the rotation angles of a rigid motion.

    The motion is ``p -> R (p - c) + c + t``, with ``R = Rz Ry Rx``: the scan turns about the x axis first,
    then about y, then about z, all through the centre ``c``.

    Args:
        motion: Maps points of the reference to points of the frame, RAS+ mm. Of an affine map, the nearest
            rotation is taken.
        centre_mm: ``(3,)``, RAS+ mm.

    Returns:
        ``(6,)`` float64: ``t`` along x, y and z in mm, then the angles about x, y and z in radians.

    Example:
        >>> from mmreg_rt import Rigid
        >>> matrix = np.eye(4)
        >>> matrix[0, 3] = 2
        >>> rigid_parameters(Rigid(matrix), np.zeros(3))
        array([2., 0., 0., 0., 0., 0.])
    """
    linear = motion.matrix[:3, :3]
    left, _, right = np.linalg.svd(linear)
    rotation = left @ right
    shift = motion.matrix[:3, 3] + linear @ centre_mm - centre_mm
    about_x = np.arctan2(rotation[2, 1], rotation[2, 2])
    about_y = np.arctan2(-rotation[2, 0], np.hypot(rotation[2, 1], rotation[2, 2]))
    about_z = np.arctan2(rotation[1, 0], rotation[0, 0])
    return np.array([*shift, about_x, about_y, about_z]) + 0.0


def framewise_displacement_mm(parameters: Float64, radius_mm: float = HEAD_MM) -> Float64:
    """Return how far the scan moved between consecutive frames.

    The sum of the absolute changes of the six parameters, angles as arcs on a sphere (Power, Barnes, Snyder,
    Schlaggar, Petersen, NeuroImage 59, 2012).

    Args:
        parameters: ``(N, 6)``, as from ``rigid_parameters``.
        radius_mm: Radius of the sphere.

    Returns:
        ``(N,)`` float64, mm; NaN for the first frame.
    """
    steps = np.abs(np.diff(parameters, axis=0))
    moved: Float64 = steps[:, :3].sum(1) + radius_mm * steps[:, 3:].sum(1)
    return np.concatenate([[np.nan], moved])[: len(parameters)]
