"""Features of two images from the frozen latent diffusion model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from mmreg_train.methods.ldm_morph.autoencoder import AutoencoderSize, Encoder
from mmreg_train.methods.ldm_morph.diffusion import DiffusionSize, UNetEncoder, kept_variance

TIME_STEP = 1  # counted from 0: 0.9985 of the latent and, if enabled, 0.0548 of noise
NOISE_EXTENT = 32  # the published grid of latents; the noise is tiled on larger ones
T = TypeVar("T")


class FrozenFeatures(nn.Module):
    """Two images to scores on grids of a quarter of the resolution, an eighth and so on.

    The scores of a grid are the first and the last features of the U-Net encoder on it, of moving and then of
    fixed, concatenated. Nothing is random: the noise added to the latents is zero or, with ``noise_seed``, a
    constant, and so is the time step.

    Attributes:
        channels: Of the scores, finest grid first.
    """

    noise: Tensor | None

    def __init__(
        self, dims: int, autoencoder: AutoencoderSize, diffusion: DiffusionSize, noise_seed: int | None
    ) -> None:
        super().__init__()
        self.encoder = Encoder(dims, autoencoder)
        self.unet = UNetEncoder(dims, diffusion)
        self.per_grid = diffusion.blocks + 1
        kept = float(kept_variance()[TIME_STEP])
        self.kept, self.sigma = kept**0.5, (1 - kept) ** 0.5
        self.channels = [2 * (a + b) for a, b in self._first_and_last(diffusion.passed)]
        noise = None
        if noise_seed is not None:
            draw = torch.Generator().manual_seed(noise_seed)
            noise = torch.randn(1, diffusion.channels, *[NOISE_EXTENT] * dims, generator=draw)
        self.register_buffer("noise", noise)
        self.shifts: list[str] = []
        for shift in self._shifts():
            self.shifts.append(f"shift{len(self.shifts)}")
            self.register_buffer(self.shifts[-1], shift, persistent=False)
        self.register_load_state_dict_post_hook(lambda module, _: module.fold())

    @torch.no_grad()
    def fold(self) -> None:
        """Recompute the shifts of the time step; call it after the weights of the U-Net change."""
        for name, shift in zip(self.shifts, self._shifts(), strict=True):
            getattr(self, name).copy_(shift)

    @torch.no_grad()
    def _shifts(self) -> list[Tensor]:
        device = next(self.unet.parameters()).device
        return self.unet.shifts(self.unet.embedding(torch.tensor([TIME_STEP], device=device)))

    def forward(self, fixed: Tensor, moving: Tensor) -> list[Tensor]:
        latent = self.kept * self.encoder(torch.cat([moving, fixed]))
        if self.noise is not None:
            latent = latent + self.sigma * tile_noise(self.noise, latent)
        features = self.unet(latent, [getattr(self, name) for name in self.shifts])
        scores = []
        for first, last in self._first_and_last(features):
            moving_features, fixed_features = torch.cat([first, last], dim=1).chunk(2)
            scores.append(torch.cat([moving_features, fixed_features], dim=1))
        return scores

    def _first_and_last(self, items: Sequence[T]) -> list[tuple[T, T]]:
        """Return the first and the last item of each grid."""
        return list(zip(items[:: self.per_grid], items[self.per_grid - 1 :: self.per_grid], strict=True))


def tile_noise(noise: Tensor, like: Tensor) -> Tensor:
    """Tile or crop ``noise`` (1, C, ...) to the grid of ``like``."""
    for axis in range(2, noise.dim()):
        index = torch.arange(like.shape[axis], device=noise.device) % noise.shape[axis]
        noise = noise.index_select(axis, index)
    return noise
