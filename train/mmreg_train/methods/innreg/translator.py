"""An invertible network that translates intensities between two modalities.

Two channels pass through blocks of an invertible 1 x 1 convolution and an affine coupling, each of which has
an inverse in closed form. Therefore one set of weights translates both ways, and training needs no memory for
activations between the blocks (``reversible``). Invertible 1 x 1 convolutions: Kingma and Dhariwal, "Glow",
NeurIPS 2018; affine couplings: Dinh et al., "Density estimation using Real NVP", ICLR 2017.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmreg_train.methods.innreg.block import Block, Pair
from mmreg_train.methods.innreg.reversible import run_reversibly


class Translator(nn.Module):
    """A network that translates images of one modality to another, and back.

    Args:
        dims: 2 or 3.
        blocks: Number of blocks, each a mixing and a coupling.
        subnetwork: Of the couplings, a name of ``SUBNETWORKS``.
        width, kernel: See ``subnetwork``.
        reversible: Store only the result for the gradient, and recompute the rest from it.
    """

    def __init__(
        self, dims: int, blocks: int, subnetwork: str, width: int, kernel: int, reversible: bool
    ) -> None:
        super().__init__()
        self.reversible = reversible
        self.blocks = nn.ModuleList(Block(dims, subnetwork, width, kernel) for _ in range(blocks))

    def forward(self, image: Tensor, back: bool = False) -> Tensor:
        """Translate an image (B, 1, ...): the second channel of the result for the image in both channels.

        Args:
            image: ``(B, 1, ...)`` of the moving modality; with ``back`` of the fixed one.
            back: Translate from the fixed modality to the moving one.
        """
        return self.channels((image, image), back)[1]

    def channels(self, pair: Pair, back: bool = False) -> Pair:
        """Return both channels; ``back`` computes the exact inverse."""
        if self.reversible and torch.is_grad_enabled() and not torch.compiler.is_compiling():
            return run_reversibly(list(self.blocks), pair, back)
        for block in reversed(self.blocks) if back else self.blocks:
            pair = block.inverse(pair) if back else block(pair)
        return pair
