"""Displacements in voxels (3, D, H, W): composition, exponential, inverse, folding; float64."""

import itertools

import numpy as np

from reference.warp import points, sample


def at(u, position):
    return np.stack([sample(c, position, "linear", "extend") for c in np.asarray(u, np.float64)])


def compose(first, second):
    """first(p) + second(p + first(p))."""
    return first + at(second, points(first))


def integrate(velocity, steps):
    u = np.asarray(velocity, np.float64) / 2**steps
    for _ in range(steps):
        u = compose(u, u)
    return u


def residual(u, inverse):
    """|v(p) + u(p + v(p))| in voxels."""
    return np.linalg.norm(compose(np.asarray(inverse, np.float64), u), axis=0)


def one_sided(u, axis, forward):
    """Difference along an axis; NaN where the neighbour does not exist, 0 along an axis of 1."""
    out = np.full_like(u, np.nan)
    if u.shape[axis] == 1:
        return np.zeros_like(u)
    step = np.diff(u, axis=axis)
    keep = [slice(None)] * u.ndim
    keep[axis] = slice(None, -1) if forward else slice(1, None)
    out[tuple(keep)] = step
    return out


def one_sided_determinant(displacement, forward):
    """det(I + du/dp) with a forward (1) or backward (0) difference per axis; NaN where it does not exist."""
    u = np.asarray(displacement, np.float64)
    gradient = np.stack([one_sided(u, 1 + a, forward[a]) for a in range(3)], axis=1)  # (component, axis, ...)
    return np.linalg.det(np.moveaxis(gradient, (0, 1), (-2, -1)) + np.eye(3))


def folding(displacement):
    """Least determinant and number of them <= 0, for the eight combinations (0,0,0) .. (1,1,1)."""
    smallest, count = [], []
    for forward in itertools.product((0, 1), repeat=3):
        det = one_sided_determinant(displacement, forward)
        det = det[~np.isnan(det)]
        smallest.append(det.min() if det.size else np.inf)
        count.append(int((det <= 0).sum()))
    return smallest, count
