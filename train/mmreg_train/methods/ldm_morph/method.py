"""The method LDM-Morph: its three phases, their losses, and the exported network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmreg_train.layers import warp
from mmreg_train.losses.image import mse
from mmreg_train.methods.base import LEARNING, Batch, Method, Output
from mmreg_train.methods.field import IMAGE_TERMS, Objective
from mmreg_train.methods.ldm_morph.autoencoder import AutoencoderSize, Decoder, edge_difference
from mmreg_train.methods.ldm_morph.diffusion import STEPS, DiffusionSize, UNetDecoder, add_noise
from mmreg_train.methods.ldm_morph.features import FrozenFeatures
from mmreg_train.methods.ldm_morph.registration import PATCH, RegistrationNetwork, RegistrationSize


@dataclass(frozen=True)
class LossOptions:
    """Terms and weights of the three losses.

    Attributes:
        image: Image term: "mse", as published, "ncc" or another of ``field.IMAGE_TERMS``.
        beta: Its weight; the mean squared difference of the latents has the weight 1 - beta.
        smoothness, dice, dice_labels: See ``Objective``; the paper trains without labels.
        latent_gradient: The latent term has a gradient. In the released code it has none.
        edges: Weight of ``edge_difference`` in the loss of the autoencoder.
    """

    image: str = "mse"
    beta: float = 0.6
    smoothness: float = 0.01
    dice: float = 0.0
    dice_labels: Sequence[int] | None = None
    latent_gradient: bool = True
    edges: float = 1.0

    def __post_init__(self) -> None:
        if self.image not in IMAGE_TERMS:
            raise ValueError(f"image must be one of {', '.join(IMAGE_TERMS)}; found {self.image!r}.")
        if not 0 <= self.beta <= 1:
            raise ValueError(f"beta must be in [0, 1]; found {self.beta!r}.")

    @property
    def objective(self) -> Objective:
        """The loss of the field, with weight 1 of the image term."""
        return Objective(self.image, self.dice, self.smoothness, self.dice_labels)


@dataclass(frozen=True)
class ModelOptions:
    """Widths and depths of the latent diffusion model.

    Attributes:
        noise_seed: Of the constant noise in the latents of the features; None adds no noise.
        autoencoder_width, autoencoder_multipliers, autoencoder_blocks, autoencoder_attention,
            latent_channels, codes: See ``AutoencoderSize``.
        diffusion_width, diffusion_multipliers, diffusion_blocks, head_channels: See ``DiffusionSize``.
        groups: Of all group normalisations.
    """

    noise_seed: int | None = None
    autoencoder_width: int = 128
    autoencoder_multipliers: Sequence[int] = (1, 2, 4)
    autoencoder_blocks: int = 2
    autoencoder_attention: bool = True
    latent_channels: int = 1
    codes: int = 16_384
    diffusion_width: int = 64
    diffusion_multipliers: Sequence[int] = (1, 2, 3, 4)
    diffusion_blocks: int = 2
    head_channels: int = 32
    groups: int = 32

    @property
    def autoencoder(self) -> AutoencoderSize:
        """Size of the autoencoder."""
        return AutoencoderSize(
            self.autoencoder_width,
            self.autoencoder_multipliers,
            self.autoencoder_blocks,
            self.autoencoder_attention,
            self.latent_channels,
            self.codes,
            self.groups,
        )

    @property
    def diffusion(self) -> DiffusionSize:
        """Size of the denoising U-Net."""
        return DiffusionSize(
            self.diffusion_width,
            self.diffusion_multipliers,
            self.diffusion_blocks,
            self.head_channels,
            self.latent_channels,
            self.groups,
        )


LOSS, MODEL, REGISTRATION = LossOptions(), ModelOptions(), RegistrationSize()


class LdmMorph(Method):
    """The autoencoder, the denoising U-Net and the registration network, with their losses.

    Args:
        dims: 2, as published, or 3.
        output: "displacement", as published, or "velocity": a diffeomorphism.
        integration_steps: Squarings of the velocity.
        terms: Terms and weights of the losses.
        model: Widths and depths of the latent diffusion model.
        registration: Widths and depths of the registration network, with as many depths as
            ``diffusion_multipliers``.

    Raises:
        ValueError: A setting has an invalid value.
    """

    name = "ldm_morph"
    phases = ("autoencoder", "diffusion", "registration")
    groups = {"terms": LOSS, "model": MODEL, "registration": REGISTRATION}

    def __init__(
        self,
        dims: int = 2,
        output: str = "displacement",
        integration_steps: int = 7,
        terms: LossOptions = LOSS,
        model: ModelOptions = MODEL,
        registration: RegistrationSize = REGISTRATION,
    ) -> None:
        super().__init__(dims)
        if output not in ("velocity", "displacement"):
            raise ValueError(f"output must be 'velocity' or 'displacement'; found {output!r}.")
        if len(model.diffusion_multipliers) != len(registration.depths):
            raise ValueError(
                "diffusion_multipliers and depths must have the same length; found diffusion_multipliers="
                f"{tuple(model.diffusion_multipliers)}, depths={tuple(registration.depths)}."
            )
        self.output_kind = output
        self.integration_steps = integration_steps if output == "velocity" else 0
        self.multiple = PATCH * 2 ** (len(registration.depths) - 1)
        self.trace_multiples = registration.window + 1  # voxels of the coarsest grid: two windows
        self.beta, self.edges = terms.beta, terms.edges
        self.objective, self.latent_gradient = terms.objective, terms.latent_gradient
        self.factor = registration.factor
        coded, denoised = model.autoencoder, model.diffusion
        features = FrozenFeatures(dims, coded, denoised, model.noise_seed)
        self.flow = FlowNetwork(features, RegistrationNetwork(dims, registration, features.channels))
        self.decoder, self.unet_decoder = Decoder(dims, coded), UNetDecoder(dims, denoised)
        self.phase = ""
        self.set_phase(self.phases[-1])

    def set_phase(self, phase: str) -> None:
        super().set_phase(phase)
        self.phase = phase
        features = self.flow.features
        trained: dict[str, tuple[nn.Module, ...]] = {
            "autoencoder": (features.encoder, self.decoder),
            "diffusion": (features.unet, self.unet_decoder),
            "registration": (self.flow.registration,),
        }
        self.requires_grad_(False)
        for module in trained[phase]:
            module.requires_grad_(True)
        features.fold()

    def forward(self, fixed: Tensor, moving: Tensor) -> Output:
        """Return the field; in earlier phases pairs: images and code loss, or predicted and true noise."""
        if self.phase == "autoencoder":
            return Output(LEARNING, self._reconstruct(torch.cat([fixed, moving])))
        if self.phase == "diffusion":
            return Output(LEARNING, self._predict_noise(torch.cat([fixed, moving])))
        return Output(self.output_kind, self.flow(fixed, moving))

    def loss(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        if self.phase == "registration":
            return self._registration_loss(batch, output)
        assert isinstance(output.value, tuple)
        first, second = output.value
        if self.phase == "diffusion":
            noise = mse(first, second)
            return {"noise": noise, "total": noise}
        images = torch.cat([batch.fixed, batch.moving])
        terms = {
            "image": functional.l1_loss(first, images),
            "edges": edge_difference(first, images),
            "codes": second,
        }
        return {**terms, "total": terms["image"] + self.edges * terms["edges"] + terms["codes"]}

    def required_targets(self) -> frozenset[str]:
        return self.objective.required_targets()

    def network(self) -> nn.Module:
        """Return the network from both images to the field, including the frozen model."""
        return self.flow

    def _registration_loss(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        """Return the hierarchical loss: beta for images, 1 - beta for their latents, and smoothness."""
        assert isinstance(output.value, Tensor)
        displacement = self.displacement(output)
        warped = warp(batch.moving, displacement)
        terms = self.objective(batch, displacement, output.value, self.factor, warped)
        latent = self._latent_difference(batch.fixed, warped)
        total = terms["total"] + (1 - self.beta) * (latent - terms["image"])  # total has weight 1 for images
        return {**terms, "latent": latent, "total": total}

    def _latent_difference(self, fixed: Tensor, warped: Tensor) -> Tensor:
        encoder = self.flow.features.encoder
        with torch.no_grad():
            latent = encoder(fixed)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.latent_gradient):
            return mse(latent, encoder(warped))

    def _reconstruct(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return images reconstructed by the autoencoder, half of them coded mirrored, and the code loss."""
        mirrored = self._draw(torch.rand, images.shape[:1], images) < (0.5 if self.training else 0)
        mirrored = mirrored.view(-1, *(1,) * (images.dim() - 1))
        latent = self.flow.features.encoder(torch.where(mirrored, images.flip(-1), images))
        decoded, term = self.decoder(latent)
        return torch.where(mirrored, decoded.flip(-1), decoded), term

    def _predict_noise(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return predicted and true noise in latents at random time steps."""
        features = self.flow.features
        latent = features.encoder(images).float()
        steps = (self._draw(torch.rand, images.shape[:1], images) * STEPS).long()
        noise = self._draw(torch.randn, latent.shape, images)
        embedding = features.unet.embedding(steps)
        passed = features.unet(add_noise(latent, noise, steps), features.unet.shifts(embedding))
        return self.unet_decoder(passed, embedding), noise

    def _draw(self, draw: Callable[..., Tensor], shape: Sequence[int], like: Tensor) -> Tensor:
        """Draw numbers from torch's generator; in evaluation mode always the same ones."""
        if self.training:
            return draw(*shape, device=like.device)
        return draw(*shape, generator=torch.Generator().manual_seed(0)).to(like.device)


class FlowNetwork(nn.Module):
    """Two images (B, 1, ...) to a field (B, dims, ...) in full-grid voxels, up to half the grid each axis.

    A softsign bounds the field, as published. Here its slope is 1 at 0 on every grid, so that a training step
    moves the field only as much as the head: with half the grid as slope, the field of a pair of 128 voxels
    jumped by voxels from step to step.
    """

    def __init__(self, features: FrozenFeatures, registration: RegistrationNetwork) -> None:
        super().__init__()
        self.features, self.registration = features, registration

    def forward(self, fixed: Tensor, moving: Tensor) -> Tensor:
        pair = torch.cat([moving, fixed], dim=1)
        raw = self.registration(pair, self.features(fixed, moving))
        reach = [(n - 1) / 2 for n in fixed.shape[2:]]
        parts = zip(raw.split(1, dim=1), reach, strict=True)
        return torch.cat([half * part / (half + part.abs()) for part, half in parts], dim=1)
