"""A convolution whose gradients hold on every CPU.

On CPUs with AVX512-BF16 and without AMX, oneDNN 3.12 (of torch 2.13) reads past its input for the gradient of
bfloat16 weights where rows are 2 voxels wide: any number, up to 1e37, is added. Values, and gradients to the
input, are right. Such grids are the coarsest of a U-Net, so 32 bits cost nothing there.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

NARROW = 2  # voxels in a row


def convolve(convolution: Callable[[Tensor], Tensor], features: Tensor) -> Tensor:
    """``convolution(features)``; in 32 bits where rows are ``NARROW`` on a CPU in mixed precision.

    Args:
        features: (B, channels, ...), floating.
    """
    if torch.is_autocast_enabled("cpu") and features.shape[-1] == NARROW:
        with torch.autocast("cpu", enabled=False):
            return convolution(features.float())
    return convolution(features)


def convolution_of(dims: int) -> type[nn.Module]:
    """``nn.Conv3d`` or ``nn.Conv2d``."""
    kind: type[nn.Module] = nn.Conv3d if dims == 3 else nn.Conv2d
    return kind
