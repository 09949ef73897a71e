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

import torch
from torch import Tensor, nn

from mmreg_train.layers import downsample
from mmreg_train.layers.matching import MatchingNetwork
from mmreg_train.layers.unet import UNet
from mmreg_train.methods.field import FieldMethod, Objective

ENCODER = (16, 32, 32, 32)
DECODER = (32, 32, 32, 32, 32, 16, 16)


class VoxelMorph(FieldMethod):
    """The U-Net with its loss.

    Args:
        dims: 2 or 3.
        output: "velocity" (a diffeomorphism) or "displacement".
        integration_steps: Squarings of the velocity.
        factor: Grid of the field: 2 is half resolution, 1 full.
        encoder: Channels of the levels on the way down, each followed by a pooling by 2.
        decoder: Channels on the way up, one for each level, and then of the last convolutions.
        half_decoder: End the U-Net at half resolution instead of pooling its result, as SynthMorph does: most
            of the work of the full network is in its last, full-resolution layers. Needs ``factor=2``.
        cost_volumes: 0 takes images as the input. Otherwise the number of grids, from half resolution on, of
            cost volumes of self-similarities as the input, see ``MatchingNetwork``; the whole U-Net is then
            on the half grid. Needs ``factor=2``.
        image, dice, smoothness, dice_labels, known, labels: See ``Objective``.

    Raises:
        ValueError: A setting has an invalid value.
    """

    name = "voxelmorph"

    def __init__(
        self,
        dims: int = 3,
        output: str = "velocity",
        integration_steps: int = 7,
        factor: int = 2,
        encoder: Sequence[int] = ENCODER,
        decoder: Sequence[int] = DECODER,
        half_decoder: bool = False,
        cost_volumes: int = 0,
        image: str | None = "ncc",
        dice: float = 0.0,
        smoothness: float = 1.0,
        dice_labels: Sequence[int] | None = None,
        known: float = 0.0,
        labels: float = 0.0,
    ) -> None:
        super().__init__(dims)
        if output not in ("velocity", "displacement"):
            raise ValueError(f"output must be 'velocity' or 'displacement'; found {output!r}.")
        if factor not in (1, 2) or (half_decoder and factor != 2):
            raise ValueError(
                f"factor must be 1 or 2, and 2 with half_decoder; found factor={factor!r}, "
                f"half_decoder={half_decoder!r}."
            )
        if not 0 <= cost_volumes <= len(encoder) or (cost_volumes and (factor != 2 or half_decoder)):
            raise ValueError(
                f"cost_volumes must be 0 to {len(encoder)}, the levels of the encoder, and above 0 needs "
                f"factor=2 without half_decoder; found cost_volumes={cost_volumes!r}, factor={factor!r}, "
                f"half_decoder={half_decoder!r}."
            )
        self.output_kind = output
        self.factor = factor
        self.integration_steps = integration_steps if output == "velocity" else 0
        self.multiple = 2 ** len(encoder)
        widths = tuple(encoder), tuple(decoder)
        if cost_volumes:
            self.multiple *= 2
            self.flow: nn.Module = MatchingNetwork(dims, *widths, cost_volumes)
        else:
            self.flow = FlowNetwork(dims, *widths, half_decoder, 1 if half_decoder else factor)
        chosen = None if dice_labels is None else tuple(dice_labels)
        self.objective = Objective(image, dice, smoothness, chosen, known, labels)


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
