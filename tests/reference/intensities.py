"""Intensities to [0, 1], in float64, as ``PreprocessSpec`` describes them."""

from __future__ import annotations

import numpy as np


def normalise(image: np.ndarray, kind: str, low: float, high: float) -> np.ndarray:
    """Voxels that are not finite become 0."""
    data = image.astype(np.float64)
    finite = np.isfinite(data)
    found = data[finite]
    if found.size == 0 or found.min() == found.max():
        return np.zeros(image.shape)
    if kind == "minmax":
        low, high = found.min(), found.max()
    if kind == "percentile":
        inside = np.sort(found[found > found.min()])
        low, high = (inside[round(q / 100 * (inside.size - 1))] for q in (low, high))
        low = low if high > low else found.min()
    stretched = (np.clip(data, low, high) - low) / (high - low)
    return np.where(finite, stretched, 0)
