"""LLM-Morph: registration with frozen layers of a language model between convolutional networks.

Tokens of a convolutional pyramid pass through the language layers and return as features, from which a field
is refined from coarse to fine. Ma, Wang, Ning, He, Sebe, Lepri, "Large language models for multimodal
deformable image registration", 2024 (arXiv 2408.10703). The authors published no code; we keep what the
abstract and the feature figure of their repository show: a convolutional encoder of five levels for both
images, two encoding blocks (an adapter, then decoder layers of a language model, frozen, with LoRA), four
more adapters to 1/32, 1/16, 1/8 and 1/4 of the resolution, and a field at each of them.

Our decisions, where the source gives no detail: the tokens of both images are one sequence, moving first, so
that attention can compare them; an adapter into the language model is two linear maps with a bottleneck;
widths; every step predicts an increment of the field in full-grid voxels, so that no grid learns faster than
another; the finest field is interpolated linearly to the half grid, on which the runtime works.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mmreg_train.layers import downsample, integrate, upsample, warp
from mmreg_train.methods.base import Batch, Output
from mmreg_train.methods.field import IMAGE_TERMS, FieldMethod, Objective
from mmreg_train.methods.llm_morph.backbone import LanguageOptions, language_layers, merge_lora
from mmreg_train.methods.llm_morph.network import FlowNetwork, NetworkOptions

LANGUAGE, NETWORK, OBJECTIVE = LanguageOptions(), NetworkOptions(), Objective(image="mind")


class LlmMorph(FieldMethod):
    """The network with its loss.

    The weights of the language model are parameters without a gradient, stored in checkpoints. If the
    backbone was a folder, ``settings`` are rewritten to "random" with the shape that was read, so that the
    folder is not needed again.

    Args:
        dims: 2 or 3.
        output: "displacement", or "velocity" (a diffeomorphism).
        integration_steps: Squarings of the velocity, at the end and before each warp of features.
        compare: Grid on which the loss compares images and labels: 1 is the full one, 2 the half one, which
            takes an eighth of the time. ``known`` needs 1.
        coarse: Weight of the image term of every coarser field, on the half grid; unused without image term.
        language: Source and use of the language layers.
        network: Widths and steps of the network.
        objective: The loss.

    Raises:
        ValueError: A setting has an invalid value, or a required package is missing.
    """

    name = "llm_morph"
    factor = 2
    multiple = 32
    flow: FlowNetwork
    groups = {"language": LANGUAGE, "network": NETWORK, "objective": OBJECTIVE}

    def __init__(
        self,
        dims: int = 3,
        output: str = "displacement",
        integration_steps: int = 7,
        compare: int = 1,
        coarse: float = 1.0,
        language: LanguageOptions = LANGUAGE,
        network: NetworkOptions = NETWORK,
        objective: Objective = OBJECTIVE,
    ) -> None:
        super().__init__(dims)
        if output not in ("velocity", "displacement"):
            raise ValueError(f"output must be 'velocity' or 'displacement'; found {output!r}.")
        if coarse < 0:
            raise ValueError(f"coarse must be 0 or more; found {coarse}.")
        if compare not in (1, 2) or (compare == 2 and objective.known > 0):
            raise ValueError(
                "compare must be 1 or 2, and 1 with known > 0; "
                f"found compare={compare!r}, known={objective.known}."
            )
        self.output_kind = output
        self.integration_steps = integration_steps if output == "velocity" else 0
        self.coarse, self.compare = coarse, compare
        self.objective = objective
        self._merged: list[nn.Module] = []
        self.register_load_state_dict_post_hook(_clear_merged)
        layers = None
        if language.backbone not in (None, "none"):
            layers = language_layers(language)
            self.resolved = layers.resolved
            self.most_voxels = language.most_tokens // 2 * self.multiple**dims
        width = int(language.shape["hidden_size"]) if layers is None else layers.width
        self.flow = FlowNetwork(dims, network, width, self.integration_steps)
        if layers is not None:
            self.flow.insert(layers.blocks, layers.positions)

    def loss(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        """Return the terms of ``Objective`` and ``coarse``, the sum of image terms of the coarser fields."""
        assert isinstance(output.value, Tensor)
        half = _to_half_grid(batch)
        if self.compare == 1:
            terms = super().loss(batch, output)
        else:
            moved = integrate(output.value, self.integration_steps, 2) / 2
            terms = self.objective(half, moved, output.value, self.factor)
        if self.flow.coarser and self.coarse > 0 and self.objective.image is not None:
            terms["coarse"] = self._coarser_terms(half, IMAGE_TERMS[self.objective.image])
            terms["total"] = terms["total"] + self.coarse * terms["coarse"]
        return terms

    def _coarser_terms(self, half: Batch, image_term: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        terms = []
        for field, spacing in self.flow.coarser:
            moved = upsample(integrate(field, self.integration_steps, spacing), spacing // 2)
            terms.append(image_term(half.fixed, warp(half.moving, moved / 2)))
        return torch.stack(terms).sum()

    def network(self) -> nn.Module:
        """Return the network; in evaluation mode a copy with LoRA merged, until the mode changes."""
        if self.training:
            return self.flow
        if not self._merged:
            self._merged.append(merge_lora(self.flow))
        return self._merged[0]

    def train(self, mode: bool = True) -> LlmMorph:
        self._merged.clear()
        super().train(mode)
        return self


def _to_half_grid(batch: Batch) -> Batch:
    """Return the pair on the half grid: means of images, every second label."""
    every_second = (slice(None), *(slice(None, None, 2),) * (batch.fixed.dim() - 2))
    labels = (
        None if label is None else label[every_second] for label in (batch.fixed_label, batch.moving_label)
    )
    return Batch(downsample(batch.fixed, 2), downsample(batch.moving, 2), *labels)


def _clear_merged(method: LlmMorph, _keys: object) -> None:
    method._merged.clear()
