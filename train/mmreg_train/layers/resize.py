"""Resampling of fields between the full grid and coarser ones, by the rule of cell centres.

Voxel ``i`` of a grid of factor ``f`` lies at the full-grid position ``f * i + (f - 1) / 2``.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_LINEAR = {2: "bilinear", 3: "trilinear"}


def upsample(field: Tensor, factor: int) -> Tensor:
    """Interpolate a field (B, C, ...) linearly from a grid of ``factor`` to the full grid.

    The border is extended. Values are not scaled: displacements are in full-grid voxels on every grid.
    """
    if factor == 1:
        return field
    if factor == 2 and torch.compiler.is_compiling() and not torch.compiler.is_exporting():
        return _double(field)
    # align_corners=False is torch's rule of cell centres
    return functional.interpolate(
        field, scale_factor=factor, mode=_LINEAR[field.dim() - 2], align_corners=False
    )


def _double(field: Tensor) -> Tensor:
    """Upsample by 2 along one axis after the other; compiled, its gradient needs no scatter."""
    for axis in range(2, field.dim()):
        count = field.shape[axis]
        before = torch.cat([field.narrow(axis, 0, 1), field.narrow(axis, 0, count - 1)], axis)
        after = torch.cat([field.narrow(axis, 1, count - 1), field.narrow(axis, count - 1, 1)], axis)
        halves = torch.stack([0.75 * field + 0.25 * before, 0.75 * field + 0.25 * after], axis + 1)
        field = halves.flatten(axis, axis + 1)
    return field


def downsample(field: Tensor, factor: int) -> Tensor:
    """Average ``field`` (B, C, ...) over cells of ``factor`` voxels along each axis."""
    if factor == 1:
        return field
    pool = functional.avg_pool3d if field.dim() == 5 else functional.avg_pool2d
    pooled: Tensor = pool(field, factor)
    return pooled
