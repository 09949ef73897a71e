"""Two contrasts of one body of soft blobs, one deformed by a known map: pairs whose answer is exact."""

import numpy as np
from grids import rotation

from mmreg_rt import Grid, Volume

RNG = np.random.default_rng(11)
CENTRES, WIDTHS, SIGNS = RNG.uniform(-26, 26, (40, 3)), RNG.uniform(4, 8, 40), RNG.choice([-1, 1], 40)
BUMPS, PUSHES = RNG.uniform(-20, 20, (5, 3)), RNG.normal(0, 3.0, (5, 3))  # mm
BUMP_MM = 16.0
INSIDE = RNG.uniform(-1, 1, (2000, 3)) * (26, 30, 28)
INSIDE = INSIDE[np.linalg.norm(INSIDE / (28, 34, 30), axis=1) < 0.9]
SHAPE, SPACING = (36, 42, 36), (2.0, 2.0, 2.0)


def centred(shape, spacing_mm, turn=None, centre_mm=(0, 0, 0)):
    """A grid around ``centre_mm``: axes 0, 1, 2 along z, y, x, then turned."""
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if turn is None else turn) @ np.eye(3)[:, ::-1] * spacing_mm
    affine[:3, 3] = centre_mm - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


PLAIN = centred(SHAPE, SPACING)
OBLIQUE = centred((40, 38, 44), (2.0, 2.2, 2.0), rotation((1, 2, 3), 25), (3, -2, 4))
LEFT_HANDED = centred(SHAPE, (-2.0, 2.0, 2.0))
THIN = centred((10, 64, 60), (8.0, 1.5, 1.5))
FLAT = centred((1, 80, 76), (1.0, 1.1, 1.1))


def moved(points_mm, plane=False):
    """The truth: where a fixed point lies in the moving scan."""
    p = np.asarray(points_mm, float)
    weight = np.exp(-((p[..., None, :] - BUMPS) ** 2).sum(-1) / (2 * BUMP_MM**2))
    return p + weight @ (PUSHES * ((1, 1, 0) if plane else (1, 1, 1)))


def tissue(points_mm):
    p = np.asarray(points_mm, np.float32)
    out = np.zeros(p.shape[:-1], np.float32)
    for centre, width, sign in zip(CENTRES, WIDTHS, SIGNS, strict=True):
        out += sign * np.exp(-((p - np.float32(centre)) ** 2).sum(-1) / np.float32(2 * width * width))
    radius = np.linalg.norm(p / np.float32([30, 36, 32]), axis=-1)
    return out, 1 / (1 + np.exp(np.clip((radius - 1) / 0.03, -50, 50)))


def scan(grid, bright, truth=None, seed=0):
    """One contrast of the body, seen on a grid: ``bright`` rises or falls with the tissue."""
    points = np.stack(np.indices(grid.shape), -1).reshape(-1, 3)
    points = grid.map_indices(points).reshape(*grid.shape, 3)
    value, body = tissue(points if truth is None else truth(points))
    contrast = 1 / (1 + np.exp(-3 * value)) if bright else 1.2 - 1 / (1 + np.exp(-3 * value))
    image = 100 * body * (0.3 + contrast) + np.random.default_rng(seed).normal(0, 1.0, grid.shape)
    return Volume(image.astype(np.float32), grid)


def pair(fixed_grid=PLAIN, moving_grid=PLAIN, truth=moved):
    return scan(fixed_grid, True, truth), scan(moving_grid, False, seed=1)


def distance_mm(a, b):
    return float(np.linalg.norm(np.asarray(a) - np.asarray(b), axis=-1).mean())
