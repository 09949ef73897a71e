"""The window that a network of one size sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..geometry import Grid
from .spec import network_grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..geometry import Float32, Float64
    from .spec import PreprocessSpec


def window_grid(
    fixed: Grid,
    spec: PreprocessSpec,
    centre_mm: Float64,
    size: Sequence[int],
    spacing_mm: Sequence[float],
) -> Grid:
    """The grid that a network of one size sees: around ``centre_mm``, along the axes of the fixed scan.

    The axes are those of ``network_grid``, turned to come nearest to ``spec.orientation``.
    """
    seen = network_grid(fixed, spec)
    matrix = seen.affine[:3, :3] / seen.spacing_mm * np.asarray(spacing_mm, np.float64)
    affine = np.eye(4)
    affine[:3, :3] = matrix
    affine[:3, 3] = centre_mm - matrix @ ((np.asarray(size, np.float64) - 1) / 2)
    depth, height, width = (int(n) for n in size)
    return Grid((depth, height, width), affine)


def scale_jointly(fixed: Float32, moving: Float32) -> tuple[Float32, Float32]:
    """Both images of a window by the one minimum and maximum of the two, to [0, 1]."""
    low, high = min(fixed.min(), moving.min()), max(fixed.max(), moving.max())
    scale = np.float32(1 / (high - low)) if high > low else np.float32(0)
    return (fixed - low) * scale, (moving - low) * scale
