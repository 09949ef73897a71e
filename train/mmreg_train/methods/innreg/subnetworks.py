"""Sub-networks of the translator's couplings: one channel in, one channel out.

With ``width=32`` and 2-D kernels of 7 x 7, as published, they have 57,738 (dense), 228,672 (depth-wise) and
268,119 weights (dense and depth-wise).
"""

from __future__ import annotations

from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmreg_train.layers.convolve import convolution_of, convolve

SLOPE = 0.2  # of the leaky rectifiers
STEADY = 0.1  # added to the variance in normalisation


class DenseLayers(nn.Module):
    """Convolutions over 3 voxels, each of which takes the image and all features before it.

    Returns the image (B, 1, ...) and the features: ``1 + sum(widths)`` channels.

    Args:
        dims: 2 or 3.
        widths: Features that each convolution adds.
    """

    def __init__(self, dims: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        channels = [1 + sum(widths[:number]) for number in range(len(widths))]
        self.layers = nn.ModuleList(
            _convolution(dims, inputs, outputs, 3) for inputs, outputs in zip(channels, widths, strict=True)
        )

    def forward(self, image: Tensor) -> Tensor:
        features = image
        for layer in self.layers:
            added = functional.leaky_relu(convolve(layer, features), SLOPE)
            features = torch.cat([features.to(added.dtype), added], dim=1)
        return features


class Dense(nn.Sequential):
    """A dense block of four layers and a convolution ("DBNet")."""

    def __init__(self, dims: int, width: int, kernel: int) -> None:  # noqa: ARG002
        super().__init__(DenseLayers(dims, (width,) * 4), _convolution(dims, 1 + 4 * width, 1, 3))


class DepthWise(nn.Sequential):
    """Voxel-wise layers around a dynamic depth-wise convolution, each normalised ("DWBlock").

    The published batch normalisation is trained on one image at a time, so it normalises each image; here
    this also holds in evaluation. Running statistics would mix both directions, in which the same layers get
    different values. ``STEADY`` is large for the sake of the inverse: features of small variance would be
    amplified, and with them the rounding errors of their inputs.
    """

    def __init__(self, dims: int, width: int, kernel: int) -> None:
        channels = 4 * width
        norm = partial(nn.InstanceNorm3d if dims == 3 else nn.InstanceNorm2d, eps=STEADY, affine=True)
        super().__init__(
            _convolution(dims, 1, channels, 1, bias=False),
            norm(channels),
            nn.ReLU(),
            DynamicDepthWise(dims, channels, width, kernel),
            norm(channels),
            nn.ReLU(),
            _convolution(dims, channels, channels, 1, bias=False),
            norm(channels),
            _convolution(dims, channels, 1, 1, bias=False),
        )


class DenseDepthWise(nn.Sequential):
    """A dense block, a dynamic depth-wise convolution, and a convolution ("DWDB")."""

    def __init__(self, dims: int, width: int, kernel: int) -> None:
        channels = 4 * width
        super().__init__(
            DenseLayers(dims, (width, width, width, width - 1)),  # the image is the last channel
            DynamicDepthWise(dims, channels, width, kernel),
            nn.LeakyReLU(SLOPE),
            _convolution(dims, channels, 1, 3),
        )


class DynamicDepthWise(nn.Module):
    """A depth-wise convolution whose kernels are computed from the means of the features.

    Attention to a neighbourhood: the kernel depends on the image (Han et al., "On the connection between
    local attention and dynamic depth-wise convolution", ICLR 2022). The published code declares a batch
    normalisation of the squeezed means but does not use it, as one pair per step has no batch. Its scale and
    shift are kept
    here, so that every weight is used: initially they change nothing.
    """

    def __init__(self, dims: int, channels: int, squeezed: int, kernel: int) -> None:
        super().__init__()
        self.dims, self.kernel = dims, kernel
        self.squeeze = nn.Linear(channels, squeezed, bias=False)
        self.scale, self.shift = nn.Parameter(torch.ones(squeezed)), nn.Parameter(torch.zeros(squeezed))
        self.expand = nn.Linear(squeezed, channels * kernel**dims)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor) -> Tensor:
        batch, channels, *size = features.shape
        means = features.flatten(2).mean(2)
        kernels = self.expand(functional.relu(self.squeeze(means) * self.scale + self.shift))
        convolution = functional.conv3d if self.dims == 3 else functional.conv2d
        result = convolution(
            features.reshape(1, batch * channels, *size),
            kernels.reshape(batch * channels, 1, *(self.kernel,) * self.dims),
            padding=self.kernel // 2,
            groups=batch * channels,
        )
        bias = self.bias.view(1, channels, *(1,) * self.dims)
        return result.reshape(batch, channels, *size) + bias


SUBNETWORKS: dict[str, type[nn.Module]] = {
    "dense": Dense,
    "depthwise": DepthWise,
    "dense-depthwise": DenseDepthWise,
}


def subnetwork(name: str, dims: int, width: int, kernel: int) -> nn.Module:
    """Create a sub-network, with the weights of Glorot and Bengio (AISTATS 2010) and biases 0.

    Args:
        name: One of ``SUBNETWORKS``.
        dims: 2 or 3.
        width: Features that a dense layer adds; other layers have four times as many channels.
        kernel: Size of the depth-wise kernels in voxels, odd.
    """
    network = cast("nn.Module", SUBNETWORKS[name](dims, width, kernel))
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.Conv3d, nn.Linear)):
            nn.init.xavier_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network


def _convolution(dims: int, inputs: int, outputs: int, kernel: int, bias: bool = True) -> nn.Module:
    return convolution_of(dims)(inputs, outputs, kernel, padding=kernel // 2, bias=bias)
