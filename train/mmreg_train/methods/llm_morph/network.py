"""The network of LLM-Morph: two images to fields from 1/32 of the resolution on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmreg_train.layers import integrate, upsample, warp
from mmreg_train.layers.conv_block import field_head
from mmreg_train.layers.convolve import convolution_of, convolve
from mmreg_train.layers.matching import costs, costs_of, described
from mmreg_train.methods.llm_morph.backbone import Positions, Seen

ENCODER = (16, 32, 64, 128, 256)  # at 1/2 to 1/32 of the resolution
ADAPTERS = (128, 64, 32, 16)  # at 1/32 to 1/4
DECODER = (128, 64, 32, 32)
SLOPE = 0.2  # of the rectifiers below 0


class FlowNetwork(nn.Module):
    """Two images (B, 1, ...) to a field (B, dims, ...) on the half grid, in full-grid voxels.

    Attributes:
        coarser: While it learns, the fields of the last call but the finest, each with its spacing in voxels.
    """

    def __init__(
        self,
        dims: int,
        encoder: tuple[int, ...],
        adapters: tuple[int, ...],
        decoder: tuple[int, ...],
        hidden: int,
        width: int,
        integration_steps: int,
        half: bool,
        cost_volumes: bool,
    ) -> None:
        super().__init__()
        self.cost_volumes = cost_volumes
        steps = len(ADAPTERS) + int(half)
        if (len(encoder), len(adapters)) != (len(ENCODER), len(ADAPTERS)) or len(decoder) < steps:
            raise ValueError(
                f"LLM-Morph needs {len(ENCODER)} widths of the encoder, {len(ADAPTERS)} of the adapters and "
                f"{steps} of the decoder; found {encoder}, {adapters}, {decoder}."
            )
        self.encoder = Encoder(dims, encoder)
        self.blocks = nn.ModuleList(EncodingBlock(n, hidden, width) for n in (encoder[-1], width))
        self.positions: Positions | None = None
        self.out = nn.ModuleList(
            OutOfLanguage(dims, width, channels, 2**scale) for scale, channels in enumerate(adapters)
        )
        given = [a + b for a, b in zip(encoder[::-1], (*adapters, 0), strict=True)]  # of each image
        self.steps = nn.ModuleList(
            FieldStep(dims, given[n], decoder[n], integration_steps, n == 0, cost_volumes)
            for n in range(steps)
        )
        self.coarser: list[tuple[Tensor, int]] = []

    def insert(self, layers: Sequence[nn.ModuleList], positions: Positions) -> None:
        """Put layers of a language model into the two blocks."""
        self.positions = positions
        for block, own in zip(self.blocks, layers, strict=True):
            block.layers = own

    def forward(self, fixed: Tensor, moving: Tensor) -> Tensor:
        fields = self.fields(fixed, moving)
        if self.training:
            self.coarser = fields[:-1]
        field, spacing = fields[-1]
        return upsample(field, spacing // 2)

    def fields(self, fixed: Tensor, moving: Tensor) -> list[tuple[Tensor, int]]:
        """The field of every step in full-grid voxels, coarsest first, and the spacing of its grid."""
        images = torch.cat([moving, fixed])
        pyramid = self.encoder(images)
        descriptors = described(images, len(pyramid)) if self.cost_volumes else []
        tokens, size = self.tokens(pyramid[-1]), pyramid[-1].shape[2:]
        found: list[tuple[Tensor, int]] = []
        for scale, step in enumerate(self.steps):
            features = pyramid[-1 - scale]
            if scale < len(self.out):
                features = torch.cat([features, self.out[scale](tokens, size)], dim=1)
            spacing = 2 ** (len(pyramid) - scale)
            before = found[-1][0] if found else None
            compared = descriptors[-1 - scale] if descriptors else None
            found.append((step(features, before, spacing, compared), spacing))
        return found

    def tokens(self, deepest: Tensor) -> Tensor:
        """Features (2 B, C, ...), moving first, through both blocks: tokens (2 B, N, width)."""
        images = deepest.flatten(2).transpose(1, 2).unflatten(0, (2, -1))  # (2, B, N, C)
        tokens = images.transpose(0, 1).flatten(1, 2)  # both images of a pair are one sequence
        seen: Seen = {} if self.positions is None else self.positions(tokens.shape[1])
        for block in self.blocks:
            tokens = block(tokens, seen)
        return tokens.unflatten(1, (2, -1)).transpose(0, 1).flatten(0, 1)

    def train(self, mode: bool = True) -> FlowNetwork:
        self.coarser = []
        super().train(mode)
        return self


class Encoder(nn.Module):
    """Images (B, 1, ...) to features at 1/2, 1/4, ... of the resolution, finest first."""

    def __init__(self, dims: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(ConvBlock(dims, a, b, stride=2), ConvBlock(dims, b, b))
            for a, b in zip((1, *widths[:-1]), widths, strict=True)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        pyramid: list[Tensor] = []
        for level in self.levels:
            pyramid.append(level(pyramid[-1] if pyramid else image))
        return pyramid


class EncodingBlock(nn.Module):
    """Tokens (B, N, inputs) to (B, N, width): an adapter, then language layers; added to the tokens."""

    def __init__(self, inputs: int, hidden: int, width: int) -> None:
        super().__init__()
        self.narrow, self.widen = nn.Linear(inputs, hidden), nn.Linear(hidden, width)
        self.skip = nn.Identity() if inputs == width else nn.Linear(inputs, width, bias=False)
        self.layers = nn.ModuleList()

    def forward(self, tokens: Tensor, seen: Seen) -> Tensor:
        found = self.widen(functional.leaky_relu(over_tokens(self.narrow(tokens)), SLOPE))
        for layer in self.layers:
            found = layer(found, **seen)
        result: Tensor = self.skip(tokens) + found
        return result


class OutOfLanguage(nn.Module):
    """Tokens (B, N, width) to features (B, channels, ...): each becomes a cell of ``expansion`` voxels."""

    def __init__(self, dims: int, width: int, channels: int, expansion: int) -> None:
        super().__init__()
        self.dims, self.channels, self.expansion = dims, channels, expansion
        self.linear = nn.Linear(width, channels * expansion**dims)

    def forward(self, tokens: Tensor, size: Sequence[int]) -> Tensor:
        """``size``: voxels that the tokens stand for, along each axis."""
        values = functional.leaky_relu(over_tokens(self.linear(tokens)), SLOPE)
        cell = (self.expansion,) * self.dims
        cells = values.view(values.shape[0], *size, self.channels, *cell)
        channel = self.dims + 1  # this axis, and behind it those of a cell
        order = [part for axis in range(1, channel) for part in (axis, channel + axis)]
        grid = [n * self.expansion for n in size]
        return cells.permute(0, channel, *order).reshape(values.shape[0], self.channels, *grid)


class FieldStep(nn.Module):
    """Features of both images, and the field so far, to a field of twice its resolution."""

    def __init__(
        self, dims: int, given: int, width: int, integration_steps: int, first: bool, cost_volumes: bool
    ) -> None:
        super().__init__()
        self.integration_steps = integration_steps
        inputs = 2 * given + (0 if first else dims) + (costs_of(dims) if cost_volumes else 0)
        self.blocks = nn.Sequential(ConvBlock(dims, inputs, width), ConvBlock(dims, width, width))
        self.head = field_head(dims, width)

    def forward(
        self, features: Tensor, field: Tensor | None, spacing: int, compared: Tensor | None = None
    ) -> Tensor:
        """Features and descriptors to compare are (2 B, C, ...), moving first.

        ``field`` is on the coarser grid, in full-grid voxels; ``spacing`` is that of the features.
        """
        moved = None
        if field is not None:
            field = upsample(field, 2)
            moved = integrate(field, self.integration_steps, spacing) / spacing
        moving, fixed = brought(features, moved)
        joined = [moving, fixed] if field is None else [moving, fixed, field / spacing]
        if compared is not None:
            there, target = brought(compared, moved)
            joined.append(costs(target, there))
        residual: Tensor = convolve(self.head, self.blocks(torch.cat(joined, dim=1))).float()
        return residual if field is None else field + residual


def brought(both: Tensor, displacement: Tensor | None) -> tuple[Tensor, Tensor]:
    """Of the moving image, after a displacement in voxels of their grid, and of the fixed one."""
    moving, fixed = both.unflatten(0, (2, -1)).unbind(0)
    if displacement is not None:
        moving = warp(moving, displacement, padding="border")
    return moving, fixed


class ConvBlock(nn.Module):
    """Convolution over 3 voxels, instance normalisation, leaky rectifier."""

    def __init__(self, dims: int, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.convolution = convolution_of(dims)(inputs, outputs, 3, stride=stride, padding=1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        return functional.leaky_relu(normalised(convolve(self.convolution, features)), SLOPE)


def normalised(features: Tensor) -> Tensor:
    """Instance normalisation of (B, C, ...); a single voxel becomes 0, where torch's own layer refuses it."""
    return torch.instance_norm(features, None, None, None, None, True, 0.0, 1e-5, False)


def over_tokens(tokens: Tensor) -> Tensor:
    """Instance normalisation of each channel of (B, N, C) over the tokens."""
    return normalised(tokens.transpose(1, 2)).transpose(1, 2)
