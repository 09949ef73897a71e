"""Soft labels of brain structures in an image of any contrast, as features for the solver.

Trained as SynthSeg (Billot et al., "SynthSeg: segmentation of brain MRI scans of any contrast and
resolution without retraining", Medical Image Analysis 2023) on images painted from label maps, see
``painted_brains``. The network is far smaller and works on the half grid: blocks of 2 x 2 x 2 voxels become
channels before the first convolution, and channels become blocks after the last, as in Shi et al., CVPR 2016.
Validation and export use the exponential moving average of the weights.
"""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmreg_train.layers.conv_block import ConvBlock, NormalisedConvBlock
from mmreg_train.methods.base import Batch, Method, Output
from mmreg_train.methods.brain.structures import STRUCTURES

BLOCK = 2  # voxels along each axis
LEAST = 1e-6  # added to a probability before its logarithm
SMOOTH = 1.0  # voxels: gives the soft Dice of structures of a few voxels a slope


class Brain(Method):
    """The label network; 120,944 weights with width 16.

    ``fixed_label`` of a batch are indices of ``STRUCTURES``. If the moving image is the same tensor as the
    fixed one, it is processed once. A descriptor is the probability of every structure.

    Args:
        width: Channels of the finest convolutions; the coarser ones have 2 * width.
        average: Weight of the old average at every step; less during the first steps.

    Raises:
        ValueError: A setting has an invalid value.
    """

    name = "brain"
    output_kind = "descriptor"
    multiple = 16
    painted = True

    def __init__(self, width: int = 16, average: float = 0.999) -> None:
        super().__init__(3)
        if width < 1 or not 0 <= average < 1:
            raise ValueError(f"Brain needs width >= 1 and average in [0, 1); found {width} and {average}.")
        self.share = average
        self.channels = len(STRUCTURES)
        self.learner = LabelNetwork(width, self.channels)
        self.averaged = copy.deepcopy(self.learner).requires_grad_(False)

    def on_step_begin(self, step: int) -> None:
        share = min(self.share, (1 + step) / (10 + step))
        with torch.no_grad():
            for average, weight in zip(self.averaged.parameters(), self.learner.parameters(), strict=True):
                average.lerp_(weight, 1 - share)

    def forward(self, fixed: Tensor, moving: Tensor) -> Output:
        network = self.learner if self.training else self.averaged
        described = network(fixed)
        return Output("descriptor", (described, described if moving is fixed else network(moving)))

    def loss(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        """Return ``cross_entropy`` and ``dice``, 1 - soft Dice of the present structures; both of ``fixed``.

        In evaluation mode, also ``label_dice`` of the most likely structures.
        """
        assert isinstance(output.value, tuple)
        assert batch.fixed_label is not None
        probability, truth = output.value[0].float(), batch.fixed_label
        true_ones = probability.gather(1, truth[:, None])[:, 0]
        terms = {
            "cross_entropy": -(true_ones + LEAST).log().mean(),
            "dice": 1 - soft_dice(probability, true_ones, truth),
        }
        terms["total"] = terms["cross_entropy"] + terms["dice"]
        if not self.training:
            terms["label_dice"] = structure_dice(probability.argmax(1), truth, self.channels)
        return terms

    def required_targets(self) -> frozenset[str]:
        return frozenset(("fixed_label",))

    def network(self) -> nn.Module:
        return self.averaged

    def compilable_module(self, phase: str) -> nn.Module | None:  # noqa: ARG002
        return self.learner


class LabelNetwork(nn.Module):
    """An image ``(B, 1, D, H, W)`` to the probability of each structure, ``(B, structures, D, H, W)``.

    Four levels, the last at an eighth of the resolution of the first, with sums where a U-Net concatenates:
    few weights keep checkpoints small.
    """

    def __init__(self, width: int, structures: int) -> None:
        super().__init__()
        blocks, wide = BLOCK**3, 2 * width
        self.enter = nn.Sequential(NormalisedConvBlock(blocks, width), NormalisedConvBlock(width, width))
        self.down = nn.ModuleList([NormalisedConvBlock(width, wide), NormalisedConvBlock(wide, wide)])
        self.bottom = ConvBlock(3, wide, wide)  # not normalised: too few voxels for a mean and sd
        self.join = NormalisedConvBlock(wide, width)
        self.last = NormalisedConvBlock(width + blocks, wide)
        self.head = nn.Conv3d(wide, structures * blocks, 1)
        self.pool = nn.MaxPool3d(2)

    def forward(self, image: Tensor) -> Tensor:
        folded = blocks_to_channels(image)
        finest = self.enter(folded)
        middle = self.down[0](self.pool(finest))
        coarse = self.down[1](self.pool(middle))
        coarse = coarse + _upsample(self.bottom(self.pool(coarse)))
        finest = finest + _upsample(self.join(middle + _upsample(coarse)))
        features = self.last(torch.cat([finest, folded], 1))
        return functional.softmax(channels_to_blocks(self.head(features)), dim=1)


def blocks_to_channels(image: Tensor) -> Tensor:
    """Reshape ``(B, C, D, H, W)`` to ``(B, 8 C, D/2, H/2, W/2)``."""
    b, c, d, h, w = image.shape
    blocks = image.reshape(b, c, d // BLOCK, BLOCK, h // BLOCK, BLOCK, w // BLOCK, BLOCK)
    return blocks.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b, c * BLOCK**3, d // BLOCK, h // BLOCK, w // BLOCK)


def channels_to_blocks(features: Tensor) -> Tensor:
    """Invert ``blocks_to_channels``."""
    b, c, d, h, w = features.shape
    blocks = features.reshape(b, c // BLOCK**3, BLOCK, BLOCK, BLOCK, d, h, w)
    return blocks.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(b, c // BLOCK**3, d * BLOCK, h * BLOCK, w * BLOCK)


def soft_dice(probability: Tensor, true_ones: Tensor, truth: Tensor) -> Tensor:
    """Return the mean of ``2 sum(p y) / (sum(p) + sum(y))`` over the structures except 0 in ``truth``.

    Args:
        probability: ``(B, structures, ...)``.
        true_ones: Probability of the true structure, ``(B, ...)``.
        truth: ``(B, ...)`` int64.
    """
    structures = probability.shape[1]
    size = torch.bincount(truth.flatten(), minlength=structures)
    total = probability.transpose(0, 1).flatten(1).sum(1)
    shared = total.new_zeros(structures).index_add(0, truth.flatten(), true_ones.flatten())
    dice = (2 * shared + SMOOTH) / (total + size + SMOOTH)
    present = size[1:] > 0
    return (dice[1:] * present).sum() / present.sum().clamp(min=1)


def structure_dice(predicted: Tensor, truth: Tensor, structures: int) -> Tensor:
    """Return the mean Dice of the structures except 0 in ``truth``; both maps ``(B, ...)`` int64."""
    size = torch.bincount(truth.flatten(), minlength=structures)
    total = size + torch.bincount(predicted.flatten(), minlength=structures)
    shared = torch.bincount(truth[truth == predicted], minlength=structures)
    present = size[1:] > 0
    return (2 * shared[1:][present] / total[1:][present]).mean()


def _upsample(features: Tensor) -> Tensor:
    return cast("Tensor", functional.interpolate(features, scale_factor=2, mode="nearest"))
