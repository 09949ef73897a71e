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

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmreg_train.layers import downsample
from mmreg_train.objective import FieldMethod, Objective

ENCODER = (16, 32, 32, 32)
DECODER = (32, 32, 32, 32, 32, 16, 16)
SLOPE = 0.2  # of the rectifiers below 0


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
        image, dice, smoothness, dice_labels, known: See ``Objective``.

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
        image: str | None = "ncc",
        dice: float = 0.0,
        smoothness: float = 1.0,
        dice_labels: Sequence[int] | None = None,
        known: float = 0.0,
    ) -> None:
        super().__init__(dims)
        if output not in ("velocity", "displacement"):
            raise ValueError(f"VoxelMorph gives a 'velocity' or a 'displacement'; found output={output!r}.")
        if factor not in (1, 2) or (half_decoder and factor != 2):
            raise ValueError(
                f"The factor of the field is 1 or 2, and 2 with half_decoder; found factor={factor!r}, "
                f"half_decoder={half_decoder!r}."
            )
        self.output_kind = output
        self.factor = factor
        self.integration_steps = integration_steps if output == "velocity" else 0
        self.multiple = 2 ** len(encoder)
        pooled = 1 if half_decoder else factor
        self.flow = FlowNetwork(dims, tuple(encoder), tuple(decoder), half_decoder, pooled)
        chosen = None if dice_labels is None else tuple(dice_labels)
        self.objective = Objective(image, dice, smoothness, chosen, known)


class FlowNetwork(nn.Module):
    """Two images (B, 1, ...) to a field (B, dims, ...) in full-grid voxels; convolutions and resizes only."""

    def __init__(
        self, dims: int, encoder: tuple[int, ...], decoder: tuple[int, ...], half: bool, pooled: int
    ) -> None:
        super().__init__()
        levels = len(encoder)
        if levels < 1 or len(decoder) < levels:
            raise ValueError(
                f"A decoder needs a width for each of the encoder's {levels} levels; "
                f"found encoder={encoder}, decoder={decoder}."
            )
        self.half, self.pooled = half, pooled
        self.pool = nn.MaxPool3d(2) if dims == 3 else nn.MaxPool2d(2)
        self.down = nn.ModuleList(_blocks(dims, 2, encoder))
        skips = encoder[::-1]
        inputs = [encoder[-1]] + [decoder[i] + skips[i] for i in range(levels)]
        self.up = nn.ModuleList(ConvBlock(dims, a, b) for a, b in zip(inputs[:levels], decoder, strict=False))
        after = decoder[levels - 1] if half else inputs[levels]
        self.last = nn.Sequential(*_blocks(dims, after, decoder[levels:]))
        convolution = nn.Conv3d if dims == 3 else nn.Conv2d
        self.head = convolution((after, *decoder[levels:])[-1], dims, 3, padding=1)
        nn.init.normal_(self.head.weight, 0, 1e-5)  # training starts at the identity
        nn.init.zeros_(self.head.bias)

    def forward(self, fixed: Tensor, moving: Tensor) -> Tensor:
        """The field; the moving image is the first channel, as in the published weights."""
        features, skips = torch.cat([moving, fixed], dim=1), []
        for block in self.down:
            features = block(features)
            skips.append(features)
            features = self.pool(features)
        for block in self.up:
            features, skip = block(features), skips.pop()
            if skips or not self.half:
                features = functional.interpolate(features, scale_factor=2, mode="nearest")
                features = torch.cat([features, skip], dim=1)
        return downsample(self.head(self.last(features)), self.pooled)


class ConvBlock(nn.Module):
    """Convolution over 3 voxels and a leaky rectifier."""

    def __init__(self, dims: int, inputs: int, outputs: int) -> None:
        super().__init__()
        convolution = nn.Conv3d if dims == 3 else nn.Conv2d
        self.convolution = convolution(inputs, outputs, 3, padding=1)
        # torch's own start lets the signal fade from layer to layer (He et al., ICCV 2015)
        nn.init.kaiming_normal_(self.convolution.weight, SLOPE)
        nn.init.zeros_(self.convolution.bias)

    def forward(self, features: Tensor) -> Tensor:
        return functional.leaky_relu(self.convolution(features), SLOPE)


def _blocks(dims: int, inputs: int, widths: Sequence[int]) -> list[ConvBlock]:
    return [ConvBlock(dims, a, b) for a, b in zip((inputs, *widths[:-1]), widths, strict=True)]
