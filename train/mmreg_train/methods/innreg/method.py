"""INNReg: registration of two modalities trained with an invertible translation between them.

Guo et al., "Unsupervised multi-modal medical image registration via invertible translation", ECCV 2024. A
registration network takes the pair and outputs a velocity. Its targets come from an invertible network: the
translated and then warped moving image should equal the fixed one, and the fixed image translated back should
equal the warped moving one. One set of weights translates both ways, so each direction trains the other. At
run time only the registration network is needed.

Differences from the published code:

- Images are in [0, 1]; the published mutual information discarded everything below the middle of [-1, 1].
- The information of the barrier is normalised, and both readings of the barrier are available (``barrier``).
- The cycle term ``|x - T^-1(T(x))|`` is 0 except for rounding: a weight, 0 by default.
- The velocity on the half grid is a mean over cells and keeps its border value, as in this library.
- 3-D is the extension left open by the authors; so is the memory-saving gradient (``reversible``).
- Weights of the terms, and the start of alternating training, are not published: the defaults are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class TranslatorOptions:
    """Size of the translator.

    Attributes:
        subnetwork: Of its couplings: "dense", "depthwise" or "dense-depthwise".
        blocks, width, kernel: See ``Translator`` and ``subnetwork``.
        reversible: Recompute the activations for the gradient instead of storing them.
    """

    subnetwork: str = "dense-depthwise"
    blocks: int = 8
    width: int = 32
    kernel: int = 7
    reversible: bool = True

    def __post_init__(self) -> None:
        if self.subnetwork not in SUBNETWORKS:
            raise ValueError(
                f"subnetwork must be one of {', '.join(SUBNETWORKS)}; found {self.subnetwork!r}."
            )
        if self.blocks < 1 or self.width < 2 or self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(
                "INNReg needs blocks >= 1, width >= 2 and an odd kernel; "
                f"found {self.blocks}, {self.width} and {self.kernel}."
            )


@dataclass(frozen=True)
class RegistrationOptions:
    """Input and widths of the registration network.

    Attributes:
        sees: Its input: "original", as published, or "translated": the moving image as the fixed modality.
            The exported network then begins with the translator.
        encoder, decoder: Its widths.
        cost_volumes: 0 is the published network. Otherwise the number of grids of cost volumes that replace
            the pair as the input, see ``MatchingNetwork``: another network, which needs a tenth of the steps.
    """

    sees: str = "original"
    encoder: Sequence[int] = ENCODER
    decoder: Sequence[int] = DECODER
    cost_volumes: int = 0

    def __post_init__(self) -> None:
        if self.sees not in SEES:
            raise ValueError(f"sees must be one of {', '.join(SEES)}; found {self.sees!r}.")
        if not 0 <= self.cost_volumes <= len(self.encoder):
            raise ValueError(
                f"cost_volumes must be 0 to {len(self.encoder)}, the levels of the encoder; "
                f"found {self.cost_volumes!r}."
            )


@dataclass(frozen=True)
class LossOptions:
    """Terms and weights of the loss.

    Attributes:
        translation: Weight of both terms of translated images.
        inverse: Weight of the same two terms on the moving grid, by the inverse deformation; 0 as published.
        cycle: Weight of the cycle term of the module docstring.
        barrier: Weight of the barrier on the mutual information of the fixed and the warped moving image.
        reading, barrier_level: See ``barrier``.
        bins: Of the mutual information.
        smoothness: Weight of the squared gradient of the displacement, in voxels per voxel.
    """

    translation: float = 1.0
    inverse: float = 0.0
    cycle: float = 0.0
    barrier: float = 0.5
    reading: str = "offset"
    barrier_level: float = 1.1
    bins: int = 21
    smoothness: float = 0.2

    def __post_init__(self) -> None:
        if reason := level_refused(self.reading, self.barrier_level):
            raise ValueError(f"The barrier of INNReg: {reason}")
        if self.bins < 2:
            raise ValueError(f"bins must be 2 or more; found {self.bins}.")


@dataclass(frozen=True)
class TurnOptions:
    """Which network is trained when.

    Attributes:
        translator_first: Initial steps that train only the translator; with an untrained translator the
            registration network learns to shrink whatever is too bright.
        alternate_after: Step from which the networks are trained in turns; before, both are trained. None:
            never.
        turns: Steps of a turn of the translator, which is first, and of the registration network.
    """

    translator_first: int = 0
    alternate_after: int | None = None
    turns: Sequence[int] = (1, 1)

    def __post_init__(self) -> None:
        if len(self.turns) != 2 or min(self.turns) < 1:
            raise ValueError(f"INNReg needs both turns >= 1; found {tuple(self.turns)}.")


TRANSLATOR, REGISTRATION = TranslatorOptions(), RegistrationOptions()
LOSS, TURNS = LossOptions(), TurnOptions()


class InnReg(Method):
    """The registration network and the translator, with their common loss.

    Args:
        dims: 2 or 3.
        integration_steps: Squarings of the velocity.
        translator: Size of the translator.
        registration: Input and widths of the registration network.
        terms: Terms and weights of the loss.
        schedule: Which network is trained when.

    Raises:
        ValueError: A setting has an invalid value.
    """

    name = "innreg"
    output_kind = "velocity"
    factor = 2
    groups = {"translator": TRANSLATOR, "registration": REGISTRATION, "terms": LOSS, "schedule": TURNS}

    def __init__(
        self,
        dims: int = 2,
        integration_steps: int = 7,
        translator: TranslatorOptions = TRANSLATOR,
        registration: RegistrationOptions = REGISTRATION,
        terms: LossOptions = LOSS,
        schedule: TurnOptions = TURNS,
    ) -> None:
        super().__init__(dims)
        self.sees, self.integration_steps = registration.sees, integration_steps
        self.terms, self.schedule = terms, schedule
        self.translator = Translator(
            dims,
            translator.blocks,
            translator.subnetwork,
            translator.width,
            translator.kernel,
            translator.reversible,
        )
        encoder, decoder = tuple(registration.encoder), tuple(registration.decoder)
        if registration.cost_volumes:
            self.registration: nn.Module = MatchingNetwork(dims, encoder, decoder, registration.cost_volumes)
        else:
            self.registration = StridedNetwork(dims, encoder, decoder)
        self.multiple = 2 ** (len(encoder) + (registration.cost_volumes > 0))

    def on_step_begin(self, step: int) -> None:
        """Enable the gradients of both networks, or of the one whose turn it is."""
        after, turns, turn = self.schedule.alternate_after, self.schedule.turns, None
        if step < self.schedule.translator_first:
            turn = 0
        elif after is not None and step >= after:
            turn = int((step - after) % sum(turns) >= turns[0])
        self.translator.requires_grad_(turn != 1)
        self.registration.requires_grad_(turn != 0)

    def forward(self, fixed: Tensor, moving: Tensor) -> Output:
        return Output("velocity", self.network()(fixed, moving))

    def loss(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        """Return the losses of both translated images, the barrier, the smoothness, and optional terms.

        Also ``information`` (not a term): the normalised mutual information after the warp.
        """
        displacement = self.displacement(output)
        as_fixed, as_moving = self.translator(batch.moving), self.translator(batch.fixed, back=True)
        warped = warp(batch.moving, displacement)
        terms = {
            "to_fixed": _distance(warp(as_fixed, displacement), batch.fixed),
            "to_moving": _distance(as_moving, warped),
            "smoothness": squared_gradient(displacement),
        }
        options = self.terms
        weights = {
            "to_fixed": options.translation,
            "to_moving": options.translation,
            "smoothness": options.smoothness,
        }
        if options.inverse > 0:
            terms["inverse"] = self._inverse_terms(batch, output, as_fixed, as_moving)
            weights["inverse"] = options.inverse
        if options.cycle > 0:
            terms["cycle"], weights["cycle"] = self._cycle(batch), options.cycle
        information = normalised_mutual_information(batch.fixed, warped, options.bins)
        if options.barrier > 0:
            terms["barrier"] = barrier(information, options.reading, options.barrier_level)
            weights["barrier"] = options.barrier
        total = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        return {**terms, "information": information.detach(), "total": total}

    def network(self) -> nn.Module:
        if self.sees == "original":
            return self.registration
        return SeesTranslated(self.translator, self.registration)

    def compilable_module(self, _: str) -> nn.Module:
        return self.registration

    def inverse_displacement(self, output: Output) -> Tensor:
        """Return the inverse, from moving to fixed: ``(B, dims, ...)`` in voxels, on the moving grid."""
        assert isinstance(output.value, Tensor)
        return upsample(integrate(-output.value, self.integration_steps, self.factor), self.factor)

    def _inverse_terms(self, batch: Batch, output: Output, as_fixed: Tensor, as_moving: Tensor) -> Tensor:
        inverse = self.inverse_displacement(output)
        warped_fixed, warped_as_moving = warp(batch.fixed, inverse), warp(as_moving, inverse)
        return _distance(warped_fixed, as_fixed) + _distance(warped_as_moving, batch.moving)

    def _cycle(self, batch: Batch) -> Tensor:
        """Return ``|x - T^-1(T(x))|`` of the moving image plus ``|x - T(T^-1(x))|`` of the fixed one."""
        distances = []
        for image, back in ((batch.moving, False), (batch.fixed, True)):
            translated = self.translator.channels((image, image), back)
            restored = self.translator.channels(translated, not back)
            distances += [_distance(channel, image) for channel in restored]
        return torch.stack(distances).sum() / 2


class SeesTranslated(nn.Module):
    """The registration network on the fixed and the translated moving image."""

    def __init__(self, translator: Translator, registration: nn.Module) -> None:
        super().__init__()
        self.translator, self.registration = translator, registration

    def forward(self, fixed: Tensor, moving: Tensor) -> Tensor:
        """Return the velocity."""
        velocity: Tensor = self.registration(fixed, self.translator(moving))
        return velocity


def _distance(one: Tensor, other: Tensor) -> Tensor:
    """Return the mean absolute difference."""
    return (one - other).abs().mean()
