"""Loading of trained methods from the output of ``mmreg train``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmreg_rt.errors import InputError
from mmreg_rt.preprocess import PreprocessSpec
from mmreg_train import methods
from mmreg_train.engine.checkpoint import checkpoint_path, read_checkpoint

CARD = "card.md"


@dataclass(frozen=True)
class Trained:
    """A trained method, the preprocessing of its inputs, and its model card."""

    method: methods.Method
    spec: PreprocessSpec
    card: str


def read_trained(path: Path) -> Trained:
    """Read a trained method from a checkpoint, or from the best (else last) one of a run folder.

    Raises:
        InputError: There is no checkpoint, or it is damaged.
    """
    path = checkpoint_path(path)
    checkpoint = read_checkpoint(path)
    method = checkpoint.method()
    card = path.with_name(CARD)
    text = (
        card.read_text()
        if card.exists()
        else f"# {method.name}\n\nStep {checkpoint.step}; the run has no model card.\n"
    )
    return Trained(method, PreprocessSpec.from_dict(checkpoint.facts["preprocess"]), text)


def read_stages(paths: Sequence[Path]) -> list[Trained]:
    """Read the methods of several stages: rigid methods with windows of one kind.

    Raises:
        InputError: One cannot be read, or they do not match.
    """
    stages = [read_trained(path) for path in paths]
    names = ", ".join(f"{path} ({stage.method.name})" for path, stage in zip(paths, stages, strict=True))
    kinds = {(stage.method.name, stage.method.window, stage.spec) for stage in stages}
    if len(stages) > 1 and (len(kinds) > 1 or stages[0].method.output_kind != "rigid"):
        raise InputError(
            "MMREG_E_EXPORT_STAGES",
            f"Stages must be of one rigid method, with one window and one preprocessing; found {names}. "
            "Export each separately.",
        )
    return stages
