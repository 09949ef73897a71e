"""TransMorph: hierarchical shifted-window attention over both images, and a convolutional decoder.

Chen et al., "TransMorph: transformer for unsupervised medical image registration", MedIA 2022; the attention
is that of Liu et al., "Swin transformer", ICCV 2021, in three dimensions. Weights with windows of 5 x 6 x 7:
46,771,251 (width 96), 11,757,195 (48, "small"), 244,527 (6, "tiny"). 3-D only; sizes are multiples of 32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmreg_train.layers import upsample
from mmreg_train.layers.conv_block import NormalisedConvBlock, field_head
from mmreg_train.layers.windows import PatchMerging, WindowBlock
from mmreg_train.methods.field import FieldMethod, Objective


@dataclass(frozen=True)
class TransformerSize:
    """Widths, depths and windows of the encoder.

    Attributes:
        width: Channels of the first stage; each of the next three has twice as many.
        depths: Attention blocks of the four stages.
        heads: Attention heads of the four stages; they divide the widths.
        window: Voxels of a window along each axis, at every stage.
        drop_path: Largest probability that training skips a block; it grows from 0 with the depth.
    """

    width: int = 96
    depths: Sequence[int] = (2, 2, 4, 2)
    heads: Sequence[int] = (4, 4, 8, 8)
    window: Sequence[int] = (5, 6, 7)
    drop_path: float = 0.3

    def __post_init__(self) -> None:
        if len(self.depths) != 4 or len(self.heads) != 4 or len(self.window) != 3:
            raise ValueError(
                "TransMorph needs four depths, four heads and a window of three sizes; found "
                f"depths={self.depths}, heads={self.heads}, window={self.window}."
            )
        if any(channels % count for channels, count in zip(self.widths, self.heads, strict=True)):
            raise ValueError(
                f"Heads must divide the widths {self.widths} of their stages; found heads={self.heads}."
            )

    @property
    def widths(self) -> list[int]:
        """Channels of the four stages."""
        return [self.width * 2**stage for stage in range(4)]


SIZE, OBJECTIVE = TransformerSize(), Objective(image="mse", smoothness=0.02)


class TransMorph(FieldMethod):
    """The network with its loss.

    Args:
        dims: 3.
        size: Widths, depths and windows.
        objective: The loss.

    Raises:
        ValueError: ``dims`` is not 3.
    """

    name = "transmorph"
    output_kind = "displacement"
    multiple = 32
    groups = {"size": SIZE, "objective": OBJECTIVE}

    def __init__(self, dims: int = 3, size: TransformerSize = SIZE, objective: Objective = OBJECTIVE) -> None:
        super().__init__(dims)
        if dims != 3:
            raise ValueError(f"TransMorph needs dims=3; found dims={dims}.")
        self.trace_multiples = max(size.window) + 1  # voxels of the coarsest grid: two windows
        self.flow = FlowNetwork(size)
        self.objective = objective


class FlowNetwork(nn.Module):
    """Two images (B, 1, D, H, W) to a displacement (B, 3, D, H, W) in voxels."""

    head_width = 16

    def __init__(self, size: TransformerSize) -> None:
        super().__init__()
        widths, depths = size.widths, size.depths
        first, head = widths[0], self.head_width
        self.embed = nn.Conv3d(2, first, 4, stride=4)
        self.embed_norm = nn.LayerNorm(first)
        total = sum(depths)
        rates = [size.drop_path * block / max(1, total - 1) for block in range(total)]
        self.stages, self.norms = nn.ModuleList(), nn.ModuleList()
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            taken = rates[sum(depths[:stage]) :][:depth]
            self.stages.append(_stage(width, size.heads[stage], size.window, taken))
            self.norms.append(nn.LayerNorm(width))
        self.merges = nn.ModuleList(PatchMerging(width) for width in widths[:-1])
        self.half_skip, self.full_skip = NormalisedConvBlock(2, first // 2), NormalisedConvBlock(2, head)
        outputs = (*widths[-2::-1], first // 2, head)
        self.up = nn.ModuleList(Up(a, b) for a, b in zip((widths[-1], *outputs[:-1]), outputs, strict=True))
        self.head = field_head(3, head)

    def forward(self, fixed: Tensor, moving: Tensor) -> Tensor:
        pair = torch.cat([moving, fixed], dim=1)
        pooled = functional.avg_pool3d(pair, 3, stride=2, padding=1)
        skips = [self.full_skip(pair), self.half_skip(pooled), *self._encoded(pair)]
        features = skips.pop()
        for block in self.up:
            features = block(features, skips.pop())
        field: Tensor = self.head(features)
        return field

    def _encoded(self, pair: Tensor) -> list[Tensor]:
        """Return features of the four stages, (B, C, ...), at 1/4 to 1/32 of the resolution."""
        features = self.embed_norm(self.embed(pair).permute(0, 2, 3, 4, 1))
        encoded = []
        for stage, (blocks, norm) in enumerate(zip(self.stages, self.norms, strict=True)):
            features = blocks(self.merges[stage - 1](features) if stage else features)
            encoded.append(norm(features).permute(0, 4, 1, 2, 3))
        return encoded


class Up(nn.Module):
    """Doubles the resolution and adds a skip connection of ``outputs`` channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first, self.second = (
            NormalisedConvBlock(inputs + outputs, outputs),
            NormalisedConvBlock(outputs, outputs),
        )

    def forward(self, features: Tensor, skip: Tensor) -> Tensor:
        joined = torch.cat([upsample(features, 2), skip], dim=1)
        result: Tensor = self.second(self.first(joined))
        return result


def _stage(width: int, heads: int, window: Sequence[int], rates: Sequence[float]) -> nn.Sequential:
    """Return blocks whose windows alternate between no shift and half a window."""
    shifts = [[n // 2 if block % 2 else 0 for n in window] for block in range(len(rates))]
    blocks = [
        WindowBlock(width, heads, window, shift, rate) for shift, rate in zip(shifts, rates, strict=True)
    ]
    return nn.Sequential(*blocks)
