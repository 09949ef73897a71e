"""The sub-networks of the translator's couplings: one channel in, one channel out, of any kind.

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

SLOPE = 0.2  # of the rectifiers below 0
STEADY = 0.1  # added to the variance that features are divided by


class DenseLayers(nn.Module):
    """Convolutions over 3 voxels, each of which sees the image and all features before it.

    Args:
        dims: 2 or 3.
        widths: Features that each convolution adds.

    The result is the image (B, 1, ...) and the features: ``1 + sum(widths)`` channels.
    """

    def __init__(self, dims: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        entering = [1 + sum(widths[:number]) for number in range(len(widths))]
        self.layers = nn.ModuleList(
            _convolution(dims, inputs, outputs, 3) for inputs, outputs in zip(entering, widths, strict=True)
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

    The published batch normalisation sees one image at a time in training, so it is one of each image; here
    it stays so afterwards. Running statistics would mix both directions, in which the same layers see
    different values. ``STEADY`` is as large as it is for the inverse's sake: features of small variance would
    be blown up, and with them the rounding of what they are computed from.
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
            DenseLayers(dims, (width, width, width, width - 1)),  # the image is the last of the channels
            DynamicDepthWise(dims, channels, width, kernel),
            nn.LeakyReLU(SLOPE),
            _convolution(dims, channels, 1, 3),
        )


class DynamicDepthWise(nn.Module):
    """A convolution of each channel by itself, whose kernels are made of the features' means.

    Attention to a neighbourhood: what is looked for around a voxel depends on the image (Han et al., "On the
    connection between local attention and dynamic depth-wise convolution", ICLR 2022). The published code
    declares a batch normalisation of the squeezed means and passes it by, as one pair a step has no batch.
    Its scale and shift are kept here, so that no weight is idle: at the start they change nothing.
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
        every = convolution(
            features.reshape(1, batch * channels, *size),
            kernels.reshape(batch * channels, 1, *(self.kernel,) * self.dims),
            padding=self.kernel // 2,
            groups=batch * channels,
        )
        bias = self.bias.view(1, channels, *(1,) * self.dims)
        return every.reshape(batch, channels, *size) + bias


SUBNETWORKS: dict[str, type[nn.Module]] = {
    "dense": Dense,
    "depthwise": DepthWise,
    "dense-depthwise": DenseDepthWise,
}


def subnetwork(name: str, dims: int, width: int, kernel: int) -> nn.Module:
    """A new sub-network, its weights drawn as Glorot and Bengio (AISTATS 2010) say, biases 0.

    Args:
        name: One of ``SUBNETWORKS``.
        dims: 2 or 3.
        width: Features that a dense layer adds; other layers have four times as many channels.
        kernel: Voxels along an axis of the depth-wise kernels, odd.
    """
    made = cast("nn.Module", SUBNETWORKS[name](dims, width, kernel))
    for layer in made.modules():
        if isinstance(layer, (nn.Conv2d, nn.Conv3d, nn.Linear)):
            nn.init.xavier_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return made


def _convolution(dims: int, inputs: int, outputs: int, kernel: int, bias: bool = True) -> nn.Module:
    return convolution_of(dims)(inputs, outputs, kernel, padding=kernel // 2, bias=bias)
