"""Registration network of INNReg: a U-Net with strided convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmreg_train.layers import downsample
from mmreg_train.layers.conv_block import ConvBlock, check_widths, field_head

ENCODER = (16, 32, 32, 64, 64, 64)
DECODER = (64, 64, 64, 32, 32, 32, 16)


class StridedNetwork(nn.Module):
    """Two images (B, 1, ...) to a velocity (B, dims, ...) on the half grid, in full-grid voxels.

    356,258 weights in 2-D with the widths above.

    Args:
        dims: 2 or 3.
        encoder: Channels after each halving.
        decoder: Channels before each doubling, and then of the last convolutions.
    """

    def __init__(self, dims: int, encoder: Sequence[int], decoder: Sequence[int]) -> None:
        super().__init__()
        levels = check_widths(encoder, decoder)
        inputs = (2, *encoder[:-1])  # of each halving; also of the skip connection after each doubling
        self.down = nn.ModuleList(
            ConvBlock(dims, a, b, stride=2) for a, b in zip(inputs, encoder, strict=True)
        )
        widths = [encoder[-1]] + [a + b for a, b in zip(decoder[:levels], inputs[::-1], strict=True)]
        self.up = nn.ModuleList(
            ConvBlock(dims, a, b) for a, b in zip(widths[:levels], decoder[:levels], strict=True)
        )
        last = (widths[levels], *decoder[levels:])
        self.last = nn.Sequential(*(ConvBlock(dims, a, b) for a, b in zip(last[:-1], last[1:], strict=True)))
        self.head = field_head(dims, last[-1])

    def forward(self, fixed: Tensor, moving: Tensor) -> Tensor:
        """Return the velocity; the moving image is the first channel."""
        features = torch.cat([moving, fixed], dim=1)
        skips = []
        for block in self.down:
            skips.append(features)
            features = block(features)
        for block in self.up:
            features = functional.interpolate(block(features), scale_factor=2, mode="nearest")
            features = torch.cat([features, skips.pop()], dim=1)
        return downsample(cast("Tensor", self.head(self.last(features))), 2)
