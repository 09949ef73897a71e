"""Matching costs of small shifts, and a U-Net that takes them in place of images.

A contrast-blind network first has to learn which of two shifts matches better. From images this takes very
many steps; here the costs are given, and the network learns how to use them. Cost volumes in a registration
network: Heinrich, "Closing the gap between deep and conventional image registration using probabilistic dense
displacement networks", MICCAI 2019.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmreg_train.layers import downsample
from mmreg_train.layers.cost_volume import cost_volume
from mmreg_train.layers.unet import UNet

from .mind import mind_ssc

REACHES = (1, 2)  # shifts by one and by two voxels
SCALE = 20.0  # brings costs of some hundredths to about 1, as networks expect


def mind_pyramid(image: Tensor, grids: int) -> list[Tensor]:
    """Return MIND-SSC of images (B, 1, ...) at 1/2, 1/4, ... of the resolution, finest first."""
    descriptors = [mind_ssc(image, factor=2)]
    while len(descriptors) < grids:
        descriptors.append(downsample(descriptors[-1], 2))
    return descriptors


def shift_costs(fixed: Tensor, moving: Tensor) -> Tensor:
    """Return the costs (B, ``cost_count(dims)``, ...) of shifting the moving MIND-SSC of one grid.

    Args:
        fixed, moving: MIND-SSC (B, C, ...) of both images.
    """
    return SCALE * torch.cat([cost_volume(fixed, moving, reach) for reach in REACHES], dim=1)


def cost_count(dims: int) -> int:
    """Return the number of costs per voxel."""
    return len(REACHES) * int(3**dims)


class MatchingNetwork(UNet):
    """The U-Net on the half grid, with matching costs of a pair on several grids as its input."""

    def __init__(self, dims: int, encoder: tuple[int, ...], decoder: tuple[int, ...], grids: int) -> None:
        super().__init__(dims, (cost_count(dims),) * grids, encoder, decoder, half=False)
        self.grids = grids

    def forward(self, fixed: Tensor, moving: Tensor) -> Tensor:
        """Return the field on the half grid, in full-grid voxels."""
        pair = zip(mind_pyramid(fixed, self.grids), mind_pyramid(moving, self.grids), strict=True)
        return super().forward(*(shift_costs(*grid) for grid in pair))
