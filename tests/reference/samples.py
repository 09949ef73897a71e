"""Float64 twins of the operations under the rigid and affine alignment."""

import numpy as np


def tone(values, low, high, knots):
    """Linear between the knots, which stand at equal steps from low to high; flat outside."""
    return np.interp(values, np.linspace(low, high, len(knots)), knots)


def pool_mapped(image, factor, low, high, knots, mask=None):
    """Toned means of centred blocks over known voxels; NaN where fewer than half are known."""
    known = np.isfinite(image) & (np.ones(image.shape, bool) if mask is None else mask != 0)
    value = np.where(known, np.clip(np.nan_to_num(image.astype(np.float64)), low, high), 0)
    blocks = np.array(image.shape) // factor
    first = (image.shape - blocks * factor) // 2
    cut = tuple(slice(start, start + size) for start, size in zip(first, blocks * factor, strict=True))
    shape = np.stack([blocks, factor], 1).ravel()
    total, count = (a[cut].astype(np.float64).reshape(shape).sum((1, 3, 5)) for a in (value, known))
    out = np.full(blocks, np.nan)
    enough = 2 * count >= np.prod(factor)
    out[enough] = tone(total[enough] / count[enough], low, high, knots)
    return out


def sample(image, points):
    """Value, cover, their slopes at points (3, N); the outermost value holds half a voxel outside."""
    shape = np.array(image.shape)[:, None]
    near, far = 2 * (points + 0.5), 2 * (shape - 0.5 - points)
    covers = np.clip(np.minimum(near, far), 0, 1)
    cover = covers.prod(0)
    ramp = np.where((covers > 0) & (covers < 1), np.where(near < far, 2.0, -2.0), 0.0)
    fade = np.stack([ramp[a] * np.delete(covers, a, 0).prod(0) for a in range(3)])
    inside = np.clip(points, 0, shape - 1)
    first = np.clip(np.floor(inside).astype(int), 0, np.maximum(shape - 2, 0))
    t = inside - first
    value, slope = np.zeros(points.shape[1]), np.zeros(points.shape)
    for corner in np.ndindex(2, 2, 2):
        side = np.array(corner)[:, None]
        voxel = image.astype(np.float64)[tuple(np.minimum(first + side, shape - 1))]
        weight = np.where(side, t, 1 - t)
        value += weight.prod(0) * voxel
        for axis in range(3):
            sign = np.where(side[axis], 1.0, -1.0) * (shape[axis] > 1)
            slope[axis] += sign * np.delete(weight, axis, 0).prod(0) * voxel
    slope *= (points > 0) & (points < shape - 1)
    return tuple(np.where(np.isnan(value), 0, a) for a in (value, cover, slope, fade))


def spline(x):
    """Cubic B-spline and its derivative."""
    a = np.abs(x)
    value = np.where(a < 1, 2 / 3 - a**2 + a**3 / 2, np.where(a < 2, (2 - a) ** 3 / 6, 0))
    slope = np.where(a < 1, -2 * a + 1.5 * a**2, np.where(a < 2, -((2 - a) ** 2) / 2, 0)) * np.sign(x)
    return value, slope


def places(points, values, moving, index_map, bins):
    value, cover, slope, fade = sample(moving, index_map[:, :3] @ points + index_map[:, 3:])
    row = np.floor(values * (bins - 1) + 0.5).astype(int)
    offsets = 1 + value[:, None] * (bins - 3) - np.arange(bins)
    return row, offsets, cover, slope, fade


def histogram(points, values, moving, index_map, bins):
    row, offsets, cover, _, _ = places(points, values, moving, index_map, bins)
    out = np.zeros((bins, bins))
    np.add.at(out, row, cover[:, None] * spline(offsets)[0])
    return out


def gradient(points, values, moving, index_map, gain):
    bins = len(gain)
    row, offsets, cover, slope, fade = places(points, values, moving, index_map, bins)
    rise = (bins - 3) * cover * (gain[row] * spline(offsets)[1]).sum(1)
    level = (gain[row] * spline(offsets)[0]).sum(1)
    return (rise * slope + level * fade) @ np.vstack([points, np.ones(points.shape[1])]).T
