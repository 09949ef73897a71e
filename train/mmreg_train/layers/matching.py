"""How well a pair matches at small shifts, and a U-Net that sees this in place of the pair itself.

Which of two shifts matches better is what a contrast-blind network has to find out first. On images it takes
very many steps; here it is given, and the network learns what to make of it. Cost volumes in a registration
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
SCALE = 20.0  # of the costs, which are some hundredths: a network's inputs are about 1


def described(image: Tensor, grids: int) -> list[Tensor]:
    """MIND-SSC of images (B, 1, ...) at 1/2, 1/4, ... of the resolution, finest first."""
    found = [mind_ssc(image, factor=2)]
    while len(found) < grids:
        found.append(downsample(found[-1], 2))
    return found


def costs(fixed: Tensor, moving: Tensor) -> Tensor:
    """Costs (B, ``costs_of(dims)``, ...) of shifting one grid's MIND-SSC (B, C, ...) of the moving image."""
    return SCALE * torch.cat([cost_volume(fixed, moving, reach) for reach in REACHES], dim=1)


def costs_of(dims: int) -> int:
    """How many costs a voxel has."""
    return len(REACHES) * int(3**dims)


class MatchingNetwork(UNet):
    """The U-Net on the half grid, over costs of a pair on several grids where the images were."""

    def __init__(self, dims: int, encoder: tuple[int, ...], decoder: tuple[int, ...], grids: int) -> None:
        super().__init__(dims, (costs_of(dims),) * grids, encoder, decoder, half=False)
        self.grids = grids

    def forward(self, fixed: Tensor, moving: Tensor) -> Tensor:
        """The field on the half grid, in full-grid voxels."""
        pair = zip(described(fixed, self.grids), described(moving, self.grids), strict=True)
        return super().forward(*(costs(*grid) for grid in pair))
