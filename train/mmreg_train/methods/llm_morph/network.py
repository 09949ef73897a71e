"""Network of LLM-Morph: two images to fields, refined from 1/32 of the resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmreg_train.layers import integrate, upsample, warp
from mmreg_train.layers.conv_block import field_head
from mmreg_train.layers.convolve import convolution_of, convolve
from mmreg_train.layers.matching import cost_count, mind_pyramid, shift_costs
from mmreg_train.methods.llm_morph.backbone import LayerInputs, Positions

ENCODER = (16, 32, 64, 128, 256)  # at 1/2 to 1/32 of the resolution
ADAPTERS = (128, 64, 32, 16)  # at 1/32 to 1/4
DECODER = (128, 64, 32, 32)
SLOPE = 0.2  # of the leaky rectifiers


@dataclass(frozen=True)
class NetworkOptions:
    """Widths and steps of the network.

    Attributes:
        half: Add a step at half resolution, of convolutions only. The published finest field is at 1/4.
        adapter_width: Of the bottleneck between features and language layers.
        encoder: Channels of the five levels.
        adapters: Channels returned from the language layers at 1/32, 1/16, 1/8 and 1/4, for each image.
        decoder: Channels of the convolutions at these, and at 1/2 with ``half``.
        cost_volumes: Each step of the field also takes matching costs of MIND-SSC at small shifts, see
            ``layers.matching``; the network need not learn how to compare. Not in the publication.
    """

    half: bool = False
    adapter_width: int = 256
    encoder: Sequence[int] = ENCODER
    adapters: Sequence[int] = ADAPTERS
    decoder: Sequence[int] = DECODER
    cost_volumes: bool = False

    def __post_init__(self) -> None:
        if self.adapter_width < 1:
            raise ValueError(f"adapter_width must be 1 or more; found {self.adapter_width}.")
        widths = tuple(self.encoder), tuple(self.adapters), tuple(self.decoder)
        counts = len(widths[0]), len(widths[1])
        if counts != (len(ENCODER), len(ADAPTERS)) or len(widths[2]) < self.steps:
            raise ValueError(
                f"LLM-Morph needs {len(ENCODER)} encoder widths, {len(ADAPTERS)} adapter widths and "
                f"{self.steps} decoder widths; found {widths[0]}, {widths[1]}, {widths[2]}."
            )

    @property
    def steps(self) -> int:
        """Number of steps of the field."""
        return len(ADAPTERS) + int(self.half)


class FlowNetwork(nn.Module):
    """Two images (B, 1, ...) to a field (B, dims, ...) on the half grid, in full-grid voxels.

    Args:
        dims: 2 or 3.
        options: Widths and steps.
        width: Of a token.
        integration_steps: Squarings of the velocity before each warp of features.

    Attributes:
        coarser: In training mode, all fields of the last call except the finest, with their spacings in
            voxels.
    """

    def __init__(self, dims: int, options: NetworkOptions, width: int, integration_steps: int) -> None:
        super().__init__()
        self.cost_volumes = options.cost_volumes
        encoder, adapters, decoder = options.encoder, options.adapters, options.decoder
        self.encoder = Encoder(dims, encoder)
        self.blocks = nn.ModuleList(
            EncodingBlock(n, options.adapter_width, width) for n in (encoder[-1], width)
        )
        self.positions: Positions | None = None
        self.out = nn.ModuleList(
            OutOfLanguage(dims, width, channels, 2**scale) for scale, channels in enumerate(adapters)
        )
        inputs = [a + b for a, b in zip(encoder[::-1], (*adapters, 0), strict=True)]  # of each image
        self.steps = nn.ModuleList(
            FieldStep(dims, inputs[n], decoder[n], integration_steps, n == 0, options.cost_volumes)
            for n in range(options.steps)
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
        """Return the field of every step in full-grid voxels, coarsest first, and the spacing of its grid."""
        images = torch.cat([moving, fixed])
        pyramid = self.encoder(images)
        descriptors = mind_pyramid(images, len(pyramid)) if self.cost_volumes else []
        tokens, size = self.tokens(pyramid[-1]), pyramid[-1].shape[2:]
        fields: list[tuple[Tensor, int]] = []
        for scale, step in enumerate(self.steps):
            features = pyramid[-1 - scale]
            if scale < len(self.out):
                features = torch.cat([features, self.out[scale](tokens, size)], dim=1)
            spacing = 2 ** (len(pyramid) - scale)
            before = fields[-1][0] if fields else None
            descriptor = descriptors[-1 - scale] if descriptors else None
            fields.append((step(features, before, spacing, descriptor), spacing))
        return fields

    def tokens(self, deepest: Tensor) -> Tensor:
        """Pass features (2 B, C, ...), moving first, through both blocks: tokens (2 B, N, width)."""
        images = deepest.flatten(2).transpose(1, 2).unflatten(0, (2, -1))  # (2, B, N, C)
        tokens = images.transpose(0, 1).flatten(1, 2)  # both images of a pair are one sequence
        inputs: LayerInputs = {} if self.positions is None else self.positions(tokens.shape[1])
        for block in self.blocks:
            tokens = block(tokens, inputs)
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
    """Tokens (B, N, inputs) to (B, N, width): an adapter, then language layers; residual."""

    def __init__(self, inputs: int, hidden: int, width: int) -> None:
        super().__init__()
        self.narrow, self.widen = nn.Linear(inputs, hidden), nn.Linear(hidden, width)
        self.skip = nn.Identity() if inputs == width else nn.Linear(inputs, width, bias=False)
        self.layers = nn.ModuleList()

    def forward(self, tokens: Tensor, inputs: LayerInputs) -> Tensor:
        hidden = self.widen(functional.leaky_relu(normalise_tokens(self.narrow(tokens)), SLOPE))
        for layer in self.layers:
            hidden = layer(hidden, **inputs)
        result: Tensor = self.skip(tokens) + hidden
        return result


class OutOfLanguage(nn.Module):
    """Tokens (B, N, width) to features (B, channels, ...); each becomes a cell of ``expansion`` voxels."""

    def __init__(self, dims: int, width: int, channels: int, expansion: int) -> None:
        super().__init__()
        self.dims, self.channels, self.expansion = dims, channels, expansion
        self.linear = nn.Linear(width, channels * expansion**dims)

    def forward(self, tokens: Tensor, size: Sequence[int]) -> Tensor:
        """Return the features; ``size`` is the number of tokens along each axis."""
        values = functional.leaky_relu(normalise_tokens(self.linear(tokens)), SLOPE)
        cell = (self.expansion,) * self.dims
        cells = values.view(values.shape[0], *size, self.channels, *cell)
        channel = self.dims + 1  # this axis is followed by those of a cell
        order = [part for axis in range(1, channel) for part in (axis, channel + axis)]
        grid = [n * self.expansion for n in size]
        return cells.permute(0, channel, *order).reshape(values.shape[0], self.channels, *grid)


class FieldStep(nn.Module):
    """Features of both images, and the field so far, to a field of twice its resolution."""

    def __init__(
        self, dims: int, features: int, width: int, integration_steps: int, first: bool, cost_volumes: bool
    ) -> None:
        super().__init__()
        self.integration_steps = integration_steps
        inputs = 2 * features + (0 if first else dims) + (cost_count(dims) if cost_volumes else 0)
        self.blocks = nn.Sequential(ConvBlock(dims, inputs, width), ConvBlock(dims, width, width))
        self.head = field_head(dims, width)

    def forward(
        self, features: Tensor, field: Tensor | None, spacing: int, compared: Tensor | None = None
    ) -> Tensor:
        """Return the refined field in full-grid voxels.

        Args:
            features: (2 B, C, ...), moving first.
            field: Field on the coarser grid, in full-grid voxels; None at the first step.
            spacing: Spacing of the features in voxels.
            compared: Descriptors for the matching costs, (2 B, C, ...), moving first.
        """
        displacement = None
        if field is not None:
            field = upsample(field, 2)
            displacement = integrate(field, self.integration_steps, spacing) / spacing
        moving, fixed = split_and_warp(features, displacement)
        inputs = [moving, fixed] if field is None else [moving, fixed, field / spacing]
        if compared is not None:
            moving_descriptor, fixed_descriptor = split_and_warp(compared, displacement)
            inputs.append(shift_costs(fixed_descriptor, moving_descriptor))
        residual: Tensor = convolve(self.head, self.blocks(torch.cat(inputs, dim=1))).float()
        return residual if field is None else field + residual


def split_and_warp(both: Tensor, displacement: Tensor | None) -> tuple[Tensor, Tensor]:
    """Split (2 B, ...) into moving, warped by a displacement in voxels of its grid, and fixed."""
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
        return functional.leaky_relu(instance_norm(convolve(self.convolution, features)), SLOPE)


def instance_norm(features: Tensor) -> Tensor:
    """Normalise each channel of (B, C, ...); a single voxel becomes 0 (torch's own layer raises)."""
    return torch.instance_norm(features, None, None, None, None, True, 0.0, 1e-5, False)


def normalise_tokens(tokens: Tensor) -> Tensor:
    """Normalise each channel of (B, N, C) over the tokens."""
    return instance_norm(tokens.transpose(1, 2)).transpose(1, 2)
