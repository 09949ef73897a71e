"""Checkpoints: one safetensors file of weights and optimiser state, with a JSON header for the rest.

==========================  ===========================================================================
``model/<name>``            a parameter or buffer of the method
``optimiser/<name>/<key>``  optimiser state of that parameter, such as ``exp_avg``
metadata ``mmreg``          JSON: ``format``, ``step``, ``method``, ``settings``, ``seed`` and other values
                            that the training loop restores
==========================  ===========================================================================

Random numbers need no state: they are drawn by seed, step and index (see ``seeding``). Files are written
atomically, and reading one runs no code.
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
LAST, BEST = "last.safetensors", "best.safetensors"  # in the run folder


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a checkpoint file.

    Attributes:
        tensors: By the names in the module docstring.
        facts: The JSON header.
        path: The file.
    """

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]
    path: Path

    @property
    def step(self) -> int:
        """Optimiser steps done."""
        return int(self.facts["step"])

    def method(self) -> Method:
        """Create the trained method, in evaluation mode.

        Raises:
            InputError: The method cannot be created, the weights do not fit it, or the run had not reached
                its last phase, which trains the registration.
        """
        name = str(self.facts["method"])
        try:
            method: Method = create(name, **self.facts["settings"])
        except (TypeError, ValueError, ImportError) as reason:
            raise InputError(
                CODE,
                f"{self.path} needs the method {name!r}, which cannot be created: {reason}. Use the version "
                "of mmreg_train that wrote the file, with the extras of that method.",
            ) from reason
        if method.phases and self.facts["phase"] != method.phases[-1]:
            raise InputError(
                CODE,
                f"{self.path} was written in the phase {self.facts['phase']!r} of {name}; registration is "
                f"trained in {method.phases[-1]!r}. Continue with --resume {self.path.parent}.",
            )
        self.load_weights(method)
        method.eval()
        return method

    def load_weights(self, model: nn.Module) -> None:
        """Load the weights into a method.

        Raises:
            InputError: Names or shapes differ from those of the method.
        """
        weights = self._under("model/")
        expected = model.state_dict()
        mismatched = sorted(set(weights) ^ set(expected))
        mismatched += [
            name for name in set(weights) & set(expected) if weights[name].shape != expected[name].shape
        ]
        if mismatched:
            raise InputError(
                CODE,
                f"{self.path} does not fit the method: {len(mismatched)} tensors differ, such as "
                f"{mismatched[0]}. Create the method with the settings of the run.",
            )
        model.load_state_dict(weights)

    def load_phases(self, method: Method, phases: Sequence[str]) -> None:
        """Load only the weights trained in ``phases`` into a method of the same settings.

        Raises:
            InputError: Names or shapes differ from those of the method, or the run had not finished these
                phases.
        """
        phase = self.facts["phase"]
        if phase not in method.phases or method.phases.index(phase) <= method.phases.index(phases[-1]):
            raise InputError(
                CODE,
                f"{self.path} was written in the phase {phase!r}; loading {' and '.join(phases)} needs a run "
                f"that has finished them. Continue with --resume {self.path.parent}.",
            )
        learned: set[str] = set()
        for earlier in phases:
            method.set_phase(earlier)
            learned |= _learned(method)
        kept = {name: tensor for name, tensor in method.state_dict().items() if name not in learned}
        replace(self, tensors={**self.tensors, **_prefixed(kept)}).load_weights(method)

    def load_optimiser(self, optimiser: Optimizer, model: nn.Module) -> None:
        """Load the state of the optimiser, parameter by parameter."""
        state: dict[int, dict[str, Any]] = {}
        for number, (name, parameter) in enumerate(trained_parameters(model, optimiser)):
            stored = self._under(f"optimiser/{name}/")
            # moments take the memory layout of their parameter; Adam's step count stays where it was created
            state[number] = {
                key: torch.empty_like(parameter).copy_(value) if value.ndim else value
                for key, value in stored.items()
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

    Args:
        path: The file, replaced atomically.
        model: The method.
        optimiser: Its optimiser.
        facts: Plain values for the JSON header.

    Raises:
        InputError: The file cannot be written; an existing file is kept.
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

    with open_regular(path):  # raises a clear error for a bad path
        pass
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("mmreg", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, json.JSONDecodeError) as reason:
        raise InputError(CODE, f"{path} is damaged: {reason}. Give another checkpoint.") from reason
    if facts.get("format") != FORMAT:
        raise InputError(
            CODE,
            f"{path} is not a training checkpoint: format {facts.get('format')!r}. Give one written by "
            "`mmreg train`.",
        )
    return Checkpoint(tensors, facts, path)


def load_method(path: Path) -> Method:
    """Load the trained method, in evaluation mode.

    Args:
        path: A checkpoint, or a run folder, of which the best checkpoint is read.

    Raises:
        InputError: There is no such checkpoint, or it cannot be used.

    Example:
        >>> method = load_method(Path("runs/voxelmorph"))
        >>> output = method(fixed, moving)
    """
    return read_checkpoint(checkpoint_path(path)).method()


def checkpoint_path(path: Path) -> Path:
    """Return a checkpoint itself, or the best one of a run folder, or the last if there is no best."""
    return path / (BEST if (path / BEST).is_file() else LAST) if path.is_dir() else path


def _prefixed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"model/{name}": tensor for name, tensor in state.items()}


def _learned(method: Method) -> set[str]:
    """Return the names of parameters with a gradient, and of buffers of modules that own one."""
    names = set()
    for prefix, module in method.named_modules():
        own = dict(module.named_parameters(recurse=False))
        if any(parameter.requires_grad for parameter in own.values()):
            tensors = {**own, **dict(module.named_buffers(recurse=False))}
            names |= {f"{prefix}.{name}".lstrip(".") for name in tensors}
    return names


def trained_parameters(model: nn.Module, optimiser: Optimizer) -> list[tuple[str, nn.Parameter]]:
    """Return the parameters of the optimiser, in its order, including those paused by the method."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    return [
        (names[parameter], parameter) for group in optimiser.param_groups for parameter in group["params"]
    ]
