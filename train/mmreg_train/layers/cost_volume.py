"""Cost volumes: feature mismatch of two images, for each voxel and each of several small shifts."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor
from torch.nn import functional


def cost_volume(fixed: Tensor, moving: Tensor, reach: int) -> Tensor:
    """Return the mean squared feature difference at every shift of ``-reach``, 0 or ``reach`` per axis.

    Channel ``k`` of voxel ``p`` compares ``fixed(p)`` with ``moving(p + r_k)``; the mean over the shifts is
    subtracted, which leaves how much better each shift matches. The border of ``moving`` is extended.

    Args:
        fixed, moving: Features ``(B, C, ...)`` of one size.
        reach: Voxels, 1 or more.

    Returns:
        ``(B, 3**dims, ...)``, shifts in the order of ``shifts_of``; negative where a shift matches well.
    """
    dims, size = fixed.dim() - 2, fixed.shape[2:]
    padded = functional.pad(moving, (reach, reach) * dims, mode="replicate")
    costs = []
    for shift in shifts_of(dims, reach):
        windows = [slice(reach + step, reach + step + n) for step, n in zip(shift, size, strict=True)]
        index = (slice(None), slice(None), *windows)
        shifted = padded[index]
        costs.append(torch.mean((fixed - shifted) ** 2, dim=1, keepdim=True))
    volume = torch.cat(costs, dim=1)
    return volume - volume.mean(1, keepdim=True)


def shifts_of(dims: int, reach: int) -> list[tuple[int, ...]]:
    """Return the shifts in voxels; the last axis varies fastest."""
    return list(product((-reach, 0, reach), repeat=dims))
