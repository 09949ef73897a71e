"""Residual blocks, attention and resizing of the autoencoder and the denoising network.

The blocks of latent diffusion: Rombach et al., "High-resolution image synthesis with latent diffusion
models", CVPR 2022. Features are ``(B, C, ...)`` in 2-D or 3-D.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmreg_train.layers.convolve import convolution_of, convolve


class Conv(nn.Module):
    """A convolution in 2 or 3 dimensions; odd kernels keep the grid, a stride of 2 halves it.

    Args:
        dims: 2 or 3.
        inputs, outputs: Channels.
        kernel: Voxels along each axis.
        stride: 1 or 2.
        one_sided: Pad only after the last voxel, for a stride of 2.
        blank: Initialise with zeros.
    """

    def __init__(
        self,
        dims: int,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        one_sided: bool = False,
        blank: bool = False,
    ) -> None:
        super().__init__()
        self.padding = (0, 1) * dims if one_sided else ()
        self.convolution = convolution_of(dims)(
            inputs, outputs, kernel, stride, 0 if one_sided else kernel // 2
        )
        if blank:
            nn.init.zeros_(self.convolution.weight)
            nn.init.zeros_(self.convolution.bias)

    def forward(self, features: Tensor) -> Tensor:
        padded = functional.pad(features, self.padding) if self.padding else features
        return convolve(self.convolution, padded)


class ResBlock(nn.Module):
    """Two times normalisation, SiLU and convolution, with a residual connection.

    Args:
        dims: 2 or 3.
        inputs, outputs: Channels.
        groups, eps: Of the normalisations.
        time: Length of the embedding of a time step; 0 has none. ``shift`` converts an embedding to the
            vector that ``forward`` adds between the convolutions.
        blank: Initialise as the identity.
    """

    def __init__(
        self,
        dims: int,
        inputs: int,
        outputs: int,
        groups: int,
        eps: float,
        time: int = 0,
        blank: bool = False,
    ) -> None:
        super().__init__()
        self.first_norm, self.second_norm = (
            nn.GroupNorm(groups, channels, eps) for channels in (inputs, outputs)
        )
        self.first = Conv(dims, inputs, outputs)
        self.second = Conv(dims, outputs, outputs, blank=blank)
        self.skip = nn.Identity() if inputs == outputs else Conv(dims, inputs, outputs, 1)
        self.time = nn.Linear(time, outputs) if time else None

    def shift(self, embedding: Tensor) -> Tensor:
        """Return the shifts (B, outputs) of embeddings (B, time)."""
        assert self.time is not None
        shift: Tensor = self.time(functional.silu(embedding))
        return shift

    def forward(self, features: Tensor, shift: Tensor | None = None) -> Tensor:
        """Return the features; ``shift`` is (B or 1, outputs)."""
        hidden = self.first(functional.silu(self.first_norm(features)))
        if shift is not None:
            hidden = hidden + shift.view(*shift.shape, *(1,) * (hidden.dim() - 2))
        result: Tensor = self.skip(features) + self.second(functional.silu(self.second_norm(hidden)))
        return result


class SelfAttention(nn.Module):
    """Attention of every voxel to all others, with a residual connection."""

    def __init__(self, channels: int, heads: int, groups: int, eps: float, blank: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups, channels, eps)
        self.qkv, self.project = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        if blank:
            nn.init.zeros_(self.project.weight)
            nn.init.zeros_(self.project.bias)

    def forward(self, features: Tensor) -> Tensor:
        batch, channels = features.shape[:2]
        qkv = self.qkv(self.norm(features).flatten(2).transpose(1, 2))
        qkv = qkv.view(batch, -1, 3, self.heads, channels // self.heads).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(*qkv.unbind(0))
        attended = self.project(attended.transpose(1, 2).flatten(2))
        return features + attended.transpose(1, 2).reshape(features.shape)


class Up(nn.Module):
    """Doubling of the resolution by the nearest voxel, and a convolution."""

    def __init__(self, dims: int, channels: int) -> None:
        super().__init__()
        self.convolution = Conv(dims, channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        doubled = functional.interpolate(features, scale_factor=2, mode="nearest")
        result: Tensor = self.convolution(doubled)
        return result


def sinusoids(steps: Tensor, length: int) -> Tensor:
    """Return embeddings (B, length) of time steps (B,): cosines, then sines, periods 2 pi to 20,000 pi.

    Vaswani et al., "Attention is all you need", 2017, section 3.5.
    """
    half = length // 2
    exponents = torch.arange(half, device=steps.device, dtype=torch.float32) / half
    angles = steps[:, None].float() * 10_000**-exponents
    return torch.cat([angles.cos(), angles.sin()], dim=1)
