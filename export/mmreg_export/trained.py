"""What ``mmreg train`` left, as a method with its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mmreg_rt.preprocess import PreprocessSpec
from mmreg_train import methods
from mmreg_train.checkpoint import chosen, read_checkpoint

CARD = "card.md"


@dataclass(frozen=True)
class Trained:
    """A method, what is done to scans before it sees them, and its model card."""

    method: methods.Method
    spec: PreprocessSpec
    card: str


def read_trained(path: Path) -> Trained:
    """From a checkpoint, or from a run folder: its best checkpoint, or the last where there is no best.

    Raises:
        InputError: There is none, or it is damaged.
    """
    path = chosen(path)
    checkpoint = read_checkpoint(path)
    method = checkpoint.method()
    card = path.with_name(CARD)
    text = (
        card.read_text()
        if card.exists()
        else f"# {method.name}\n\nStep {checkpoint.step}; no card was left.\n"
    )
    return Trained(method, PreprocessSpec.from_dict(checkpoint.facts["preprocess"]), text)
