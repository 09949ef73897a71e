"""Exponential of a stationary velocity field."""

from __future__ import annotations

from torch import Tensor

from mmreg_train.layers.warp import warp


def integrate(velocity: Tensor, steps: int, factor: int = 1) -> Tensor:
    """Integrate a stationary velocity over unit time by scaling and squaring.

    ``u_0 = v / 2**steps``, then ``steps`` times ``u(p) <- u(p) + u(p + u(p))``; outside the grid the field
    keeps its border value. Arsigny et al., "A log-Euclidean framework for statistics on diffeomorphisms",
    MICCAI 2006.

    Args:
        velocity: ``(B, dims, ...)`` in voxels of the full grid.
        steps: Number of squarings; 0 returns the velocity.
        factor: Grid of the field: 1 is the full grid, 2 the half grid. Values stay in full-grid voxels.

    Returns:
        The displacement, with the shape and unit of ``velocity``.
    """
    displacement = velocity / 2**steps
    for _ in range(steps):
        displacement = displacement + warp(displacement, displacement / factor, padding="border")
    return displacement
