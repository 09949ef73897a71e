"""Network of MASR-Net: a U-Net, deep neighbourhood self-similarity, and reducing convolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmreg_train.layers import upsample
from mmreg_train.layers.convolve import convolution_of
from mmreg_train.layers.neighbours import offset_pairs, shifts

WIDTHS = (8, 16, 32, 64)  # at 1, 1/2, 1/4 and 1/8 of the resolution
FEATURES = 4
RADII = (1, 2)


class DescriptorNetwork(nn.Module):
    """An image ``(B, 1, ...)`` to unit vectors ``(B, channels, ...)``; sizes are multiples of 8."""

    def __init__(self, dims: int, channels: int, mixed: bool) -> None:
        super().__init__()
        self.extractor = Extractor(dims)
        relations = len(RADII) * len(offset_pairs(dims, 1))
        self.relations = MixedRelations(relations) if mixed else None
        self.squeeze = _convolution(dims, relations, relations)
        self.last = _convolution(dims, relations, channels)

    def forward(self, image: Tensor) -> Tensor:
        features = self.extractor(image)
        related = dns(features) if self.relations is None else self.relations(features)
        described = self.last(functional.leaky_relu(self.squeeze(related), 0.2))
        return described * torch.rsqrt((described**2).sum(1, keepdim=True) + 1e-6)


class Extractor(nn.Module):
    """Features ``(B, 4, ...)`` at full resolution: the sequence 1, 8, 16, 32, 64, 64, 32, 16, 8, 4."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        inputs = (1, *WIDTHS[:-1])
        self.down = nn.ModuleList(_convolution(dims, a, b) for a, b in zip(inputs, WIDTHS, strict=True))
        self.shrink = nn.ModuleList(BlurPool(dims, width) for width in inputs[1:])
        self.deepest = _convolution(dims, WIDTHS[-1], WIDTHS[-1])
        self.up = nn.ModuleList(
            _convolution(dims, deep + skip, skip)
            for deep, skip in zip(WIDTHS[:0:-1], WIDTHS[-2::-1], strict=True)
        )
        self.last = _convolution(dims, WIDTHS[0], FEATURES)

    def forward(self, image: Tensor) -> Tensor:
        features, skips = image, []
        for level, convolution in enumerate(self.down):
            features = self.shrink[level - 1](features) if level else features
            features = functional.leaky_relu(convolution(features), 0.2)
            skips.append(features)
        features = functional.leaky_relu(self.deepest(skips.pop()), 0.2)
        for convolution in self.up:
            features = torch.cat([upsample(features, 2), skips.pop()], dim=1)
            features = functional.leaky_relu(convolution(features), 0.2)
        result: Tensor = self.last(features)
        return result


class MixedRelations(nn.Module):
    """Relations of each feature, mixed over the features by a table of weights."""

    def __init__(self, relations: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((relations, FEATURES), 1 / FEATURES))
        self.bias = nn.Parameter(torch.zeros(relations))

    def forward(self, features: Tensor) -> Tensor:
        ones = (1,) * (features.dim() - 2)
        tables = self.weight.view(1, -1, FEATURES, *ones).unbind(1)
        related: list[Tensor] = []
        for radius in RADII:
            distances = squared_differences(features, radius)
            mean = (sum(distances[1:], distances[0]) / len(distances)).clamp(min=1e-6)
            related += [torch.exp(-distance / mean) for distance in distances]
        mixed = [(r * table).sum(1, keepdim=True) for r, table in zip(related, tables, strict=True)]
        return torch.cat(mixed, dim=1) + self.bias.view(1, -1, *ones)


def dns(features: Tensor) -> Tensor:
    """Return relations in (0, 1] between the neighbours of each voxel, ``(B, 24, ...)``; 8 in 2-D.

    ``exp(-d / mean(d))`` of the squared differences ``d``, summed over the features; the mean is over the
    pairs of one radius and at least 1e-6.
    """
    related = []
    for radius in RADII:
        squares = squared_differences(features, radius)
        distance = torch.cat([square.sum(1, keepdim=True) for square in squares], dim=1)
        related.append(torch.exp(-distance / distance.mean(1, keepdim=True).clamp(min=1e-6)))
    return torch.cat(related, dim=1)


def squared_differences(features: Tensor, radius: int) -> list[Tensor]:
    """Return squared differences ``(B, features, ...)`` of the pairs of ``offset_pairs`` at ``radius``."""
    shifted = shifts(features, radius)
    return [(shifted[a] - shifted[b]) ** 2 for a, b in offset_pairs(features.dim() - 2, radius)]


class BlurPool(nn.Module):
    """Half the resolution after a blur by 1, 3, 3, 1 along each axis (Zhang, ICML 2019); border extended."""

    taps: Tensor  # (channels, 1, 4)

    def __init__(self, dims: int, channels: int) -> None:
        super().__init__()
        self.dims, self.channels = dims, channels
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("taps", taps.repeat(channels, 1, 1), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        convolve = functional.conv3d if self.dims == 3 else functional.conv2d
        features = functional.pad(features, (1, 1) * self.dims, mode="replicate")
        for axis in range(self.dims):
            along = [other == axis for other in range(self.dims)]
            weight = self.taps.view(self.channels, 1, *(4 if this else 1 for this in along))
            stride = [2 if this else 1 for this in along]
            features = convolve(features, weight, stride=stride, groups=self.channels)
        return features


def _convolution(dims: int, inputs: int, outputs: int) -> nn.Module:
    return convolution_of(dims)(inputs, outputs, 3, padding=1)
