"""Displacements to test with."""

import numpy as np


def smooth(shape, amplitude, wave, rng):
    """A displacement whose components are waves along all axes, about amplitude * 2 pi / wave steep."""
    p = np.indices(shape)
    return np.stack(
        [
            amplitude * np.sin(2 * np.pi * (p[0] * a + p[1] * b + p[2] * c) / wave + d)
            for a, b, c, d in rng.uniform(-1, 1, (3, 4))
        ]
    ).astype(np.float32)


def window(shape):
    """1 in the middle, 0 at the border: keeps a displacement inside."""
    waves = [np.sin(np.pi * np.arange(n) / (n - 1)) ** 2 for n in shape]
    return np.prod(np.meshgrid(*waves, indexing="ij"), axis=0)
