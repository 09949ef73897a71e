"""Fields between the full grid and coarser ones, by the house's rule of cell centres.

Voxel ``i`` of a grid of factor ``f`` stands for the full-grid position ``f * i + (f - 1) / 2``.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

_LINEAR = {2: "bilinear", 3: "trilinear"}


def upsample(field: Tensor, factor: int) -> Tensor:
    """``field`` (B, C, ...) of a grid of ``factor`` on the full grid, linear, its border continued.

    Values are not scaled: a displacement is in full-grid voxels on every grid.
    """
    if factor == 1:
        return field
    # without aligned corners torch's rule is that of cell centres
    return functional.interpolate(
        field, scale_factor=factor, mode=_LINEAR[field.dim() - 2], align_corners=False
    )


def downsample(field: Tensor, factor: int) -> Tensor:
    """Means over cells of ``factor`` voxels along each axis of ``field`` (B, C, ...)."""
    if factor == 1:
        return field
    pool = functional.avg_pool3d if field.dim() == 5 else functional.avg_pool2d
    pooled: Tensor = pool(field, factor)
    return pooled
