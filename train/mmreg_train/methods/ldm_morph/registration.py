"""Registration network of LDM-Morph.

A pyramid of window attention over the pair, one of scores of the frozen model, cross attention in windows
between the two (the paper's LGCA), and a convolutional decoder. Windows: Liu et al., "Swin transformer", ICCV
2021. Published size: 29,144,934 weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmreg_train.layers import upsample
from mmreg_train.layers.conv_block import NormalisedConvBlock, field_head
from mmreg_train.layers.convolve import convolution_of, convolve
from mmreg_train.layers.windows import PatchMerging, WindowBlock

PATCH = 4  # voxels along each axis of the initial patches
CROSS_BLOCKS = 2


@dataclass(frozen=True)
class RegistrationSize:
    """Widths and depths of the registration network.

    Attributes:
        width: Channels of the first grid; each of the next has twice as many.
        depths: Attention blocks of the grids.
        heads: Attention heads of the grids; they divide the widths.
        cross_heads: Heads of the attention between the pyramids, on every grid.
        window: Voxels of a window along each axis.
        drop_path: Largest probability that training skips a block; it grows from 0 with the depth.
        factor: Grid of the field: 1 is full resolution, as published, 2 half.
    """

    width: int = 64
    depths: Sequence[int] = (2, 2, 4, 2)
    heads: Sequence[int] = (4, 4, 8, 8)
    cross_heads: int = 4
    window: int = 7
    drop_path: float = 0.3
    factor: int = 1

    def __post_init__(self) -> None:
        invalid = len(self.heads) != len(self.depths) or len(self.depths) < 2 or self.window < 2
        invalid = invalid or any(w % h for w, h in zip(self.widths, self.heads, strict=False))
        if invalid or self.width % self.cross_heads or not 0 <= self.drop_path < 1:
            raise ValueError(
                "The registration network needs two or more depths, as many heads, which divide the "
                "widths, cross_heads that divide the width, a window of 2 or more and drop_path in "
                f"[0, 1); found widths={self.widths}, depths={tuple(self.depths)}, "
                f"heads={tuple(self.heads)}, cross_heads={self.cross_heads}, window={self.window}, "
                f"drop_path={self.drop_path}."
            )
        if self.factor not in (1, 2):
            raise ValueError(f"factor must be 1 or 2; found {self.factor!r}.")

    @property
    def widths(self) -> list[int]:
        """Channels of the grids."""
        return [self.width * 2**level for level in range(len(self.depths))]

    @property
    def rates(self) -> list[float]:
        """Probability of skipping, for each block of the pyramid."""
        total = sum(self.depths)
        return [self.drop_path * block / max(1, total - 1) for block in range(total)]


class RegistrationNetwork(nn.Module):
    """A pair and its scores to a field (B, dims, ...), unbounded, on the grid of ``size.factor``.

    Args:
        dims: 2 or 3.
        size: Widths and depths.
        scores: Channels of the scores on each grid.
    """

    def __init__(self, dims: int, size: RegistrationSize, scores: Sequence[int]) -> None:
        super().__init__()
        self.dims, self.factor = dims, size.factor
        widths = size.widths
        self.pyramid = Pyramid(dims, size)
        self.scores = nn.ModuleList(
            nn.Sequential(convolution_of(dims)(inputs, width, 3, padding=1), nn.PReLU())
            for inputs, width in zip(scores, widths, strict=True)
        )
        rates = size.rates[:CROSS_BLOCKS]
        self.cross = nn.ModuleList(
            CrossAttention(dims, width, size.cross_heads, size.window, rates) for width in widths
        )
        half = size.width // 2
        self.half_skip = NormalisedConvBlock(2, half, dims)
        outputs = [*widths[-2::-1], half]
        skips = [*(2 * width for width in widths[-2::-1]), half]
        self.up = nn.ModuleList(
            nn.Sequential(
                NormalisedConvBlock(above + skip, width, dims), NormalisedConvBlock(width, width, dims)
            )
            for above, skip, width in zip([widths[-1], *outputs[:-1]], skips, outputs, strict=True)
        )
        self.head = field_head(dims, half)

    def forward(self, pair: Tensor, scores: Sequence[Tensor]) -> Tensor:
        """Return the field of a pair (B, 2, ...), moving first, and its scores, finest first."""
        pool = functional.avg_pool3d if self.dims == 3 else functional.avg_pool2d
        skips = [self.half_skip(pool(pair, 3, stride=2, padding=1))]
        pairs = list(zip(self.pyramid(pair), self._latent(scores), strict=True))
        for cross, (image, latent) in zip(self.cross, pairs, strict=True):
            attended = [cross(image, latent)]
            if cross is not self.cross[-1]:
                attended.append(cross(latent, image))  # the same weights
            skips.append(torch.cat([_channels_first(part, self.dims) for part in attended], dim=1))
        features = skips.pop()
        for block in self.up:
            features = block(torch.cat([_double(features), skips.pop()], dim=1))
        field: Tensor = self.head(features if self.factor == 2 else _double(features))
        return field

    def _latent(self, scores: Sequence[Tensor]) -> list[Tensor]:
        """Return the scores at the widths of the pyramid, (B, D, H, W, C)."""
        latents = []
        for (convolution, rectifier), score in zip(self.scores, scores, strict=True):
            latents.append(_channels_last(rectifier(convolve(convolution, score)), self.dims))
        return latents


class Pyramid(nn.Module):
    """A pair (B, 2, ...) to features (B, D, H, W, C) of all grids; in 2-D D is 1."""

    def __init__(self, dims: int, size: RegistrationSize) -> None:
        super().__init__()
        self.dims = dims
        self.embed = convolution_of(dims)(2, size.width, PATCH, stride=PATCH)
        self.embed_norm = nn.LayerNorm(size.width)
        rates = iter(size.rates)
        self.stages = nn.ModuleList(
            nn.ModuleList(_blocks(dims, width, heads, size.window, [next(rates) for _ in range(depth)]))
            for width, depth, heads in zip(size.widths, size.depths, size.heads, strict=True)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in size.widths)
        self.merges = nn.ModuleList(PatchMerging(width, dims) for width in size.widths[:-1])

    def forward(self, pair: Tensor) -> list[Tensor]:
        features = self.embed_norm(_channels_last(convolve(self.embed, pair), self.dims))
        outputs = []
        for level, (blocks, norm) in enumerate(zip(self.stages, self.norms, strict=True)):
            features = self.merges[level - 1](features) if level else features
            for block in blocks:
                features = block(features)
            outputs.append(norm(features))
        return outputs


class CrossAttention(nn.Module):
    """Features of one pyramid on a grid, after attention from the other; (B, D, H, W, C) each.

    Blocks of window attention in which ``queries`` stay the same, while keys, values and residuals are the
    ``features`` of the previous block.
    """

    def __init__(self, dims: int, width: int, heads: int, window: int, rates: Sequence[float]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_blocks(dims, width, heads, window, rates))
        self.norm = nn.LayerNorm(width)

    def forward(self, features: Tensor, queries: Tensor) -> Tensor:
        for block in self.blocks:
            features = block(features, queries)
        normal: Tensor = self.norm(features)
        return normal


def _blocks(dims: int, width: int, heads: int, window: int, rates: Sequence[float]) -> list[WindowBlock]:
    """Create blocks whose windows alternate between no shift and half a window."""
    extent = [1] * (3 - dims) + [window] * dims
    return [
        WindowBlock(width, heads, extent, [n // 2 if number % 2 else 0 for n in extent], rate)
        for number, rate in enumerate(rates)
    ]


def _channels_last(features: Tensor, dims: int) -> Tensor:
    """Permute (B, C, ...) to (B, D, H, W, C)."""
    return (features if dims == 3 else features[:, :, None]).permute(0, 2, 3, 4, 1)


def _channels_first(features: Tensor, dims: int) -> Tensor:
    """Permute (B, D, H, W, C) to (B, C, ...)."""
    features = features.permute(0, 4, 1, 2, 3)
    return features if dims == 3 else features[:, :, 0]


def _double(features: Tensor) -> Tensor:
    """Double the resolution: bicubic in 2-D, linear in 3-D."""
    if features.dim() == 5:
        return upsample(features, 2)
    return functional.interpolate(features, scale_factor=2, mode="bicubic", align_corners=False)
