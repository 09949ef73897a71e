"""Layers of language models, frozen, with LoRA: from a folder, or drawn in the same shape.

What the layers compute is left to the library transformers, LoRA to peft; both are imported when layers are
asked for. LoRA: Hu et al., "LoRA: low-rank adaptation of large language models", ICLR 2022; rotary positions:
Su et al., "RoFormer", 2021. Layers of bidirectional encoders in the manner of BERT fit as well; their
positions are learned embeddings, which stay behind with the words, so a token knows its place by what the
convolutions say alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

Seen = dict[str, Any]  # keyword arguments of a language layer: who sees whom, and where everybody is

# of the byte-level language model that this repository trains
SHAPE: Mapping[str, Any] = {
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 688,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
}
# what a configuration says of words, files and versions; layers do not depend on it
_NOT_OF_LAYERS = (
    "architectures",
    "bos_token_id",
    "dtype",
    "eos_token_id",
    "pad_token_id",
    "tie_word_embeddings",
)
_NO_DROPOUT = ("attention_dropout", "hidden_dropout_prob", "attention_probs_dropout_prob")


@dataclass(frozen=True)
class Language:
    """Layers for the two blocks.

    Attributes:
        blocks: Two lists of modules.
        positions: What their layers are called with.
        width: Of a token.
        resolved: Settings that make the same layers without the folder, up to their weights; empty if there
            was none.
    """

    blocks: list[nn.ModuleList]
    positions: Positions
    width: int
    resolved: dict[str, Any]


class Positions(nn.Module):
    """Rotary tables and the causal mask, for any number of tokens up to that of the tables.

    The tables are constants of an exported network, and are cut to the tokens that there are.
    """

    cos: Tensor  # (1, most_tokens, width of a head)
    sin: Tensor

    def __init__(self, rotary: nn.Module | None, most_tokens: int, causal: bool) -> None:
        super().__init__()
        self.most_tokens, self.causal, self.rotary = most_tokens, causal, rotary is not None
        places = torch.arange(most_tokens)[None]
        tables = (torch.empty(0),) * 2 if rotary is None else rotary(torch.empty(1), places)
        for name, table in zip(("cos", "sin"), tables, strict=True):
            self.register_buffer(name, table, persistent=False)

    def forward(self, tokens: int) -> Seen:
        """Arguments of the layers for a sequence of this length.

        Raises:
            ValueError: It is longer than the tables.
        """
        if not torch.compiler.is_compiling() and tokens > self.most_tokens:
            raise ValueError(
                f"Two images of this size are {tokens} tokens; most_tokens is {self.most_tokens}. Raise it, "
                "or use a coarser spacing."
            )
        places = torch.arange(tokens, device=self.cos.device)
        mask = (places[:, None] >= places)[None, None] if self.causal else None
        seen: Seen = {"attention_mask": mask}
        if self.rotary:
            tables = self.cos, self.sin
            seen["position_embeddings"] = tuple(table.index_select(1, places) for table in tables)
        return seen


def language_layers(
    backbone: str,
    layers: Sequence[int],
    shape: Mapping[str, Any],
    causal: bool,
    most_tokens: int,
    lora_rank: int,
    lora_alpha: float,
) -> Language:
    """The layers as ``LlmMorph`` describes them. torch's generator is left as it was.

    Raises:
        ValueError: A package, the folder or one of the layers is not there, or they cannot be used.
    """
    _refuse_missing_packages()
    with torch.random.fork_rng(devices=[]):
        resolved: dict[str, Any] = {}
        kept: Sequence[int] = range(len(layers))
        with torch.random.fork_rng(devices=[]):  # LoRA starts the same, whatever the layers are
            if backbone == "random":
                model = _drawn(shape, len(layers))
            else:
                model, kept = _read(Path(backbone), layers), layers
        own = nn.ModuleList(deepcopy(_layers_of(model)[index]) for index in kept)
        if backbone != "random":
            origin = f"{Path(backbone).name}, layers {list(layers)}, sha256 {_digest(own)}"
            resolved = {
                "backbone": "random",
                "backbone_config": _plain(model.config, len(layers)),
                "layers": list(range(len(layers))),
                "origin": origin,
            }
        own.requires_grad_(False)
        if lora_rank > 0:
            _add_lora(own, lora_rank, lora_alpha)
    for module in own.modules():
        if hasattr(module, "is_causal"):
            module.is_causal = False  # without a mask all see all
    rotary = getattr(model.base_model, "rotary_emb", None)
    middle = len(own) // 2
    halves = [nn.ModuleList(own[:middle]), nn.ModuleList(own[middle:])]
    width = int(model.config.hidden_size)
    return Language(halves, Positions(rotary, most_tokens, causal), width, resolved)


def shape_of(folder: Path, layers: int) -> dict[str, Any]:
    """``backbone_config`` of as many layers of the language model in a folder."""
    from transformers import AutoConfig

    return _plain(AutoConfig.from_pretrained(folder, local_files_only=True), layers)


def merged(network: nn.Module) -> nn.Module:
    """A copy in which LoRA is part of the weights that it changes."""
    lora = [name for name, module in network.named_modules() if hasattr(module, "lora_A")]
    copy = deepcopy(network)
    for name in lora:
        layer: Any = copy.get_submodule(name)
        layer.merge()
        copy.set_submodule(name, layer.get_base_layer())
    return copy


def _drawn(shape: Mapping[str, Any], layers: int) -> Any:
    from transformers import AutoConfig, AutoModel

    words = {"vocab_size": 1, "bos_token_id": None, "eos_token_id": None}  # none are needed
    given = {**shape, "num_hidden_layers": layers, **words}
    kind = given.pop("model_type", None)
    if kind is None:
        raise ValueError(f"backbone_config needs a model_type, such as 'llama'; found {dict(shape)}.")
    config = AutoConfig.for_model(kind, **given)
    return AutoModel.from_config(_without_dropout(config), attn_implementation="sdpa")


def _read(folder: Path, layers: Sequence[int]) -> Any:
    from transformers import AutoConfig, AutoModel

    if not (folder / "config.json").is_file():
        raise ValueError(
            f"The backbone is 'none', 'random' or a folder of a language model with a config.json; found "
            f"{str(folder)!r}."
        )
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    count = int(config.num_hidden_layers)
    if min(layers) < 0 or max(layers) >= count:
        raise ValueError(f"{folder.name} has the layers 0 to {count - 1}; found layers={list(layers)}.")
    return AutoModel.from_pretrained(
        folder,
        config=_without_dropout(config),
        local_files_only=True,
        dtype=torch.float32,
        attn_implementation="sdpa",
    )


def _without_dropout(config: Any) -> Any:
    """Frozen layers are the same in training and after it."""
    for name in _NO_DROPOUT:
        if hasattr(config, name):
            setattr(config, name, 0.0)
    return config


def _layers_of(model: Any) -> nn.ModuleList:
    base = model.base_model
    found = getattr(base, "layers", getattr(getattr(base, "encoder", None), "layer", None))
    if not isinstance(found, nn.ModuleList):
        raise ValueError(
            f"Layers are looked for where Llama and BERT have them; a model of type "
            f"{model.config.model_type!r} has none there."
        )
    return found


def _add_lora(layers: nn.ModuleList, rank: int, alpha: float) -> None:
    """LoRA on the maps to queries and values, in place; nothing else takes a gradient."""
    from peft import LoraConfig, inject_adapter_in_model

    names = {name.rpartition(".")[2] for name, _ in layers.named_modules()}
    targets = next((pair for pair in (("q_proj", "v_proj"), ("query", "value")) if names >= set(pair)), None)
    if targets is None:
        raise ValueError(
            "LoRA needs layers with maps to queries and to values; these have them under no known name. Set "
            "lora_rank=0."
        )
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(targets)), layers)


def _plain(config: Any, layers: int) -> dict[str, Any]:
    """What the shape of layers depends on, as plain values."""
    given = config.to_diff_dict()
    left_out = (*_NOT_OF_LAYERS, "transformers_version", "vocab_size", "_name_or_path")
    plain = {name: value for name, value in given.items() if name not in left_out and value is not None}
    return {**plain, "model_type": config.model_type, "hidden_size": config.hidden_size} | {
        "num_hidden_layers": layers
    }


def _digest(layers: nn.ModuleList) -> str:
    digest = hashlib.sha256()
    for _, weights in sorted(layers.state_dict().items()):
        digest.update(weights.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _refuse_missing_packages() -> None:
    try:
        import peft  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as reason:
        raise ValueError(
            f"Layers of language models need the packages transformers and peft: {reason}. Install them with "
            "pip install 'mmreg-rt[llm]', or take backbone = 'none'."
        ) from reason
