"""Fields between the full grid and coarser ones, by the house's rule of cell centres.

Voxel ``i`` of a grid of factor ``f`` stands for the full-grid position ``f * i + (f - 1) / 2``.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_LINEAR = {2: "bilinear", 3: "trilinear"}


def upsample(field: Tensor, factor: int) -> Tensor:
    """``field`` (B, C, ...) of a grid of ``factor`` on the full grid, linear, its border continued.

    Values are not scaled: a displacement is in full-grid voxels on every grid.
    """
    if factor == 1:
        return field
    if factor == 2 and torch.compiler.is_compiling() and not torch.compiler.is_exporting():
        return _doubled(field)
    # without aligned corners torch's rule is that of cell centres
    return functional.interpolate(
        field, scale_factor=factor, mode=_LINEAR[field.dim() - 2], align_corners=False
    )


def _doubled(field: Tensor) -> Tensor:
    """The same one axis after the other, from neighbours: compiled, its gradient does not scatter."""
    for axis in range(2, field.dim()):
        count = field.shape[axis]
        before = torch.cat([field.narrow(axis, 0, 1), field.narrow(axis, 0, count - 1)], axis)
        after = torch.cat([field.narrow(axis, 1, count - 1), field.narrow(axis, count - 1, 1)], axis)
        halves = torch.stack([0.75 * field + 0.25 * before, 0.75 * field + 0.25 * after], axis + 1)
        field = halves.flatten(axis, axis + 1)
    return field


def downsample(field: Tensor, factor: int) -> Tensor:
    """Means over cells of ``factor`` voxels along each axis of ``field`` (B, C, ...)."""
    if factor == 1:
        return field
    pool = functional.avg_pool3d if field.dim() == 5 else functional.avg_pool2d
    pooled: Tensor = pool(field, factor)
    return pooled
