"""INNReg: registration of two modalities by an invertible translation between them.

Guo et al., "Unsupervised multi-modal medical image registration via invertible translation", ECCV 2024. A
registration network looks at the pair as it is and gives a velocity. What it learns from is made by an
invertible network: the moving image translated and then warped shall be the fixed one, and the fixed image
translated back shall be the moving one warped. One set of weights translates both ways, so what it learns of
one direction holds for the other. Served, the registration network is enough.

What differs from the published code, and why:

- Images are in [0, 1], where its mutual information cut away all that lay below the middle of [-1, 1].
- The information of the barrier is normalised, and both readings of the barrier are there (``barrier``).
- The cycle term ``|x - T^-1(T(x))|`` is 0 but for rounding and teaches nothing: a weight, 0 unless asked for.
- The velocity on the half grid is a mean over cells, and continues its border value: this house's rule.
- 3-D is the extension that the authors left open; so is the memory-saving gradient (``reversible``).
- Weights of the terms, and when the training begins to alternate, are not published: the defaults are ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmreg_train.layers import integrate, upsample, warp
from mmreg_train.layers.matching import MatchingNetwork
from mmreg_train.losses.image import normalised_mutual_information, squared_gradient
from mmreg_train.methods.base import Batch, Method, Output
from mmreg_train.methods.innreg.barrier import barrier, level_refused
from mmreg_train.methods.innreg.registration import DECODER, ENCODER, StridedNetwork
from mmreg_train.methods.innreg.subnetworks import SUBNETWORKS
from mmreg_train.methods.innreg.translator import Translator

SEES = ("original", "translated")


class InnReg(Method):
    """The registration network and the translator, with the loss that both learn from.

    Args:
        dims: 2 or 3.
        sees: The pair that the registration network looks at: "original", as published, or "translated": the
            moving image as the fixed modality. The exported network then begins with the translator.
        subnetwork: Of the translator's couplings: "dense", "depthwise" or "dense-depthwise".
        blocks, width, kernel: See ``Translator`` and ``subnetwork``.
        reversible: Compute what the translator's gradient needs again, instead of keeping it.
        encoder, decoder: Widths of the registration network.
        cost_volumes: 0: it is the published one. Else the number of grids on which it sees cost volumes of
            the pair instead, see ``MatchingNetwork``: another network, which learns in a tenth of the steps.
        integration_steps: Squarings of the velocity.
        translation: Weight of both terms of translated images.
        inverse: Weight of the same two terms on the moving grid, by the inverse deformation; 0 as published.
        cycle: Weight of the vacuous term above.
        barrier: Weight of the barrier on the mutual information of the fixed and the warped moving image.
        reading, barrier_level: See ``barrier``.
        bins: Of the mutual information.
        smoothness: Weight of the squared gradient of the displacement, in voxels per voxel.
        translator_first: Steps in which the translator alone learns; a registration network that is taught
            by a translator that knows nothing yet learns to shrink what is too bright.
        alternate_after: The step from which the networks take turns; before, both learn. None: never.
        turns: Steps of a turn of the translator, which has the first, and of one of the registration.

    Raises:
        ValueError: A setting has a value that is not among the above.
    """

    name = "innreg"
    output_kind = "velocity"
    factor = 2

    def __init__(
        self,
        dims: int = 2,
        sees: str = "original",
        subnetwork: str = "dense-depthwise",
        blocks: int = 8,
        width: int = 32,
        kernel: int = 7,
        reversible: bool = True,
        encoder: Sequence[int] = ENCODER,
        decoder: Sequence[int] = DECODER,
        cost_volumes: int = 0,
        integration_steps: int = 7,
        translation: float = 1.0,
        inverse: float = 0.0,
        cycle: float = 0.0,
        barrier: float = 0.5,
        reading: str = "offset",
        barrier_level: float = 1.1,
        bins: int = 21,
        smoothness: float = 0.2,
        translator_first: int = 0,
        alternate_after: int | None = None,
        turns: Sequence[int] = (1, 1),
    ) -> None:
        super().__init__(dims)
        _check(sees, subnetwork, level_refused(reading, barrier_level))
        low = {
            "blocks": blocks,
            "turns": min(turns, default=0) if len(turns) == 2 else 0,
            "width - 1": width - 1,
            "bins - 1": bins - 1,
        }
        if any(value < 1 for value in low.values()) or kernel < 1 or kernel % 2 == 0:
            raise ValueError(
                "INNReg needs blocks and both turns >= 1, width and bins >= 2 and an odd kernel; found "
                f"{blocks}, {tuple(turns)}, {width}, {bins} and {kernel}."
            )
        if not 0 <= cost_volumes <= len(encoder):
            raise ValueError(
                f"cost_volumes counts grids, from 0 to the {len(encoder)} of the encoder; "
                f"found {cost_volumes!r}."
            )
        self.sees, self.integration_steps = sees, integration_steps
        self.translation, self.inverse_weight, self.cycle = translation, inverse, cycle
        self.barrier, self.reading, self.barrier_level = barrier, reading, barrier_level
        self.bins, self.smoothness = bins, smoothness
        self.translator_first = translator_first
        self.alternate_after, self.turns = alternate_after, tuple(turns)
        self.translator = Translator(dims, blocks, subnetwork, width, kernel, reversible)
        if cost_volumes:
            widths = tuple(encoder), tuple(decoder)
            self.registration: nn.Module = MatchingNetwork(dims, *widths, cost_volumes)
        else:
            self.registration = StridedNetwork(dims, encoder, decoder)
        self.multiple = 2 ** (len(encoder) + (cost_volumes > 0))

    def begin(self, step: int) -> None:
        """Both networks learn, or the one whose turn it is."""
        after, turn = self.alternate_after, None
        if step < self.translator_first:
            turn = 0
        elif after is not None and step >= after:
            turn = int((step - after) % sum(self.turns) >= self.turns[0])
        self.translator.requires_grad_(turn != 1)
        self.registration.requires_grad_(turn != 0)

    def forward(self, fixed: Tensor, moving: Tensor) -> Output:
        return Output("velocity", self.network()(fixed, moving))

    def loss(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        """``to_fixed`` and ``to_moving`` (of translated images), ``barrier``, ``smoothness``, what is asked
        for, and ``information`` (not a term): the normalised mutual information after the warp.
        """
        displacement = self.displacement(output)
        as_fixed, as_moving = self.translator(batch.moving), self.translator(batch.fixed, back=True)
        warped = warp(batch.moving, displacement)
        terms = {
            "to_fixed": _distance(warp(as_fixed, displacement), batch.fixed),
            "to_moving": _distance(as_moving, warped),
            "smoothness": squared_gradient(displacement),
        }
        weights = {"to_fixed": self.translation, "to_moving": self.translation, "smoothness": self.smoothness}
        if self.inverse_weight > 0:
            terms["inverse"] = self._inverse_terms(batch, output, as_fixed, as_moving)
            weights["inverse"] = self.inverse_weight
        if self.cycle > 0:
            terms["cycle"], weights["cycle"] = self._cycle(batch), self.cycle
        information = normalised_mutual_information(batch.fixed, warped, self.bins)
        if self.barrier > 0:
            terms["barrier"] = barrier(information, self.reading, self.barrier_level)
            weights["barrier"] = self.barrier
        total = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        return {**terms, "information": information.detach(), "total": total}

    def network(self) -> nn.Module:
        if self.sees == "original":
            return self.registration
        return SeesTranslated(self.translator, self.registration)

    def compiled(self, _: str) -> nn.Module:
        return self.registration

    def inverse_displacement(self, output: Output) -> Tensor:
        """The way back, of moving points to fixed ones: ``(B, dims, ...)`` in voxels, on the moving grid."""
        assert isinstance(output.value, Tensor)
        return upsample(integrate(-output.value, self.integration_steps, self.factor), self.factor)

    def _inverse_terms(self, batch: Batch, output: Output, as_fixed: Tensor, as_moving: Tensor) -> Tensor:
        way_back = self.inverse_displacement(output)
        fixed_there, as_moving_there = warp(batch.fixed, way_back), warp(as_moving, way_back)
        return _distance(fixed_there, as_fixed) + _distance(as_moving_there, batch.moving)

    def _cycle(self, batch: Batch) -> Tensor:
        """``|x - T^-1(T(x))|`` of the moving image and ``|x - T(T^-1(x))|`` of the fixed one."""
        found = []
        for image, back in ((batch.moving, False), (batch.fixed, True)):
            there = self.translator.channels((image, image), back)
            again = self.translator.channels(there, not back)
            found += [_distance(channel, image) for channel in again]
        return torch.stack(found).sum() / 2


class SeesTranslated(nn.Module):
    """The registration network, with the moving image translated before it."""

    def __init__(self, translator: Translator, registration: nn.Module) -> None:
        super().__init__()
        self.translator, self.registration = translator, registration

    def forward(self, fixed: Tensor, moving: Tensor) -> Tensor:
        """The velocity of the registration network."""
        found: Tensor = self.registration(fixed, self.translator(moving))
        return found


def _distance(one: Tensor, other: Tensor) -> Tensor:
    """Mean absolute difference."""
    return (one - other).abs().mean()


def _check(sees: str, subnetwork: str, level: str) -> None:
    if sees not in SEES:
        raise ValueError(f"The registration network of INNReg sees one of {', '.join(SEES)}; found {sees!r}.")
    if subnetwork not in SUBNETWORKS:
        raise ValueError(
            f"The translator's sub-networks are one of {', '.join(SUBNETWORKS)}; found {subnetwork!r}."
        )
    if level:
        raise ValueError(f"The barrier of INNReg: {level}")
