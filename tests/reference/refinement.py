"""What a step of the refinement compares and does: float64, the force by differences of its energy."""

import numpy as np
from scipy.ndimage import correlate1d

from reference.warp import bspline, points

BINS, PADDING, EXTRA = 32, 2, 4
H = 1e-4  # energies are cubic within a cell: differences are off by H^2 times a third derivative


def at_points(features, u):
    """Every channel of (d, h, w, channels) at p + u(p), the nearest border value outside."""
    last = np.reshape(features.shape[:3], (3, 1, 1, 1)) - 1
    where = np.clip(points(u), 0, last)
    low = np.floor(where).astype(int)
    value = np.zeros(features.shape)
    for corner in np.ndindex(2, 2, 2):
        side = np.reshape(corner, (3, 1, 1, 1))
        weight = np.where(side, where - low, 1 - (where - low)).prod(0)
        value += weight[..., None] * features[tuple(np.minimum(low + side, last))]
    return value


def validity(fixed, moving, u):
    return fixed[..., -3] * at_points(moving[..., -3:-2], u)[..., 0]


def feature_energy(fixed, moving, u):
    """Half the squared difference of all channels that are features, at each voxel."""
    return 0.5 * ((at_points(moving[..., :-EXTRA], u) - fixed[..., :-EXTRA]) ** 2).sum(-1)


def windows(intensity):
    """Weight of each of the bins: the cubic B-spline around the intensity."""
    return bspline(intensity[..., None] - np.arange(BINS))


def fixed_bin(fixed):
    return np.floor(fixed[..., -4] + 0.5).astype(int)


def intensity_energy(fixed, moving, u, gain):
    """Minus the gain of a joint histogram, seen through the windows."""
    return -(windows(at_points(moving[..., -4:-3], u)[..., 0]) * gain[fixed_bin(fixed)]).sum(-1)


def slope(energy, u):
    """Derivative of an energy of each voxel by that voxel's displacement, (3, d, h, w)."""
    out = []
    for component in range(3):
        step = np.zeros_like(u)
        step[component] = H
        out.append((energy(u + step) - energy(u - step)) / (2 * H))
    return np.stack(out)


def compared(rows, shape):
    """True where a voxel lies within the columns that `rows` gives for its row."""
    x = np.arange(shape[2])
    return ((x >= rows[:, :1]) & (x < rows[:, 1:])).reshape(shape)


def similarity_gradient(fixed, moving, u, rows, gain):
    """Forces of features and of intensities, times the validity, which itself pulls nowhere."""
    u, shape = np.asarray(u, np.float64), fixed.shape[:3]
    weight = validity(fixed, moving, u) * compared(rows, shape)
    features = weight * slope(lambda v: feature_energy(fixed, moving, v), u)
    if gain is None:
        return features, np.zeros_like(features)
    return features, weight * slope(lambda v: intensity_energy(fixed, moving, v, gain), u)


def histogram(fixed, moving, u, rows):
    weight = validity(fixed, moving, u) * compared(rows, fixed.shape[:3])
    counts = np.zeros((BINS, BINS))
    np.add.at(counts, fixed_bin(fixed), weight[..., None] * windows(at_points(moving[..., -4:-3], u)[..., 0]))
    return counts


def adam_step(forces, mean_decay, square_decay, floor, rate_vox):
    """Steps of Adam with one second moment for the three components (Kingma and Ba, ICLR 2015)."""
    mean, square, steps = np.zeros(forces[0].shape), np.zeros(forces[0].shape[1:]), []
    for t, g in enumerate(np.asarray(forces, np.float64), 1):
        mean = mean_decay * mean + (1 - mean_decay) * g
        square = square_decay * square + (1 - square_decay) * (g**2).sum(0)
        corrected = mean / (1 - mean_decay**t), square / (1 - square_decay**t)
        steps.append(-rate_vox * corrected[0] / np.sqrt(corrected[1] + floor**2))
    return steps


def detail(image, background, low, high, rim=3):
    """Count, sum, sum of squares and squared slopes where voxel and those `rim` away are foreground."""
    index, shape = np.indices(image.shape), np.reshape(image.shape, (3, 1, 1, 1))
    clipped, inside, slopes = np.clip(image.astype(np.float64), low, high), image > background, []
    for axis in range(3):
        for distance in (-rim, rim):
            move = np.reshape(distance * np.eye(3, dtype=int)[axis], (3, 1, 1, 1))
            inside &= image[tuple(np.clip(index + move, 0, shape - 1))] > background
        one = np.reshape(np.eye(3, dtype=int)[axis], (3, 1, 1, 1))
        ahead, back = (clipped[tuple(np.clip(index + s * one, 0, shape - 1))] for s in (1, -1))
        slopes.append((0.5 * (ahead - back)) ** 2)
    here = clipped[inside]
    return len(here), here.sum(), (here**2).sum(), tuple(s[inside].sum() for s in slopes)


def texture(image):
    """|Second difference| along all axes, of unit gain for white noise, and deviation of 3 x 3 x 3."""
    mean = image.astype(np.float64)
    noise, square = mean * any(n > 2 for n in image.shape), mean**2
    for axis in (a for a in range(3) if image.shape[a] > 2):
        noise = correlate1d(noise, np.array([1, -2, 1]) / np.sqrt(6), axis, mode="nearest")
        mean, square = (correlate1d(v, np.full(3, 1 / 3), axis, mode="nearest") for v in (mean, square))
    return np.abs(noise), np.sqrt(np.clip(square - mean**2, 0, None))


def active_rows(fixed, fixed_background, moving, moving_background, margin):
    """First and one past the last voxel of each row that is within `margin` voxels of a foreground."""
    d, h, w = fixed.shape
    inside = (fixed > fixed_background) | (moving > moving_background)
    rows = []
    for z, y in np.ndindex(d, h):
        near = inside[max(z - margin, 0) : z + margin + 1, max(y - margin, 0) : y + margin + 1]
        x = np.flatnonzero(near.any((0, 1)))
        rows.append((max(x[0] - margin, 0), min(x[-1] + 1 + margin, w)) if len(x) else (0, 0))
    return np.array(rows)


def smallest_of_nine(u):
    """Least determinant by central and all one-sided differences; at the border, the side there is."""
    u = np.asarray(u, np.float64)
    side = np.zeros((2, 3, 3, *u.shape[1:]))
    for axis in range(3):
        if u.shape[1 + axis] > 1:
            between = np.moveaxis(np.diff(u, axis=1 + axis), 1 + axis, 0)
            side[0, :, axis] = np.moveaxis(np.concatenate((between[:1], between)), 0, 1 + axis)
            side[1, :, axis] = np.moveaxis(np.concatenate((between, between[-1:])), 0, 1 + axis)
    ways = [side.mean(0)]
    ways += [np.stack([side[s[a], :, a] for a in range(3)], 1) for s in np.ndindex(2, 2, 2)]
    return np.min([np.linalg.det(np.moveaxis(w, (0, 1), (-2, -1)) + np.eye(3)) for w in ways], axis=0)
