"""Registration methods by name; ``base.Method`` is their interface."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .base import LEARNING, Batch, Method, Output, Window

__all__ = ["LEARNING", "Batch", "Method", "Output", "Window", "create", "names"]

_METHODS = {
    "attention_reg": ("mmreg_train.methods.attention_reg", "AttentionReg"),
    "brain": ("mmreg_train.methods.brain", "Brain"),
    "innreg": ("mmreg_train.methods.innreg", "InnReg"),
    "ldm_morph": ("mmreg_train.methods.ldm_morph", "LdmMorph"),
    "llm_morph": ("mmreg_train.methods.llm_morph", "LlmMorph"),
    "masr": ("mmreg_train.methods.masr", "Masr"),
    "transmorph": ("mmreg_train.methods.transmorph", "TransMorph"),
    "voxelmorph": ("mmreg_train.methods.voxelmorph", "VoxelMorph"),
}


def names() -> list[str]:
    """Return the names that ``create`` accepts, sorted."""
    return sorted(_METHODS)


def create(name: str, **settings: Any) -> Method:
    """Create a method, with weights drawn from torch's default generator.

    Args:
        name: One of ``names()``.
        **settings: Settings of the method, see ``Method.from_settings``; plain values only, so that
            checkpoints can store them.

    Raises:
        ValueError: The name is unknown, or a setting has an invalid value.
        TypeError: The method has no such setting.

    Example:
        >>> method = create("voxelmorph", dims=3, image="mind")
    """
    if name not in _METHODS:
        raise ValueError(f"Unknown method {name!r}. Choose one of: {', '.join(names())}.")
    module, attribute = _METHODS[name]
    method: Method = getattr(import_module(module), attribute).from_settings(**settings)
    method.settings = {**settings, **method.resolved}
    return method
