"""Phases of a run: trained in sequence, each with its own settings, on one step count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mmreg_rt.errors import InputError

from ..config.toml import parse_table
from ..config.training import CODE, TrainingSettings

if TYPE_CHECKING:
    from ..config.training import Config

OF_THE_RUN = ("seed", "precision")  # a phase cannot change these


@dataclass(frozen=True)
class Phase:
    """A phase of a run.

    Attributes:
        name: Argument of ``Method.set_phase``; "" is the whole training of a method without phases.
        first: Its first step, on the step count of the run.
        settings: ``[training]``, overridden by its ``[[phases]]`` table.
        registers: It is the last phase, which trains the registration.
    """

    name: str
    first: int
    settings: TrainingSettings
    registers: bool

    @property
    def end(self) -> int:
        """The step after the last one."""
        return self.first + self.settings.steps


def plan_phases(config: Config, names: Sequence[str]) -> list[Phase]:
    """Return the phases of a run, in order; without ``[[phases]]`` only the last one of the method.

    Args:
        config: Of the run.
        names: ``Method.phases``.

    Raises:
        InputError: A phase is unknown, repeated, out of order or has an invalid setting; or the last one is
            missing.
    """
    if not config.phases:
        return [Phase(names[-1] if names else "", 0, config.training, True)]
    listed = [str(table.get("name", "")) for table in config.phases]
    if listed != [name for name in names if name in listed] or listed[-1] != names[-1]:
        raise InputError(
            CODE,
            f"The phases of {config.method!r} are, in this order, {', '.join(names) or 'none'}, and the last "
            f"is required; found {', '.join(listed)}. Correct [[phases]].",
        )
    phases: list[Phase] = []
    for table in config.phases:
        settings = _settings(config, dict(table))
        phases.append(Phase(table["name"], phases[-1].end if phases else 0, settings, False))
    return [*phases[:-1], replace(phases[-1], registers=True)]


def _settings(config: Config, table: dict[str, object]) -> TrainingSettings:
    name = table.pop("name")
    if shared := [key for key in OF_THE_RUN if key in table]:
        raise InputError(
            CODE,
            f"The phase {name!r} sets {' and '.join(shared)}, which all phases share. Set it in [training].",
        )
    return parse_table(
        TrainingSettings, {**asdict(config.training), **table}, Path(f"[[phases]] {name}"), CODE
    )
