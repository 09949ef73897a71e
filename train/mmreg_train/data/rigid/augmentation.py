"""Augmentation of the moving scan of a rigid pair: deformation and another field of view.

The position of an organ in the scans of a few people does not generalise to others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from mmreg_rt.geometry import Volume
from mmreg_rt.transform import fields

from ..known_warps import random_smooth_field
from .truth import rigid_fit

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmreg_rt.geometry import Grid

    Points = npt.NDArray[np.float64]  # (N, 3), RAS+ mm

SCALE_MM = 30.0  # distance of the random vectors of a deformation
STEPS = 5  # squarings of its velocity


def blank_borders(scan: Volume, largest_mm: float, draw: np.random.Generator) -> Volume:
    """Set the scan to 0 outside a random box, see ``StartSampling.cut_mm``."""
    shape = np.array(scan.grid.shape)
    largest = np.minimum(largest_mm / np.array(scan.grid.spacing_mm), shape / 3)
    before, after = (draw.uniform(0, 1, 3) * largest for _ in range(2))
    limits = zip(before.round().astype(int), (shape - after).round().astype(int), strict=True)
    kept = tuple(slice(a, b) for a, b in limits)
    data = np.zeros_like(scan.data)
    data[kept] = scan.data[kept]
    return Volume(data, scan.grid)


def deform(
    scan: Volume, points_mm: Points, largest_mm: float, draw: np.random.Generator
) -> tuple[Volume, npt.NDArray[np.float64]]:
    """Deform a scan smoothly and without folds, and fit the rigid motion of its points.

    Args:
        scan: float32.
        points_mm: ``(N, 3)`` in the scan, RAS+ mm, not all on one line.
        largest_mm: Upper limit of the length of the longest velocity, which is drawn uniformly.
        draw: Source of all random numbers.

    Returns:
        The scan on its own grid, and ``(4, 4)``: the rigid fit from the old to the new points.
    """
    velocity = _velocity_vox(scan.grid, draw.uniform(0, largest_mm), int(draw.integers(2**62)))
    data = fields.warp(np.asarray(scan.data, np.float32), fields.integrate(velocity, STEPS), "linear")
    back = fields.integrate(-velocity, STEPS)  # voxel i moves to i + back(i)
    indices = scan.grid.map_points(points_mm)
    now = scan.grid.map_indices(indices + fields.sample_points(back, indices))
    return Volume(data, scan.grid), rigid_fit(points_mm, now)


def _velocity_vox(grid: Grid, longest_mm: float, seed: int) -> npt.NDArray[np.float32]:
    """Draw a velocity ``(3, D, H, W)`` in voxels along the axes of the grid."""
    spacing_mm = np.array(grid.spacing_mm)
    scale_vox = max(2, round(SCALE_MM / float(spacing_mm.mean())))
    generator = torch.Generator().manual_seed(seed)
    field = random_smooth_field(grid.shape, scale_vox, generator)[0].double().numpy()
    longest = float(np.sqrt((field**2).sum(0).max()))
    along = field * (longest_mm / max(longest, 1e-9)) / spacing_mm[:, None, None, None]
    return np.ascontiguousarray(along, np.float32)
