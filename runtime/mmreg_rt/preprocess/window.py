"""Windows for networks of fixed size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..geometry import Grid
from .spec import network_grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ..geometry import Float32, Float64
    from .spec import PreprocessSpec


def centre_mm(grid: Grid, mask: npt.NDArray[np.bool_] | None) -> Float64:
    """Return the centre of a mask, or of the field of view without one, ``(3,)``, RAS+ mm.

    Args:
        grid: Grid of the scan.
        mask: ``(D, H, W)`` bool, or None.
    """
    if mask is None:
        return grid.centre_mm
    centre: Float64 = grid.map_indices(np.argwhere(mask).mean(axis=0)[None])[0]
    return centre


def window_grid(
    fixed: Grid, spec: PreprocessSpec, centre_mm: Float64, size: Sequence[int], spacing_mm: Sequence[float]
) -> Grid:
    """Return the grid of a network of fixed size, around a point and along the axes of ``network_grid``.

    Args:
        fixed: Grid of the fixed scan.
        spec: Preprocessing of the network.
        centre_mm: Centre of the window, ``(3,)``, RAS+ mm.
        size: Number of voxels along axes 0, 1, 2.
        spacing_mm: Spacing along axes 0, 1, 2.
    """
    grid = network_grid(fixed, spec)
    matrix = grid.affine[:3, :3] / grid.spacing_mm * np.asarray(spacing_mm, np.float64)
    affine = np.eye(4)
    affine[:3, :3] = matrix
    affine[:3, 3] = centre_mm - matrix @ ((np.asarray(size, np.float64) - 1) / 2)
    depth, height, width = (int(n) for n in size)
    return Grid((depth, height, width), affine)


def scale_jointly(fixed: Float32, moving: Float32) -> tuple[Float32, Float32]:
    """Scale both images to [0, 1] by their common minimum and maximum."""
    low, high = min(fixed.min(), moving.min()), max(fixed.max(), moving.max())
    scale = np.float32(1 / (high - low)) if high > low else np.float32(0)
    return (fixed - low) * scale, (moving - low) * scale
