"""Sampling of images at points: float64, one obvious formula per interpolation."""

import numpy as np
from scipy import ndimage


def fade(position, shape):
    """1 inside the box of voxel centres, falling to 0 within one voxel outside, along every axis."""
    factor = np.ones(position.shape[1:])
    for x, n in zip(position, shape, strict=True):
        factor = factor * np.clip(np.minimum(x + 1, n - x), 0, 1)
    return factor


def footprint(position, shape):
    """True where a point lies within half a voxel of the box of voxel centres."""
    return np.all([(x >= -0.5) & (x <= n - 0.5) for x, n in zip(position, shape, strict=True)], axis=0)


LEAST_WEIGHT = 1e-3  # of what is not finite: below, it does not count


def linear(volume, position):
    low = np.floor(position).astype(int)
    t = position - low
    value, counted, total = (np.zeros(position.shape[1:]) for _ in range(3))
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod([t[a] if corner[a] else 1 - t[a] for a in range(3)], axis=0)
        index = [np.clip(low[a] + corner[a], 0, volume.shape[a] - 1) for a in range(3)]
        voxel = volume[tuple(index)]
        value += weight * voxel
        counts = np.isfinite(voxel) | (weight >= LEAST_WEIGHT)
        counted[counts] += (weight * voxel)[counts]
        total[counts] += weight[counts]
    return np.where(np.isfinite(value), value, counted / total)


def nearest(volume, position):
    index = [
        np.clip(np.floor(x + 0.5).astype(int), 0, n - 1) for x, n in zip(position, volume.shape, strict=True)
    ]
    return volume[tuple(index)]


def bspline(distance):
    """The cubic B-spline."""
    d = np.abs(distance)
    return np.where(d < 1, 2 / 3 - d**2 + d**3 / 2, np.where(d < 2, (2 - d) ** 3 / 6, 0))


def mirrored(index, n):
    if n == 1:
        return np.zeros_like(index)
    index = np.abs(index) % (2 * (n - 1))
    return np.where(index < n, index, 2 * (n - 1) - index)


def cubic(coefficients, position):
    low = np.floor(position).astype(int)
    value = np.zeros(position.shape[1:])
    for corner in np.ndindex(4, 4, 4):
        tap = [low[a] + corner[a] - 1 for a in range(3)]
        weight = np.prod([bspline(position[a] - tap[a]) for a in range(3)], axis=0)
        value += weight * coefficients[tuple(mirrored(tap[a], coefficients.shape[a]) for a in range(3))]
    return value


def sample(volume, position, interpolation="linear", border="zero", outside=0.0):
    """One channel at positions (3, ...): that at the nearest point of the box, faded into the outside."""
    volume, position = np.asarray(volume), np.asarray(position, np.float64)
    last = np.reshape(volume.shape, (3,) + (1,) * (position.ndim - 1)) - 1
    formula = {"nearest": nearest, "linear": linear, "cubic": cubic}[interpolation]
    value = formula(volume, np.clip(position, 0, last))
    if border == "extend":
        return value
    if interpolation == "nearest":
        return np.where(footprint(position, volume.shape), value, outside)
    share = fade(position, volume.shape)
    blend = share * value + (1 - share) * outside
    alone = np.where(share < LEAST_WEIGHT, outside, np.where(share > 1 - LEAST_WEIGHT, value, blend))
    return np.where(np.isfinite(blend), blend, alone)


def points(displacement):
    u = np.asarray(displacement, np.float64)
    return np.indices(u.shape[1:]) + u


def warp(moving, displacement, interpolation="linear", border="zero", outside=0.0):
    """out[c, p] = moving[c](p + u(p))."""
    where = points(displacement)
    return np.stack(
        [sample(np.asarray(m, np.float64), where, interpolation, border, outside) for m in moving]
    )


def warp_labels(moving, displacement):
    return sample(moving, points(displacement), "nearest", "zero")


def index_points(index_map, shape):
    return np.einsum("ij,j...->i...", index_map[:, :3], np.indices(shape)) + index_map[:, 3].reshape(
        3, 1, 1, 1
    )


def resample_affine(moving, index_map, shape, interpolation="linear", border="zero", outside=0.0):
    """out[c, i] = moving[c](A i + b)."""
    where = index_points(index_map, shape)
    return np.stack(
        [sample(np.asarray(m, np.float64), where, interpolation, border, outside) for m in moving]
    )


def prefilter(image):
    """Coefficients c with sum c_k B(i - k) = image_i, mirrored: solved as a linear system along each axis."""
    out = np.asarray(image, np.float64)
    for axis in range(1, out.ndim):
        n = out.shape[axis]
        matrix = np.zeros((n, n))
        for i in range(n):
            for k in (i - 1, i, i + 1):
                matrix[i, mirrored(np.array(k), n)] += bspline(i - k)
        out = np.moveaxis(
            np.linalg.solve(matrix, np.moveaxis(out, axis, 0).reshape(n, -1)).reshape(
                np.moveaxis(out, axis, 0).shape
            ),
            0,
            axis,
        )
    return out


def scipy_coefficients(image):
    """The same from scipy, a second opinion."""
    return np.stack([ndimage.spline_filter(c, order=3, output=np.float64, mode="mirror") for c in image])
