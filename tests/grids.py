"""Grids that tell conventions apart: oblique, anisotropic, left-handed, thin, single slices."""

import numpy as np

from mmreg_rt import Grid


def rotation(axis, degrees):
    """Rotation about ``axis`` by Rodrigues' formula."""
    x, y, z = np.asarray(axis, float) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.deg2rad(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def grid(shape, spacing_mm, degrees=0.0, flip=(1, 1, 1), origin_mm=(0, 0, 0)):
    """Axes 0, 1, 2 along z, y, x of RAS+, flipped, turned about a skew line, with the given spacing."""
    affine = np.eye(4)
    affine[:3, :3] = rotation((1, 2, 3), degrees) @ np.eye(3)[:, ::-1] * np.multiply(spacing_mm, flip)
    affine[:3, 3] = origin_mm
    return Grid(shape, affine)


OBLIQUE = grid((5, 6, 7), (3.0, 0.8, 1.1), 25, origin_mm=(-31.0, 12.5, 77.0))
LEFT_HANDED = grid((6, 4, 5), (0.7, 2.0, 1.3), -70, (1, 1, -1), (14.0, -90.0, 3.5))
GRIDS = {
    "plain": grid((4, 5, 6), (1, 1, 1)),
    "oblique": OBLIQUE,
    "left-handed": LEFT_HANDED,
    "upside-down": grid((4, 5, 6), (1.0, 1.5, 2.0), 180, (-1, 1, 1)),
    "thin": grid((2, 9, 8), (10.0, 0.3, 0.3), 5),
    "slice": grid((1, 8, 9), (1.0, 0.5, 0.4)),
    "row": grid((3, 1, 7), (1, 1, 1), 10),
    "voxel": grid((1, 1, 1), (2, 2, 2), 33),
}
