"""Frozen layers of language models with LoRA, from a folder or drawn in the same shape.

The layers are those of the library transformers, LoRA is that of peft; both are imported only when layers are
created. LoRA: Hu et al., "LoRA: low-rank adaptation of large language models", ICLR 2022; rotary positions:
Su et al., "RoFormer", 2021. Layers of bidirectional encoders such as BERT are also supported; their positions
are learned embeddings, which are dropped with the word embeddings, so a token gets its position from the
convolutions only.
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

LayerInputs = dict[str, Any]  # keyword arguments of a language layer: mask and positions

# shape of the byte-level language model that this repository trains
SHAPE: Mapping[str, Any] = {
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 688,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
}
# entries of a configuration about words, files and versions, on which layers do not depend
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
class LanguageOptions:
    """Source and use of the language layers.

    Attributes:
        backbone: "none" or None omits the layers and keeps the adapters, "random" draws them in the shape of
            ``backbone_config``, otherwise a folder for ``transformers.AutoModel``, such as a causal language
            model. All except "none" need the packages transformers and peft.
        layers: Layers of the folder to use; the first half is for the first block. For "random" their number.
        backbone_config: Shape of "random" and "none", as in ``config.json`` of transformers with
            ``model_type``; None is ``SHAPE``. A folder has its own.
        origin: Note on the source of the weights of "random", written when a folder was read; no effect.
        causal: A token attends to those before it, as in the language model; otherwise to all.
        lora_rank, lora_alpha: Of LoRA on the query and value maps; rank 0 disables it.
        most_tokens: Longest sequence: twice the voxels at 1/32 of the resolution.
    """

    backbone: str | None = "random"
    layers: Sequence[int] = (0, 1)
    backbone_config: Mapping[str, Any] | None = None
    origin: str = ""
    causal: bool = True
    lora_rank: int = 8
    lora_alpha: float = 16
    most_tokens: int = 2048

    def __post_init__(self) -> None:
        if not self.layers or len(self.layers) % 2:
            raise ValueError(f"layers must be an even number of layers; found {list(self.layers)}.")
        if self.lora_rank < 0 or self.most_tokens < 2:
            raise ValueError(
                "LLM-Morph needs lora_rank >= 0 and most_tokens >= 2; "
                f"found {self.lora_rank} and {self.most_tokens}."
            )

    @property
    def shape(self) -> Mapping[str, Any]:
        """Configuration of "random" layers."""
        return self.backbone_config or SHAPE


@dataclass(frozen=True)
class Language:
    """Language layers for the two blocks.

    Attributes:
        blocks: Two lists of modules.
        positions: Computes the arguments of the layers.
        width: Of a token.
        resolved: Settings that create the same layers without the folder, up to their weights; empty if there
            was none.
    """

    blocks: list[nn.ModuleList]
    positions: Positions
    width: int
    resolved: dict[str, Any]


class Positions(nn.Module):
    """Rotary tables and the causal mask, for up to ``most_tokens`` tokens.

    The tables are constants of an exported network and are cut to the number of tokens.
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

    def forward(self, tokens: int) -> LayerInputs:
        """Return the arguments of the layers for a sequence of this length.

        Raises:
            ValueError: It is longer than the tables.
        """
        if not torch.compiler.is_compiling() and tokens > self.most_tokens:
            raise ValueError(
                f"Two images of this size have {tokens} tokens; most_tokens is {self.most_tokens}. Increase "
                "it, or use a coarser spacing."
            )
        places = torch.arange(tokens, device=self.cos.device)
        mask = (places[:, None] >= places)[None, None] if self.causal else None
        inputs: LayerInputs = {"attention_mask": mask}
        if self.rotary:
            tables = self.cos, self.sin
            inputs["position_embeddings"] = tuple(table.index_select(1, places) for table in tables)
        return inputs


def language_layers(options: LanguageOptions) -> Language:
    """Create language layers, without advancing torch's generator.

    Raises:
        ValueError: A package, the folder or a layer is missing, or cannot be used.
    """
    _refuse_missing_packages()
    backbone, layers = options.backbone, options.layers
    assert backbone is not None
    with torch.random.fork_rng(devices=[]):
        resolved: dict[str, Any] = {}
        kept: Sequence[int] = range(len(layers))
        with torch.random.fork_rng(devices=[]):  # the initial LoRA does not depend on the layers
            if backbone == "random":
                model = _random_model(options.shape, len(layers))
            else:
                model, kept = _read_model(Path(backbone), layers), layers
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
        if options.lora_rank > 0:
            _add_lora(own, options.lora_rank, options.lora_alpha)
    for module in own.modules():
        if hasattr(module, "is_causal"):
            module.is_causal = False  # without a mask all tokens attend to all
    rotary = getattr(model.base_model, "rotary_emb", None)
    middle = len(own) // 2
    halves = [nn.ModuleList(own[:middle]), nn.ModuleList(own[middle:])]
    width = int(model.config.hidden_size)
    return Language(halves, Positions(rotary, options.most_tokens, options.causal), width, resolved)


def shape_of(folder: Path, layers: int) -> dict[str, Any]:
    """Return ``backbone_config`` for a number of layers of the language model in a folder."""
    from transformers import AutoConfig

    return _plain(AutoConfig.from_pretrained(folder, local_files_only=True), layers)


def merge_lora(network: nn.Module) -> nn.Module:
    """Return a copy with LoRA merged into the weights that it changes."""
    lora = [name for name, module in network.named_modules() if hasattr(module, "lora_A")]
    copy = deepcopy(network)
    for name in lora:
        layer: Any = copy.get_submodule(name)
        layer.merge()
        copy.set_submodule(name, layer.get_base_layer())
    return copy


def _random_model(shape: Mapping[str, Any], layers: int) -> Any:
    from transformers import AutoConfig, AutoModel

    words = {"vocab_size": 1, "bos_token_id": None, "eos_token_id": None}  # none are needed
    options = {**shape, "num_hidden_layers": layers, **words}
    kind = options.pop("model_type", None)
    if kind is None:
        raise ValueError(f"backbone_config needs a model_type, such as 'llama'; found {dict(shape)}.")
    config = AutoConfig.for_model(kind, **options)
    return AutoModel.from_config(_without_dropout(config), attn_implementation="sdpa")


def _read_model(folder: Path, layers: Sequence[int]) -> Any:
    from transformers import AutoConfig, AutoModel

    if not (folder / "config.json").is_file():
        raise ValueError(
            "backbone must be 'none', 'random' or a folder of a language model with a config.json; found "
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
    """Disable dropout: frozen layers are the same in training and evaluation."""
    for name in _NO_DROPOUT:
        if hasattr(config, name):
            setattr(config, name, 0.0)
    return config


def _layers_of(model: Any) -> nn.ModuleList:
    base = model.base_model
    layers = getattr(base, "layers", getattr(getattr(base, "encoder", None), "layer", None))
    if not isinstance(layers, nn.ModuleList):
        raise ValueError(
            f"A model of type {model.config.model_type!r} is not supported: its layers must be where those "
            "of Llama or BERT are."
        )
    return layers


def _add_lora(layers: nn.ModuleList, rank: int, alpha: float) -> None:
    """Add LoRA to the query and value maps, in place; nothing else gets a gradient."""
    from peft import LoraConfig, inject_adapter_in_model

    names = {name.rpartition(".")[2] for name, _ in layers.named_modules()}
    targets = next((pair for pair in (("q_proj", "v_proj"), ("query", "value")) if names >= set(pair)), None)
    if targets is None:
        raise ValueError(
            "LoRA needs query and value maps named as in Llama or BERT; these layers have none. Set "
            "lora_rank=0."
        )
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(targets)), layers)


def _plain(config: Any, layers: int) -> dict[str, Any]:
    """Return the configuration values that determine the shape of layers."""
    values = config.to_diff_dict()
    omitted = (*_NOT_OF_LAYERS, "transformers_version", "vocab_size", "_name_or_path")
    plain = {name: value for name, value in values.items() if name not in omitted and value is not None}
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
            f"Language layers need the packages transformers and peft: {reason}. Install them with pip "
            "install 'mmreg-rt[llm]', or set backbone = 'none'."
        ) from reason
