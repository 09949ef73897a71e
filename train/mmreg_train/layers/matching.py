"""A U-Net over cost volumes of a pair, in place of the pair itself."""

from __future__ import annotations

import torch
from torch import Tensor

from mmreg_train.layers import downsample
from mmreg_train.layers.cost_volume import cost_volume
from mmreg_train.layers.unet import UNet
from mmreg_train.losses import mind_ssc


class MatchingNetwork(UNet):
    """The U-Net on the half grid, over cost volumes of MIND-SSC where the images were.

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
