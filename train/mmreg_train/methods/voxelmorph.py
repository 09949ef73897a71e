"""VoxelMorph: a U-Net that looks at both images and gives the deformation at once.

Balakrishnan et al., "VoxelMorph: a learning framework for deformable medical image registration", IEEE TMI
2019; the velocity variant: Dalca et al., "Unsupervised learning of probabilistic diffeomorphic registration
for images and surfaces", MedIA 2019. The defaults are the widths of the published PyTorch network: 327,331
weights in 3-D, 109,170 in 2-D.

Two things differ, and neither changes a weight. A half-resolution velocity is the mean over cells of two
voxels, not a linear resize with aligned corners, and while it is integrated it continues its border value
instead of ending there: the conventions of this house. And ``smoothness`` counts voxels per voxel on any
grid; the published code multiplies the term by 2 at half resolution, so its lambda is half of ours there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmreg_train.layers import downsample
from mmreg_train.layers.conv_block import ConvBlock
from mmreg_train.layers.convolve import convolution_of
from mmreg_train.layers.cost_volume import cost_volume
from mmreg_train.losses import mind_ssc
from mmreg_train.objective import FieldMethod, Objective

ENCODER = (16, 32, 32, 32)
DECODER = (32, 32, 32, 32, 32, 16, 16)


class VoxelMorph(FieldMethod):
    """The U-Net with the loss it learns from.

    Args:
        dims: 2 or 3.
        output: "velocity" (a diffeomorphism) or "displacement".
        integration_steps: Squarings of the velocity.
        factor: Grid of the field: 2 is half resolution, 1 full.
        encoder: Channels of the levels on the way down, each followed by a pooling by 2.
        decoder: Channels on the way up, one for each level, and then of the last convolutions.
        half_decoder: End the U-Net at half resolution instead of pooling its result: most of the work of the
            full network is in its last, full-resolution layers. SynthMorph does so. Needs ``factor=2``.
        cost_volumes: 0: the network sees the images. Else the number of grids, from half resolution on, on
            which it sees cost volumes of their self-similarities instead, see ``MatchingNetwork``; the whole
            U-Net is on the half grid then. Needs ``factor=2``.
        image, dice, smoothness, dice_labels, known, labels: See ``Objective``.

    Raises:
        ValueError: A setting has a value that is not among the above.
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
            raise ValueError(f"VoxelMorph gives a 'velocity' or a 'displacement'; found output={output!r}.")
        if factor not in (1, 2) or (half_decoder and factor != 2):
            raise ValueError(
                f"The factor of the field is 1 or 2, and 2 with half_decoder; found factor={factor!r}, "
                f"half_decoder={half_decoder!r}."
            )
        if not 0 <= cost_volumes <= len(encoder) or (cost_volumes and (factor != 2 or half_decoder)):
            raise ValueError(
                f"cost_volumes counts grids from 0 to the {len(encoder)} of the encoder, and needs factor=2 "
                f"without half_decoder; found cost_volumes={cost_volumes!r}, factor={factor!r}, "
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


class UNet(nn.Module):
    """Channels on one or more grids to a field (B, dims, ...); convolutions and resizes only.

    Args:
        inputs: Channels that come in on the finest grid, on the next coarser one, and so on.
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
        levels = len(encoder)
        if levels < 1 or len(decoder) < levels:
            raise ValueError(
                f"A decoder needs a width for each of the encoder's {levels} levels; "
                f"found encoder={encoder}, decoder={decoder}."
            )
        self.half = half
        self.pool = nn.MaxPool3d(2) if dims == 3 else nn.MaxPool2d(2)
        entering = (*inputs, *(0,) * (levels - len(inputs)))
        before = (0, *encoder[:-1])
        self.down = nn.ModuleList(
            ConvBlock(dims, a + b, c) for a, b, c in zip(before, entering, encoder, strict=True)
        )
        skips = encoder[::-1]
        joined = [encoder[-1]] + [decoder[i] + skips[i] for i in range(levels)]
        self.up = nn.ModuleList(ConvBlock(dims, a, b) for a, b in zip(joined[:levels], decoder, strict=False))
        after = decoder[levels - 1] if half else joined[levels]
        self.last = nn.Sequential(*_blocks(dims, after, decoder[levels:]))
        self.head = convolution_of(dims)((after, *decoder[levels:])[-1], dims, 3, padding=1)
        nn.init.normal_(self.head.weight, 0, 1e-5)  # training starts at the identity
        nn.init.zeros_(self.head.bias)

    def forward(self, *inputs: Tensor) -> Tensor:
        """The field, from what comes in on each grid, finest first."""
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            entering = [self.pool(skips[-1])] if skips else []
            entering += inputs[level : level + 1]
            skips.append(block(torch.cat(entering, dim=1) if len(entering) > 1 else entering[0]))
        features = self.pool(skips[-1])
        for block in self.up:
            features, skip = block(features), skips.pop()
            if skips or not self.half:
                features = functional.interpolate(features, scale_factor=2, mode="nearest")
                features = torch.cat([features, skip], dim=1)
        return cast("Tensor", self.head(self.last(features)))


class FlowNetwork(UNet):
    """Two images (B, 1, ...) to a field (B, dims, ...) in full-grid voxels, as published."""

    def __init__(
        self, dims: int, encoder: tuple[int, ...], decoder: tuple[int, ...], half: bool, pooled: int
    ) -> None:
        super().__init__(dims, (2,), encoder, decoder, half)
        self.pooled = pooled

    def forward(self, fixed: Tensor, moving: Tensor) -> Tensor:
        """The field; the moving image is the first channel, as in the published weights."""
        return downsample(super().forward(torch.cat([moving, fixed], dim=1)), self.pooled)


class MatchingNetwork(UNet):
    """The same U-Net on the half grid, over cost volumes of MIND-SSC where the images were.

    Which of two shifts matches better is what a contrast-blind network has to find out first. On images it
    takes very many steps; here it is given, and the network learns what to make of it. Each grid brings the
    costs of shifts by one and by two of its voxels. Cost volumes in a registration network: Heinrich,
    "Closing the gap between deep and conventional image registration using probabilistic dense displacement
    networks", MICCAI 2019.
    """

    REACHES = (1, 2)
    SCALE = 20.0  # of the costs, which are some hundredths: the network's inputs are about 1

    def __init__(self, dims: int, encoder: tuple[int, ...], decoder: tuple[int, ...], grids: int) -> None:
        super().__init__(dims, (len(self.REACHES) * 3**dims,) * grids, encoder, decoder, half=False)
        self.grids = grids

    def forward(self, fixed: Tensor, moving: Tensor) -> Tensor:
        """The field on the half grid, in full-grid voxels."""
        features = [mind_ssc(image, factor=2) for image in (fixed, moving)]
        volumes = []
        for grid in range(self.grids):
            features = [downsample(each, 2) for each in features] if grid else features
            costs = [cost_volume(features[0], features[1], reach) for reach in self.REACHES]
            volumes.append(self.SCALE * torch.cat(costs, dim=1))
        return super().forward(*volumes)


def _blocks(dims: int, inputs: int, widths: Sequence[int]) -> list[ConvBlock]:
    return [ConvBlock(dims, a, b) for a, b in zip((inputs, *widths[:-1]), widths, strict=True)]
