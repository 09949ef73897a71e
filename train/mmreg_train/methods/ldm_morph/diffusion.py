"""Second training: prediction of the noise added to a latent.

Denoising diffusion (Ho et al., NeurIPS 2020) with the U-Net of Dhariwal and Nichol, "Diffusion models beat
GANs on image synthesis", NeurIPS 2021. Published size: 22,409,537 weights, of which registration needs the
6,067,392 of ``UNetEncoder``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmreg_train.methods.ldm_morph.blocks import Conv, ResBlock, SelfAttention, Up, sinusoids

EPS = 1e-5  # of the normalisations
STEPS = 1000
BETAS = (0.0015, 0.0195)  # variances of the first and the last step; their roots are evenly spaced


@dataclass(frozen=True)
class DiffusionSize:
    """Widths and depths of the denoising U-Net.

    Attributes:
        width: Channels on the grid of the latent.
        multipliers: Of the width on each grid.
        blocks: Residual blocks on each grid on the way down; one more on the way up.
        head_channels: Of an attention head. All grids except the finest have attention.
        channels: Of the latent.
        groups: Of the normalisations.
    """

    width: int = 64
    multipliers: Sequence[int] = (1, 2, 3, 4)
    blocks: int = 2
    head_channels: int = 32
    channels: int = 1
    groups: int = 32

    def __post_init__(self) -> None:
        indivisible = [n for n in self.widths if n % self.groups] + [
            n for n in self.widths[1:] if n % self.head_channels
        ]
        if indivisible or self.width % 2:
            raise ValueError(
                "The U-Net needs an even width, groups that divide every width, and head_channels that "
                f"divide all but the first; found widths={self.widths}, groups={self.groups}, "
                f"head_channels={self.head_channels}."
            )

    @property
    def widths(self) -> list[int]:
        """Channels on each grid."""
        return [self.width * m for m in self.multipliers]

    @property
    def passed(self) -> list[int]:
        """Channels of each of the features of ``UNetEncoder``."""
        widths = self.widths
        before = [self.width, *widths[:-1]]
        return [
            n for first, width in zip(before, widths, strict=True) for n in (first, *[width] * self.blocks)
        ]


class Step(nn.Module):
    """A residual block with a shift, optional attention, and optional upsampling."""

    def __init__(
        self, dims: int, inputs: int, outputs: int, size: DiffusionSize, attends: bool, up: bool = False
    ) -> None:
        super().__init__()
        time = 4 * size.width
        self.block = ResBlock(dims, inputs, outputs, size.groups, EPS, time, blank=True)
        heads = outputs // size.head_channels
        self.attention = (
            SelfAttention(outputs, heads, size.groups, EPS, blank=True) if attends else nn.Identity()
        )
        self.up = Up(dims, outputs) if up else nn.Identity()

    def forward(self, features: Tensor, shift: Tensor) -> Tensor:
        result: Tensor = self.up(self.attention(self.block(features, shift)))
        return result


class UNetEncoder(nn.Module):
    """The way down: a latent (B, channels, ...) to features on grids of factor 1, 2, 4 and so on."""

    def __init__(self, dims: int, size: DiffusionSize) -> None:
        super().__init__()
        self.width = size.width
        time = 4 * size.width
        self.time = nn.Sequential(nn.Linear(size.width, time), nn.SiLU(), nn.Linear(time, time))
        self.blocks = nn.ModuleList([Conv(dims, size.channels, size.width)])
        inputs = size.width
        for level, width in enumerate(size.widths):
            if level:
                self.blocks.append(Conv(dims, inputs, inputs, stride=2))
            for _ in range(size.blocks):
                self.blocks.append(Step(dims, inputs, width, size, attends=level > 0))
                inputs = width

    def embedding(self, steps: Tensor) -> Tensor:
        """Return embeddings (B, 4 width) of time steps (B,), counted from 0."""
        embedded: Tensor = self.time(sinusoids(steps, self.width))
        return embedded

    def shifts(self, embedding: Tensor) -> list[Tensor]:
        """Return the shifts of the residual blocks in order, (B, channels) each."""
        return [block.block.shift(embedding) for block in self.blocks if isinstance(block, Step)]

    def forward(self, latent: Tensor, shifts: Sequence[Tensor]) -> list[Tensor]:
        """Return all features in order, grid by grid."""
        features, outputs, remaining = latent, [], list(shifts)
        for block in self.blocks:
            features = block(features, remaining.pop(0)) if isinstance(block, Step) else block(features)
            outputs.append(features)
        return outputs


class UNetDecoder(nn.Module):
    """The way up: the features of the encoder to the noise in its input."""

    def __init__(self, dims: int, size: DiffusionSize) -> None:
        super().__init__()
        widths, passed = size.widths, size.passed
        inputs = widths[-1]
        middle = [Step(dims, inputs, inputs, size, attends) for attends in (True, False)]
        self.middle, self.up = nn.ModuleList(middle), nn.ModuleList()
        for level in reversed(range(len(widths))):
            for block in range(size.blocks + 1):
                up = level > 0 and block == size.blocks
                self.up.append(Step(dims, inputs + passed.pop(), widths[level], size, level > 0, up))
                inputs = widths[level]
        self.norm = nn.GroupNorm(size.groups, inputs, EPS)
        self.head = Conv(dims, inputs, size.channels, blank=True)

    def forward(self, features: Sequence[Tensor], embedding: Tensor) -> Tensor:
        hidden, skips = features[-1], list(features)
        for step in self.middle:
            hidden = step(hidden, step.block.shift(embedding))
        for step in self.up:
            hidden = step(torch.cat([hidden, skips.pop()], dim=1), step.block.shift(embedding))
        noise: Tensor = self.head(functional.silu(self.norm(hidden)))
        return noise


def kept_variance() -> Tensor:
    """Return the fraction of the latent's variance left at each step ("alpha bar"), (STEPS,) float64."""
    first, last = BETAS
    betas = torch.linspace(first**0.5, last**0.5, STEPS, dtype=torch.float64, device="cpu") ** 2
    return torch.cumprod(1 - betas, dim=0)


def add_noise(latent: Tensor, noise: Tensor, steps: Tensor) -> Tensor:
    """Return ``sqrt(kept) latent + sqrt(1 - kept) noise`` for latents (B, C, ...) at time steps (B,)."""
    kept = kept_variance().to(latent.device)[steps].float().view(-1, *(1,) * (latent.dim() - 1))
    return kept.sqrt() * latent + (1 - kept).sqrt() * noise
