"""An invertible network between the intensities of two modalities.

Two channels pass through blocks of an invertible 1 x 1 convolution and an affine coupling, each of which is
undone in closed form: so one set of weights translates both ways, and its training needs no memory for what
lies between the blocks (``reversible``). Invertible 1 x 1 convolutions: Kingma and Dhariwal, "Glow", NeurIPS
2018; affine couplings: Dinh et al., "Density estimation using Real NVP", ICLR 2017.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmreg_train.methods.innreg.block import Block, Pair
from mmreg_train.methods.innreg.reversible import through


class Translator(nn.Module):
    """Images of one modality as another shows them, and back.

    Args:
        dims: 2 or 3.
        blocks: Pairs of a mixing and a coupling, one after the other.
        subnetwork: Of the couplings, a name of ``SUBNETWORKS``.
        width, kernel: See ``subnetwork``.
        reversible: Keep no more than the result for the gradient, and compute the rest again from it.
    """

    def __init__(
        self, dims: int, blocks: int, subnetwork: str, width: int, kernel: int, reversible: bool
    ) -> None:
        super().__init__()
        self.reversible = reversible
        self.blocks = nn.ModuleList(Block(dims, subnetwork, width, kernel) for _ in range(blocks))

    def forward(self, image: Tensor, back: bool = False) -> Tensor:
        """The image (B, 1, ...) translated: the second channel of what becomes of it twice.

        Args:
            image: ``(B, 1, ...)``, as moving scans are; with ``back`` as fixed ones.
            back: From the fixed modality to the moving one.
        """
        return self.channels((image, image), back)[1]

    def channels(self, pair: Pair, back: bool = False) -> Pair:
        """Both channels; ``back`` undoes them exactly."""
        if self.reversible and torch.is_grad_enabled() and not torch.compiler.is_compiling():
            return through(list(self.blocks), pair, back)
        for block in reversed(self.blocks) if back else self.blocks:
            pair = block.inverse(pair) if back else block(pair)
        return pair
