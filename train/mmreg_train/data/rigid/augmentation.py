"""Variation of the moving scan of a rigid pair: it is deformed, and ends elsewhere.

Where an organ lies in the scans of a few people is no rule for others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from mmreg_rt.geometry import Volume
from mmreg_rt.transform import fields

from ..known_warps import smooth_at_random
from .truth import rigid_fit

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmreg_rt.geometry import Grid

    Points = npt.NDArray[np.float64]  # (N, 3), RAS+ mm

SCALE_MM = 30.0  # between the random vectors of a deformation
STEPS = 5  # squarings of its velocity


def cut(scan: Volume, most_mm: float, draw: np.random.Generator) -> Volume:
    """The scan with 0 outside of a random part of it, see ``Starts.cut_mm``."""
    shape = np.array(scan.grid.shape)
    most = np.minimum(most_mm / np.array(scan.grid.spacing_mm), shape / 3)
    before, after = (draw.uniform(0, 1, 3) * most for _ in range(2))
    limits = zip(before.round().astype(int), (shape - after).round().astype(int), strict=True)
    kept = tuple(slice(a, b) for a, b in limits)
    data = np.zeros_like(scan.data)
    data[kept] = scan.data[kept]
    return Volume(data, scan.grid)


def deformed(
    scan: Volume, points_mm: Points, most_mm: float, draw: np.random.Generator
) -> tuple[Volume, npt.NDArray[np.float64]]:
    """The scan after a smooth random deformation without folds, and how points of it have moved.

    Args:
        scan: float32.
        points_mm: ``(N, 3)`` in the scan, not all on one line.
        most_mm: Of the length of the longest velocity, which is drawn evenly.
        draw: Everything is drawn from it.

    Returns:
        The scan on its own grid, and ``(4, 4)``: the rigid fit of where the points are now, from where they
        were.
    """
    velocity = _velocity_vox(scan.grid, draw.uniform(0, most_mm), int(draw.integers(2**62)))
    data = fields.warp(np.asarray(scan.data, np.float32), fields.integrate(velocity, STEPS), "linear")
    back = fields.integrate(-velocity, STEPS)  # what lay at i lies at i + back(i) now
    indices = scan.grid.map_points(points_mm)
    now = scan.grid.map_indices(indices + fields.sample_points(back, indices))
    return Volume(data, scan.grid), rigid_fit(points_mm, now)


def _velocity_vox(grid: Grid, longest_mm: float, seed: int) -> npt.NDArray[np.float32]:
    """``(3, D, H, W)`` in voxels along the axes of the grid."""
    spacing_mm = np.array(grid.spacing_mm)
    scale_vox = max(2, round(SCALE_MM / float(spacing_mm.mean())))
    generator = torch.Generator().manual_seed(seed)
    field = smooth_at_random(grid.shape, scale_vox, generator)[0].double().numpy()
    longest = float(np.sqrt((field**2).sum(0).max()))
    along = field * (longest_mm / max(longest, 1e-9)) / spacing_mm[:, None, None, None]
    return np.ascontiguousarray(along, np.float32)
