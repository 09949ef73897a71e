"""The U-Net of VoxelMorph: convolutions and resizing only (Balakrishnan et al., IEEE TMI 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmreg_train.layers.conv_block import ConvBlock, check_widths, field_head


class UNet(nn.Module):
    """Channels on one or more grids to a field (B, dims, ...).

    Args:
        dims: 2 or 3.
        inputs: Input channels on the finest grid, on the next coarser one, and so on.
        encoder: Channels on the way down.
        decoder: Channels on the way up, and then of the last convolutions.
        half: End on the second grid.
    """

    def __init__(
        self,
        dims: int,
        inputs: tuple[int, ...],
        encoder: tuple[int, ...],
        decoder: tuple[int, ...],
        half: bool,
    ) -> None:
        super().__init__()
        levels = check_widths(encoder, decoder)
        self.half = half
        self.pool = nn.MaxPool3d(2) if dims == 3 else nn.MaxPool2d(2)
        arriving = (*inputs, *(0,) * (levels - len(inputs)))
        before = (0, *encoder[:-1])
        self.down = nn.ModuleList(
            ConvBlock(dims, a + b, c) for a, b, c in zip(before, arriving, encoder, strict=True)
        )
        skips = encoder[::-1]
        widths = [encoder[-1]] + [decoder[i] + skips[i] for i in range(levels)]
        self.up = nn.ModuleList(ConvBlock(dims, a, b) for a, b in zip(widths[:levels], decoder, strict=False))
        after = decoder[levels - 1] if half else widths[levels]
        self.last = nn.Sequential(*_blocks(dims, after, decoder[levels:]))
        self.head = field_head(dims, (after, *decoder[levels:])[-1])

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the field of the inputs on each grid, finest first."""
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            arriving = [self.pool(skips[-1])] if skips else []
            arriving += inputs[level : level + 1]
            skips.append(block(torch.cat(arriving, dim=1) if len(arriving) > 1 else arriving[0]))
        features = self.pool(skips[-1])
        for block in self.up:
            features, skip = block(features), skips.pop()
            if skips or not self.half:
                features = functional.interpolate(features, scale_factor=2, mode="nearest")
                features = torch.cat([features, skip], dim=1)
        return cast("Tensor", self.head(self.last(features)))


def _blocks(dims: int, inputs: int, widths: Sequence[int]) -> list[ConvBlock]:
    return [ConvBlock(dims, a, b) for a, b in zip((inputs, *widths[:-1]), widths, strict=True)]
