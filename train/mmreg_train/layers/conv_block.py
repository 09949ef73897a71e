"""Convolution blocks and heads of U-Nets."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from mmreg_train.layers.convolve import convolution_of, convolve

SLOPE = 0.2  # of the leaky rectifiers


class ConvBlock(nn.Module):
    """Convolution over 3 voxels with a stride, and a leaky rectifier."""

    def __init__(self, dims: int, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.convolution = convolution_of(dims)(inputs, outputs, 3, stride=stride, padding=1)
        # with torch's default the signal fades from layer to layer (He et al., ICCV 2015)
        nn.init.kaiming_normal_(self.convolution.weight, SLOPE)
        nn.init.zeros_(self.convolution.bias)

    def forward(self, features: Tensor) -> Tensor:
        return functional.leaky_relu(convolve(self.convolution, features), SLOPE)


class NormalisedConvBlock(nn.Module):
    """Convolution over 3 voxels, instance normalisation, leaky rectifier."""

    def __init__(self, inputs: int, outputs: int, dims: int = 3) -> None:
        super().__init__()
        self.convolution = convolution_of(dims)(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.InstanceNorm3d(outputs) if dims == 3 else nn.InstanceNorm2d(outputs)

    def forward(self, features: Tensor) -> Tensor:
        return functional.leaky_relu(self.norm(convolve(self.convolution, features)), 0.01)


def field_head(dims: int, inputs: int) -> nn.Module:
    """Create the convolution that outputs a field (B, dims, ...), initially almost 0."""
    head = convolution_of(dims)(inputs, dims, 3, padding=1)
    nn.init.normal_(head.weight, 0, 1e-5)
    nn.init.zeros_(head.bias)
    return head


def check_widths(encoder: Sequence[int], decoder: Sequence[int]) -> int:
    """Return the number of levels of a U-Net.

    Raises:
        ValueError: There are none, or the decoder has fewer.
    """
    levels = len(encoder)
    if levels < 1 or len(decoder) < levels:
        raise ValueError(
            f"A decoder needs a width for each of the {levels} levels of the encoder; "
            f"found encoder={tuple(encoder)}, decoder={tuple(decoder)}."
        )
    return levels
