import numpy as np

import reference.filters


def local_ncc(fixed, moving, radius):
    """Mean of the squared local correlation and its map; windows of the images extended by their border.

    The variances of a window are raised by 1e-4 of those of the whole images.
    """
    f, g = (np.asarray(image, np.float64) for image in (fixed, moving))
    f, g = f - f.mean(), g - g.mean()
    if f.var() == 0 or g.var() == 0:
        return 0.0, np.zeros(f.shape)
    window = 3 * (radius,)
    mf, mg, ff, gg, fg = (reference.filters.box(p, window) for p in (f, g, f * f, g * g, f * g))
    variance_f = np.maximum(ff - mf * mf, 0) + 1e-4 * f.var()
    variance_g = np.maximum(gg - mg * mg, 0) + 1e-4 * g.var()
    squared = (fg - mf * mg) ** 2 / (variance_f * variance_g)
    return squared.mean(), squared


def _position(image, value_range, bins, padding):
    """Bin and position inside of it; the bin is decided in single precision, as the voxels are."""
    low, high = np.float32(value_range)
    position = (image - low) * (np.float32(bins - 2 * padding) / (high - low)) + np.float32(padding)
    position = np.clip(position, padding, bins - padding)
    index = np.minimum(position.astype(int), bins - 1 - padding)
    return index.ravel(), (position - index).ravel().astype(np.float64)


def joint_histogram(fixed, moving, mask, bins, fixed_range, moving_range, parzen):
    """Counts (fixed bins, moving bins); with parzen, cubic B-spline weights over four moving bins."""
    padding = 2 if parzen else 0
    f, _ = _position(fixed, fixed_range, bins[0], padding)
    m, t = _position(moving, moving_range, bins[1], padding)
    selected = np.ones(f.size) if mask is None else (mask.ravel() > 0).astype(float)
    histogram = np.zeros(bins)
    if not parzen:
        np.add.at(histogram, (f, m), selected)
        return histogram
    for k in range(-1, 3):
        d = np.abs(k - t)
        b_spline = np.where(d < 1, (4 - 6 * d**2 + 3 * d**3) / 6, np.where(d < 2, (2 - d) ** 3 / 6, 0))
        inside = b_spline > 0  # at t = 1 the first bin, at t = 0 the last one is not touched
        np.add.at(histogram, (f[inside], m[inside] + k), (selected * b_spline)[inside])
    return histogram


def entropies(histogram):
    p = np.asarray(histogram, np.float64) / np.sum(histogram)
    return [-(q[q > 0] * np.log(q[q > 0])).sum() for q in (p.sum(1), p.sum(0), p)]
