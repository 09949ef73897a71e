"""A head of mixed tissues in two contrasts, moved by a known pose: small scans for the alignment."""

import numpy as np

RNG = np.random.default_rng(7)
CENTRES, WIDTHS, SIGNS = RNG.uniform(-26, 26, (30, 3)), RNG.uniform(4, 9, 30), RNG.choice([-1, 1], 30)


def bright_first(tissue):
    return 1 / (1 + np.exp(-4 * tissue))


def bright_between(tissue):
    """Not a function of the other contrast that rises: the middle is bright, one end dark, the other grey."""
    return 0.1 + np.exp(-((tissue - 0.1) ** 2) / 0.1) + 0.3 / (1 + np.exp(-6 * (tissue - 0.3)))


def head(points, contrast):
    """An ellipsoid of mixed tissues around the origin, mm -> intensity; both contrasts see the same."""
    p = np.asarray(points, float)
    radius = np.linalg.norm(p / [32, 40, 36], axis=-1)
    tissue = sum(
        s * np.exp(-((p - m) ** 2).sum(-1) / (2 * w * w))
        for s, m, w in zip(SIGNS, CENTRES, WIDTHS, strict=True)
    )
    return contrast(tissue) / (1 + np.exp(np.clip((radius - 1) / 0.03, -50, 50)))


def rotation(axis, degrees):
    x, y, z = np.asarray(axis, float) / np.linalg.norm(axis)
    k, a = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]), np.radians(degrees)
    return np.eye(3) + np.sin(a) * k + (1 - np.cos(a)) * k @ k


def rigid(axis, degrees, shift):
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = rotation(axis, degrees), shift
    return out


def grid(shape, spacing, turn=None, centre=(0, 0, 0)):
    """Affine of a grid around `centre`; axes 0, 1, 2 run along z, y, x, then are turned."""
    out = np.eye(4)
    out[:3, :3] = (np.eye(3) if turn is None else turn) @ np.eye(3)[:, ::-1] * spacing
    out[:3, 3] = centre - out[:3, :3] @ ((np.array(shape) - 1) / 2)
    return out


def scan(shape, affine, contrast, pose=None, noise=0.02, seed=0):
    """The head moved by `pose` (head mm -> scan mm), seen on a grid."""
    index = np.stack(np.indices(shape), -1) @ affine[:3, :3].T + affine[:3, 3]
    inverse = np.linalg.inv(np.eye(4) if pose is None else pose)
    image = 100 * head(index @ inverse[:3, :3].T + inverse[:3, 3], contrast)
    return (image + np.random.default_rng(seed).normal(0, 100 * noise, shape)).astype(np.float32)


SHAPE, SPACING = (40, 48, 44), (2.0, 2.0, 2.0)
AFFINE = grid(SHAPE, SPACING)
FIXED = scan(SHAPE, AFFINE, bright_first)
INSIDE = np.random.default_rng(3).uniform(-28, 28, (500, 3))
POSE = rigid((1, -2, 0.5), 22, (14, -9, 6))


def error_mm(found, truth, points=INSIDE):
    """Mean distance of two maps over points of the head."""
    difference = (found - truth)[:3]
    return np.linalg.norm(points @ difference[:, :3].T + difference[:, 3], axis=1).mean()
