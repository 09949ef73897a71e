"""VoxelMorph: a U-Net that takes both images and outputs the deformation in one pass.

Balakrishnan et al., "VoxelMorph: a learning framework for deformable medical image registration", IEEE TMI
2019; the velocity variant: Dalca et al., "Unsupervised learning of probabilistic diffeomorphic registration
for images and surfaces", MedIA 2019. The defaults are the widths of the published PyTorch network: 327,331
weights in 3-D, 109,170 in 2-D.

Two things differ, and neither changes a weight. A half-resolution velocity is the mean over cells of two
voxels, not a linear resize with aligned corners, and it keeps its border value during integration instead of
ending there: the conventions of this library. And ``smoothness`` counts voxels per voxel on any grid; the
published code multiplies the term by 2 at half resolution, so its lambda is half of ours there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmreg_train.layers import downsample
from mmreg_train.layers.matching import MatchingNetwork
from mmreg_train.layers.unet import UNet
from mmreg_train.methods.field import FieldMethod, Objective

ENCODER = (16, 32, 32, 32)
DECODER = (32, 32, 32, 32, 32, 16, 16)


@dataclass(frozen=True)
class UNetOptions:
    """Widths and grids of the U-Net.

    Attributes:
        factor: Grid of the field: 2 is half resolution, 1 full.
        encoder: Channels of the levels on the way down, each followed by a pooling by 2.
        decoder: Channels on the way up, one for each level, and then of the last convolutions.
        half_decoder: End the U-Net at half resolution instead of pooling its result, as SynthMorph does:
            most of the work of the full network is in its last, full-resolution layers. Needs ``factor=2``.
        cost_volumes: 0 takes images as the input. Otherwise the number of grids, from half resolution on, of
            cost volumes of self-similarities as the input, see ``MatchingNetwork``; the whole U-Net is then
            on the half grid. Needs ``factor=2``.
    """

    factor: int = 2
    encoder: Sequence[int] = ENCODER
    decoder: Sequence[int] = DECODER
    half_decoder: bool = False
    cost_volumes: int = 0

    def __post_init__(self) -> None:
        if self.factor not in (1, 2) or (self.half_decoder and self.factor != 2):
            raise ValueError(
                f"factor must be 1 or 2, and 2 with half_decoder; found factor={self.factor!r}, "
                f"half_decoder={self.half_decoder!r}."
            )
        levels = len(self.encoder)
        on_half_grid = self.factor == 2 and not self.half_decoder
        if not 0 <= self.cost_volumes <= levels or (self.cost_volumes and not on_half_grid):
            raise ValueError(
                f"cost_volumes must be 0 to {levels}, the levels of the encoder, and above 0 needs factor=2 "
                f"without half_decoder; found cost_volumes={self.cost_volumes!r}, factor={self.factor!r}, "
                f"half_decoder={self.half_decoder!r}."
            )


UNET, OBJECTIVE = UNetOptions(), Objective()


class VoxelMorph(FieldMethod):
    """The U-Net with its loss.

    Args:
        dims: 2 or 3.
        output: "velocity" (a diffeomorphism) or "displacement".
        integration_steps: Squarings of the velocity.
        unet: Widths and grids of the U-Net.
        objective: The loss.

    Raises:
        ValueError: A setting has an invalid value.
    """

    name = "voxelmorph"
    groups = {"unet": UNET, "objective": OBJECTIVE}

    def __init__(
        self,
        dims: int = 3,
        output: str = "velocity",
        integration_steps: int = 7,
        unet: UNetOptions = UNET,
        objective: Objective = OBJECTIVE,
    ) -> None:
        super().__init__(dims)
        if output not in ("velocity", "displacement"):
            raise ValueError(f"output must be 'velocity' or 'displacement'; found {output!r}.")
        self.output_kind = output
        self.factor = unet.factor
        self.integration_steps = integration_steps if output == "velocity" else 0
        self.multiple = 2 ** len(unet.encoder)
        widths = tuple(unet.encoder), tuple(unet.decoder)
        if unet.cost_volumes:
            self.multiple *= 2
            self.flow: nn.Module = MatchingNetwork(dims, *widths, unet.cost_volumes)
        else:
            pooled = 1 if unet.half_decoder else unet.factor
            self.flow = FlowNetwork(dims, *widths, unet.half_decoder, pooled)
        self.objective = objective


class FlowNetwork(UNet):
    """Two images (B, 1, ...) to a field (B, dims, ...) in full-grid voxels, as published."""

    def __init__(
        self, dims: int, encoder: tuple[int, ...], decoder: tuple[int, ...], half: bool, pooled: int
    ) -> None:
        super().__init__(dims, (2,), encoder, decoder, half)
        self.pooled = pooled

    def forward(self, fixed: Tensor, moving: Tensor) -> Tensor:
        """Return the field; the moving image is the first channel, as in the published weights."""
        return downsample(super().forward(torch.cat([moving, fixed], dim=1)), self.pooled)
