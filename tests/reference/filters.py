import numpy as np


def _replicated(image, axis, offset):
    """image(p + offset along axis), the border value outside."""
    index = np.clip(np.arange(image.shape[axis]) + offset, 0, image.shape[axis] - 1)
    return np.take(image, index, axis)


def _weighted(image, weights):
    """Sum over k of weights[axis][k] image(p + k) along each of the last three axes."""
    image = np.asarray(image, np.float64)
    for axis, w in zip((-3, -2, -1), weights, strict=True):
        radius = len(w) // 2
        image = sum(w[k + radius] * _replicated(image, axis, k) for k in range(-radius, radius + 1))
    return image


def gaussian(image, sigma_vox):
    """Weights exp(-k^2 / 2 sigma^2), |k| <= ceil(4 sigma), scaled to sum 1."""
    weights = []
    for sigma in np.asarray(sigma_vox, np.float32).astype(np.float64):
        k = np.arange(-np.ceil(4 * sigma), np.ceil(4 * sigma) + 1)
        w = np.exp(-0.5 * k**2 / sigma**2) if sigma > 0 else np.ones(1)
        weights.append(w / w.sum())
    return _weighted(image, weights)


def box(image, radius):
    """Mean over 2 radius + 1 voxels along each axis."""
    return _weighted(image, [np.full(2 * r + 1, 1 / (2 * r + 1)) for r in radius])


def pool(image, factor):
    """Mean over blocks along the last three axes; what exists of a block at the border."""
    image = np.asarray(image, np.float64)
    for axis, f in zip((-3, -2, -1), factor, strict=True):
        starts = np.arange(0, image.shape[axis], f)
        counts = np.diff(np.append(starts, image.shape[axis]))
        total = np.add.reduceat(image, starts, axis)
        image = total / counts.reshape([-1 if a == axis else 1 for a in (-3, -2, -1)])
    return image


# Patches compared by each channel, as offsets (z, y, x) in units of the dilation.
MIND_PAIRS = (
    ((1, 0, 0), (0, -1, 0)),
    ((0, 1, 0), (-1, 0, 0)),
    ((0, -1, 0), (-1, 0, 0)),
    ((0, 1, 0), (1, 0, 0)),
    ((0, -1, 0), (0, 0, -1)),
    ((0, 1, 0), (0, 0, 1)),
    ((0, 0, -1), (-1, 0, 0)),
    ((1, 0, 0), (0, 0, 1)),
    ((0, 1, 0), (0, 0, -1)),
    ((0, 0, 1), (0, -1, 0)),
    ((1, 0, 0), (0, 0, -1)),
    ((0, 0, 1), (-1, 0, 0)),
)


def mind(image, radius, dilation):
    """MIND-SSC (Heinrich et al., MICCAI 2013) of the image extended by its border value, (12, D, H, W).

    The mean of the variance is taken over every eighth plane and every eighth row of those planes,
    counted such that the middle ones ((n - 1) // 2) are among them.
    """
    shape, reach = image.shape, dilation + radius
    extended = np.pad(np.asarray(image, np.float64), reach, mode="edge")

    def shifted(offset):
        return extended[tuple(slice(reach + o, reach + o + n) for o, n in zip(offset, shape, strict=True))]

    ssd = np.zeros((12, *shape))
    for channel, (a, b) in enumerate(MIND_PAIRS):
        for patch in np.ndindex(*(3 * (2 * radius + 1,))):
            q = np.array(patch) - radius
            ssd[channel] += (shifted(q + dilation * np.array(a)) - shifted(q + dilation * np.array(b))) ** 2
    ssd /= (2 * radius + 1) ** 3
    ssd -= ssd.min(0)
    variance = ssd.mean(0)
    lattice = tuple(slice((n - 1) // 2 % 8, None, 8) for n in shape[:2])
    mean = variance[lattice].mean()
    variance = np.clip(variance, 0.001 * mean, 1000 * mean)
    return np.exp(-ssd / np.where(variance > 0, variance, 1))
