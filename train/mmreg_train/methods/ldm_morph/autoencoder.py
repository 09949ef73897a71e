"""First training: a vector-quantised autoencoder, with latents at a quarter of the resolution.

Van den Oord et al., "Neural discrete representation learning", NeurIPS 2017; Esser et al., "Taming
transformers for high-resolution image synthesis", CVPR 2021. Published size: encoder 24,429,185 weights,
decoder 36,104,193, two convolutions of 2 weights around 16,384 codes of one number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmreg_train.losses.image import mse
from mmreg_train.methods.ldm_morph.blocks import Conv, ResBlock, SelfAttention, Up

EPS = 1e-6  # of the normalisations
COMMITMENT = 0.25  # weight of pulling latents to codes, beside pulling codes to latents
CHUNK = 4096  # latents compared with all codes at once


@dataclass(frozen=True)
class AutoencoderSize:
    """Widths and depths of the autoencoder.

    Attributes:
        width: Channels at full resolution.
        multipliers: Of the width at each resolution; three of them, for a quarter of the resolution.
        blocks: Residual blocks of the encoder at each resolution; the decoder has one more.
        attention: Attention at the coarsest resolution.
        channels: Of the latent.
        codes: Number of codes that latents are rounded to.
        groups: Of the normalisations.
    """

    width: int = 128
    multipliers: Sequence[int] = (1, 2, 4)
    blocks: int = 2
    attention: bool = True
    channels: int = 1
    codes: int = 16_384
    groups: int = 32

    def __post_init__(self) -> None:
        if len(self.multipliers) != 3 or any(self.width * m % self.groups for m in self.multipliers):
            raise ValueError(
                "The autoencoder needs three multipliers, and groups that divide every width; found "
                f"width={self.width}, multipliers={tuple(self.multipliers)}, groups={self.groups}."
            )

    @property
    def widths(self) -> list[int]:
        """Channels at each resolution."""
        return [self.width * m for m in self.multipliers]


class Encoder(nn.Module):
    """Images (B, 1, ...) to latents (B, channels, ...) at a quarter of the resolution, before rounding."""

    def __init__(self, dims: int, size: AutoencoderSize) -> None:
        super().__init__()
        widths, inputs = size.widths, size.width
        layers: list[nn.Module] = [Conv(dims, 1, inputs)]
        for level, width in enumerate(widths):
            deepest = level == len(widths) - 1
            for _ in range(size.blocks):
                layers += _res_layers(dims, inputs, width, size, deepest)
                inputs = width
            if not deepest:
                layers.append(Conv(dims, width, width, stride=2, one_sided=True))
        layers += [*_middle_layers(dims, inputs, size), *_end_layers(dims, inputs, size.channels, size)]
        self.layers = nn.Sequential(*layers)
        self.to_latent = Conv(dims, size.channels, size.channels, 1)

    def forward(self, image: Tensor) -> Tensor:
        latent: Tensor = self.to_latent(self.layers(image))
        return latent


class Decoder(nn.Module):
    """Latents, rounded to codes, to images; also returns the loss of codes and latents."""

    def __init__(self, dims: int, size: AutoencoderSize) -> None:
        super().__init__()
        self.quantiser = Quantiser(size.codes, size.channels)
        self.from_latent = Conv(dims, size.channels, size.channels, 1)
        widths = size.widths
        inputs = widths[-1]
        layers: list[nn.Module] = [Conv(dims, size.channels, inputs), *_middle_layers(dims, inputs, size)]
        for level in reversed(range(len(widths))):
            for _ in range(size.blocks + 1):
                layers += _res_layers(dims, inputs, widths[level], size, level == len(widths) - 1)
                inputs = widths[level]
            if level:
                layers.append(Up(dims, inputs))
        layers += _end_layers(dims, inputs, 1, size)
        self.layers = nn.Sequential(*layers)

    def forward(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Return images (B, 1, ...), and a scalar loss."""
        rounded, term = self.quantiser(latent)
        return self.layers(self.from_latent(rounded)), term


class Quantiser(nn.Module):
    """Rounds latent vectors to the nearest code; the gradient passes unchanged.

    Codes are initialised uniformly in [-1, 1], the range of initial latents. (The published initialisation,
    all within 1/codes of zero, gives every latent the same two codes.)
    """

    def __init__(self, codes: int, channels: int) -> None:
        super().__init__()
        self.codes = nn.Parameter(torch.empty(codes, channels).uniform_(-1, 1))

    def forward(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Return codes like ``latent`` (B, channels, ...), and the loss that pulls the two together."""
        latent = latent.float()
        vectors = latent.movedim(1, -1)
        nearest = self.codes[self.nearest(vectors.reshape(-1, vectors.shape[-1]))]
        rounded = nearest.view(vectors.shape).movedim(-1, 1)
        term = mse(rounded, latent.detach()) + COMMITMENT * mse(rounded.detach(), latent)
        return latent + (rounded - latent).detach(), term

    @torch.no_grad()
    def nearest(self, vectors: Tensor) -> Tensor:
        """Return the indices (N,) of the codes nearest to vectors (N, channels)."""
        squares = (self.codes**2).sum(1)
        parts = [(squares - 2 * part @ self.codes.T).argmin(1) for part in vectors.split(CHUNK)]
        return torch.cat(parts)


def edge_difference(one: Tensor, other: Tensor, scales: int = 3) -> Tensor:
    """Return the mean absolute difference of the forward differences, on grids of factor 1, 2 and 4.

    It replaces the paper's features of a network trained on photographs, and penalises blur.
    """
    difference, terms = one - other, []
    pool = functional.avg_pool3d if one.dim() == 5 else functional.avg_pool2d
    for scale in range(scales):
        difference = pool(difference, 2) if scale else difference
        terms += [difference.diff(dim=axis).abs().mean() for axis in range(2, one.dim())]
    return torch.stack(terms).mean()


def _res_layers(
    dims: int, inputs: int, outputs: int, size: AutoencoderSize, attends: bool
) -> list[nn.Module]:
    layers: list[nn.Module] = [ResBlock(dims, inputs, outputs, size.groups, EPS)]
    if attends and size.attention:
        layers.append(SelfAttention(outputs, 1, size.groups, EPS))
    return layers


def _middle_layers(dims: int, width: int, size: AutoencoderSize) -> list[nn.Module]:
    return [*_res_layers(dims, width, width, size, True), ResBlock(dims, width, width, size.groups, EPS)]


def _end_layers(dims: int, width: int, outputs: int, size: AutoencoderSize) -> list[nn.Module]:
    return [nn.GroupNorm(size.groups, width, EPS), nn.SiLU(), Conv(dims, width, outputs)]
