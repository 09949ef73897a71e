"""Float64 twins of the losses of training, for one image (D, H, W) or (H, W), from their definitions."""

from itertools import combinations

import numpy as np


def _cubes(image, window):
    """Every voxel's cube, 0 outside, (..., voxels of a cube)."""
    half = window // 2
    padded = np.pad(np.asarray(image, np.float64), half)
    cubes = np.lib.stride_tricks.sliding_window_view(padded, image.ndim * (window,))
    return cubes.reshape(*image.shape, -1)


def local_ncc(fixed, warped, window=9):
    f, w = _cubes(fixed, window), _cubes(warped, window)
    f, w = f - f.mean(-1, keepdims=True), w - w.mean(-1, keepdims=True)
    return -np.mean((f * w).sum(-1) ** 2 / ((f * f).sum(-1) * (w * w).sum(-1) + 1e-5))


def _joint_shares(fixed, warped, bins):
    centres, joint = np.arange(bins) / (bins - 1), np.zeros((bins, bins))
    for a, b in zip(np.ravel(fixed).astype(float), np.ravel(warped).astype(float), strict=True):
        weights = [np.exp(-0.5 * ((value - centres) * (bins - 1) / 0.5) ** 2) for value in (a, b)]
        joint += np.outer(weights[0] / weights[0].sum(), weights[1] / weights[1].sum())
    return joint / np.size(fixed)


def mutual_information(fixed, warped, bins=32):
    joint = _joint_shares(fixed, warped, bins)
    product = np.outer(joint.sum(1), joint.sum(0))
    some = joint > 0
    return -np.sum(joint[some] * np.log(joint[some] / product[some]))


def normalised_mutual_information(fixed, warped, bins=32):
    """From Studholme's quotient of entropies."""
    joint = _joint_shares(fixed, warped, bins)
    one, other, both = (
        -np.sum(shares[shares > 0] * np.log(shares[shares > 0]))
        for shares in (joint.sum(1), joint.sum(0), joint)
    )
    return 2 - 2 * both / (one + other)


def mind(image, radius=1, dilation=2, factor=1):
    """As the runtime's twin, but the mean of the variance is taken over every voxel, and in 2-D as well."""
    reach = radius + dilation
    extended = np.pad(np.asarray(image, np.float64), reach, mode="edge")
    steps = [s * row for row in np.eye(image.ndim, dtype=int) * dilation for s in (-1, 1)]
    channels = []
    for a, b in combinations(steps, 2):
        if np.sum((a - b) ** 2) != 2 * dilation**2:
            continue
        ssd = np.zeros([n // factor for n in image.shape])
        for patch in np.ndindex(*(image.ndim * (2 * radius + factor,))):
            views = []
            for step in (a, b):
                start = reach + step + np.array(patch) - radius
                views.append(extended[tuple(slice(s, s + n, factor) for s, n in zip(start, image.shape))])
            ssd += (views[0] - views[1]) ** 2
        channels.append(ssd / (2 * radius + factor) ** image.ndim)
    distance = np.array(channels)
    distance -= distance.min(0)
    variance = distance.mean(0)
    variance = np.clip(variance, 0.001 * variance.mean(), 1000 * variance.mean())
    return np.exp(-distance / np.where(variance > 0, variance, 1))


def soft_dice(fixed, warped, values):
    """``fixed`` labels, ``warped`` shares (labels, ...); labels that neither has agree."""
    scores = []
    for value, share in zip(values, warped, strict=True):
        truth = np.asarray(fixed) == value
        total = truth.sum() + share.sum()
        scores.append(2 * share[truth].sum() / total if total else 1.0)
    return 1 - np.mean(scores)


def squared_gradient(field, spacing=1):
    field = np.asarray(field, np.float64)
    return np.mean([np.mean((np.diff(field, axis=axis) / spacing) ** 2) for axis in range(1, field.ndim)])
