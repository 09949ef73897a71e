"""What ``mmreg train`` left, as a method with its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmreg_rt.errors import InputError
from mmreg_rt.preprocess import PreprocessSpec
from mmreg_train import methods
from mmreg_train.engine.checkpoint import chosen, read_checkpoint

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


def read_stages(paths: Sequence[Path]) -> list[Trained]:
    """Several, that run one after the other: rigid methods that see windows of one kind.

    Raises:
        InputError: One cannot be read, or they do not go together.
    """
    stages = [read_trained(path) for path in paths]
    names = ", ".join(f"{path} ({stage.method.name})" for path, stage in zip(paths, stages, strict=True))
    seen = {(stage.method.name, stage.method.window, stage.spec) for stage in stages}
    if len(stages) > 1 and (len(seen) > 1 or stages[0].method.output_kind != "rigid"):
        raise InputError(
            "MMREG_E_EXPORT_STAGES",
            "Networks that run one after the other are of one rigid method with one window and one "
            f"preprocessing; found {names}. "
            "Export each alone.",
        )
    return stages
