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

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmreg_train.layers import downsample, integrate, upsample, warp
from mmreg_train.methods.base import Batch, Output
from mmreg_train.methods.field import IMAGE_TERMS, FieldMethod, Objective
from mmreg_train.methods.llm_morph.backbone import SHAPE, language_layers, merge_lora
from mmreg_train.methods.llm_morph.network import ADAPTERS, DECODER, ENCODER, FlowNetwork


class LlmMorph(FieldMethod):
    """The network with its loss.

    The weights of the language model are parameters without a gradient, stored in checkpoints. If the
    backbone was a folder, ``settings`` are rewritten to "random" with the shape that was read, so that the
    folder is not needed again.

    Args:
        dims: 2 or 3.
        output: "displacement", or "velocity" (a diffeomorphism).
        integration_steps: Squarings of the velocity, at the end and before each warp of features.
        half: Add a step at half resolution, of convolutions only. The published finest field is at 1/4.
        backbone: Source of the language layers: "none" or None omits them and keeps the adapters, "random"
            draws them in the shape of ``backbone_config``, otherwise a folder for ``transformers.AutoModel``,
            such as a causal language model. All except "none" need the packages transformers and peft.
        layers: Layers of the folder to use; the first half is for the first block. For "random" their number.
        backbone_config: Shape of "random" and "none", as in ``config.json`` of transformers with
            ``model_type``; None is ``SHAPE``. A folder has its own.
        origin: Note on the source of the weights of "random", written when a folder was read; no effect.
        causal: A token attends to those before it, as in the language model; otherwise to all.
        lora_rank, lora_alpha: Of LoRA on the query and value maps; rank 0 disables it.
        most_tokens: Longest sequence: twice the voxels at 1/32 of the resolution.
        adapter_width: Of the bottleneck between features and language layers.
        encoder: Channels of the five levels.
        adapters: Channels returned from the language layers at 1/32, 1/16, 1/8 and 1/4, for each image.
        decoder: Channels of the convolutions at these, and at 1/2 with ``half``.
        cost_volumes: Each step of the field also takes matching costs of MIND-SSC at small shifts, see
            ``layers.matching``; the network need not learn how to compare. Not in the publication.
        compare: Grid on which the loss compares images and labels: 1 is the full one, 2 the half one, which
            takes an eighth of the time. ``known`` needs 1.
        coarse: Weight of the image term of every coarser field, on the half grid; unused without image term.
        image, dice, smoothness, dice_labels, known, labels: See ``Objective``.

    Raises:
        ValueError: A setting has an invalid value, or a required package is missing.
    """

    name = "llm_morph"
    factor = 2
    multiple = 32
    flow: FlowNetwork

    def __init__(
        self,
        dims: int = 3,
        output: str = "displacement",
        integration_steps: int = 7,
        half: bool = False,
        backbone: str | None = "random",
        layers: Sequence[int] = (0, 1),
        backbone_config: Mapping[str, Any] | None = None,
        origin: str = "",  # noqa: ARG002 (kept in settings)
        causal: bool = True,
        lora_rank: int = 8,
        lora_alpha: float = 16,
        most_tokens: int = 2048,
        adapter_width: int = 256,
        encoder: Sequence[int] = ENCODER,
        adapters: Sequence[int] = ADAPTERS,
        decoder: Sequence[int] = DECODER,
        cost_volumes: bool = False,
        compare: int = 1,
        coarse: float = 1.0,
        image: str | None = "mind",
        dice: float = 0.0,
        smoothness: float = 1.0,
        dice_labels: Sequence[int] | None = None,
        known: float = 0.0,
        labels: float = 0.0,
    ) -> None:
        super().__init__(dims)
        if output not in ("velocity", "displacement"):
            raise ValueError(f"output must be 'velocity' or 'displacement'; found {output!r}.")
        if not layers or len(layers) % 2:
            raise ValueError(f"layers must be an even number of layers; found {list(layers)}.")
        if lora_rank < 0 or most_tokens < 2 or adapter_width < 1 or coarse < 0:
            raise ValueError(
                "LLM-Morph needs lora_rank and coarse >= 0, most_tokens >= 2 and adapter_width >= 1; "
                f"found {lora_rank}, {coarse}, {most_tokens} and {adapter_width}."
            )
        if compare not in (1, 2) or (compare == 2 and known > 0):
            raise ValueError(
                f"compare must be 1 or 2, and 1 with known > 0; found compare={compare!r}, known={known}."
            )
        self.output_kind = output
        self.integration_steps = integration_steps if output == "velocity" else 0
        self.coarse, self.compare = coarse, compare
        chosen = None if dice_labels is None else tuple(dice_labels)
        self.objective = Objective(image, dice, smoothness, chosen, known, labels)
        self._merged: list[nn.Module] = []
        self.register_load_state_dict_post_hook(_clear_merged)
        shape, language = backbone_config or SHAPE, None
        if backbone not in (None, "none"):
            language = language_layers(backbone, layers, shape, causal, most_tokens, lora_rank, lora_alpha)
            self.resolved = language.resolved
            self.most_voxels = most_tokens // 2 * self.multiple**dims
        width = int(shape["hidden_size"]) if language is None else language.width
        widths = tuple(encoder), tuple(adapters), tuple(decoder)
        steps = self.integration_steps
        self.flow = FlowNetwork(dims, *widths, adapter_width, width, steps, half, cost_volumes)
        if language is not None:
            self.flow.insert(language.blocks, language.positions)

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
