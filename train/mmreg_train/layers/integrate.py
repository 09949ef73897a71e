"""Exponential of a stationary velocity field."""

from __future__ import annotations

from torch import Tensor

from mmreg_train.layers.warp import warp


def integrate(velocity: Tensor, steps: int, factor: int = 1) -> Tensor:
    """Displacement that flowing along ``velocity`` for unit time ends in, by scaling and squaring.

    ``u_0 = v / 2**steps``, then ``steps`` times ``u(p) <- u(p) + u(p + u(p))``; outside the grid the field
    continues its border value. Arsigny et al., "A log-Euclidean framework for statistics on
    diffeomorphisms", MICCAI 2006.

    Args:
        velocity: ``(B, dims, ...)`` in voxels of the full grid.
        steps: Number of squarings; 0 returns the velocity.
        factor: Grid on which the field lies: 1 the full grid, 2 the one of half as many voxels. The values
            stay in full-grid voxels.

    Returns:
        The displacement, shape and unit of ``velocity``.
    """
    displacement = velocity / 2**steps
    for _ in range(steps):
        displacement = displacement + warp(displacement, displacement / factor, padding="border")
    return displacement
