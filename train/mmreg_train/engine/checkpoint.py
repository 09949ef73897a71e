"""Checkpoints: one safetensors file with weights and optimiser state; all else as JSON in its header.

==========================  ===========================================================================
``model/<name>``            a parameter or buffer of the method
``optimiser/<name>/<key>``  state of the optimiser for that parameter, such as ``exp_avg``
metadata ``mmreg``          JSON: ``format``, ``step``, ``method``, ``settings``, ``seed`` and what else the
                            loop wants back
==========================  ===========================================================================

Random numbers need no state: they are drawn by seed, step and index (see ``draws``). A file appears whole or
not at all, and reading one runs no code.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mmreg_rt.errors import InputError
from mmreg_rt.io.files import atomic_write, open_regular

from ..methods import Method, create

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch.optim import Optimizer

FORMAT = "mmreg-checkpoint/1"
CODE = "MMREG_E_TRAINING_CHECKPOINT"
LAST, BEST = "last.safetensors", "best.safetensors"  # in the folder of a run


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read.

    Args:
        tensors: By the names above.
        facts: The JSON.
        path: Where it was read.
    """

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]
    path: Path

    @property
    def step(self) -> int:
        """Optimiser steps done."""
        return int(self.facts["step"])

    def method(self) -> Method:
        """The trained method, in evaluation mode.

        Raises:
            InputError: The method cannot be made here, the weights do not fit it, or its last phase, in which
                the registration is learned, had not begun.
        """
        name = str(self.facts["method"])
        try:
            method: Method = create(name, **self.facts["settings"])
        except (TypeError, ValueError, ImportError) as reason:
            raise InputError(
                CODE, f"{self.path} is of the method {name!r}, which cannot be made here: {reason}"
            ) from reason
        if method.phases and self.facts["phase"] != method.phases[-1]:
            raise InputError(
                CODE,
                f"{self.path} was written in the phase {self.facts['phase']!r} of {name}; what registers is "
                f"learned in {method.phases[-1]!r}. Go on with --resume {self.path.parent}.",
            )
        self.load_weights(method)
        method.eval()
        return method

    def load_weights(self, model: nn.Module) -> None:
        """Weights into the method.

        Raises:
            InputError: Names or shapes are not those of the method.
        """
        weights = self._under("model/")
        wanted = model.state_dict()
        wrong = sorted(set(weights) ^ set(wanted))
        wrong += [name for name in set(weights) & set(wanted) if weights[name].shape != wanted[name].shape]
        if wrong:
            raise InputError(
                CODE,
                f"{self.path} does not fit the method: {len(wrong)} tensors differ, such as {wrong[0]}. "
                "Create the method with the settings of the run.",
            )
        model.load_state_dict(weights)

    def load_phases(self, method: Method, phases: Sequence[str]) -> None:
        """What was learned in ``phases`` into a method of the same settings; nothing else.

        Raises:
            InputError: Names or shapes are not those of the method, or the run had not come to their end.
        """
        found = self.facts["phase"]
        if found not in method.phases or method.phases.index(found) <= method.phases.index(phases[-1]):
            raise InputError(
                CODE,
                f"{self.path} was written in the phase {found!r}; {' and '.join(phases)} are taken from a "
                f"run that is past them. Go on with --resume {self.path.parent}.",
            )
        learned: set[str] = set()
        for phase in phases:
            method.enter(phase)
            learned |= _learned(method)
        kept = {name: tensor for name, tensor in method.state_dict().items() if name not in learned}
        replace(self, tensors={**self.tensors, **_prefixed(kept)}).load_weights(method)

    def load_optimiser(self, optimiser: Optimizer, model: nn.Module) -> None:
        """State of the optimiser, parameter by parameter."""
        state: dict[int, dict[str, Any]] = {}
        for number, (name, parameter) in enumerate(trained_parameters(model, optimiser)):
            found = self._under(f"optimiser/{name}/")
            # moments lie as their parameter does; Adam's count of steps stays where it was made
            state[number] = {
                key: torch.empty_like(parameter).copy_(value) if value.ndim else value
                for key, value in found.items()
            }
        groups = optimiser.state_dict()["param_groups"]
        optimiser.load_state_dict({"state": {n: s for n, s in state.items() if s}, "param_groups": groups})

    def _under(self, prefix: str) -> dict[str, Tensor]:
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(prefix)
        }


def write_checkpoint(path: Path, model: nn.Module, optimiser: Optimizer, facts: Mapping[str, Any]) -> None:
    """Write a checkpoint.

    Raises:
        InputError: The file cannot be written; an older one under that name stays.
    """
    from safetensors.torch import save

    tensors = _prefixed(model.state_dict())
    state = optimiser.state_dict()["state"]
    for number, (name, _) in enumerate(trained_parameters(model, optimiser)):
        for key, value in state.get(number, {}).items():
            tensors[f"optimiser/{name}/{key}"] = torch.as_tensor(value)
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    data = save(plain, metadata={"mmreg": json.dumps({"format": FORMAT, **facts})})
    with atomic_write(path) as stream:
        stream.write(data)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        InputError: The file is missing, damaged or of another kind.
    """
    from safetensors import SafetensorError, safe_open

    with open_regular(path):  # says what is wrong with a path
        pass
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("mmreg", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, json.JSONDecodeError) as reason:
        raise InputError(CODE, f"{path} is damaged: {reason}. Take another checkpoint.") from reason
    if facts.get("format") != FORMAT:
        raise InputError(
            CODE,
            f"{path} is no training checkpoint: format {facts.get('format')!r}. Give one of `mmreg train`.",
        )
    return Checkpoint(tensors, facts, path)


def load_method(path: Path) -> Method:
    """The trained method, in evaluation mode: from a checkpoint, or from the best one of a run's folder.

    Raises:
        InputError: There is no such checkpoint, or it cannot be used.
    """
    return read_checkpoint(chosen(path)).method()


def chosen(path: Path) -> Path:
    """A checkpoint itself; of a run's folder the best one, or the last where there is no best."""
    return path / (BEST if (path / BEST).is_file() else LAST) if path.is_dir() else path


def _prefixed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"model/{name}": tensor for name, tensor in state.items()}


def _learned(method: Method) -> set[str]:
    """Parameters with a gradient, and the statistics of modules that own one."""
    names = set()
    for prefix, module in method.named_modules():
        own = dict(module.named_parameters(recurse=False))
        if any(parameter.requires_grad for parameter in own.values()):
            tensors = {**own, **dict(module.named_buffers(recurse=False))}
            names |= {f"{prefix}.{name}".lstrip(".") for name in tensors}
    return names


def trained_parameters(model: nn.Module, optimiser: Optimizer) -> list[tuple[str, nn.Parameter]]:
    """Parameters of the optimiser, in its order; a method may be letting some of them rest just now."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    return [
        (names[parameter], parameter) for group in optimiser.param_groups for parameter in group["params"]
    ]
