"""A convolution whose gradients are correct on every CPU.

On CPUs with AVX512-BF16 and without AMX, oneDNN 3.12 (in torch 2.13) reads past its input for the gradient of
bfloat16 weights if rows are 2 voxels wide: arbitrary numbers, up to 1e37, are added. Values, and gradients of
the input, are correct. Such grids are the coarsest of a U-Net, so computing them in 32 bits costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

NARROW = 2  # voxels in a row


def convolve(convolution: Callable[[Tensor], Tensor], features: Tensor) -> Tensor:
    """Return ``convolution(features)``, in 32 bits for narrow rows on a CPU in mixed precision.

    Args:
        convolution: The layer.
        features: (B, channels, ...), floating point.
    """
    if torch.is_autocast_enabled("cpu") and features.shape[-1] == NARROW:
        with torch.autocast("cpu", enabled=False):
            return convolution(features.float())
    return convolution(features)


def convolution_of(dims: int) -> type[nn.Module]:
    """Return ``nn.Conv3d`` or ``nn.Conv2d``."""
    kind: type[nn.Module] = nn.Conv3d if dims == 3 else nn.Conv2d
    return kind
