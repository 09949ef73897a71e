"""What is trained one after the other: phases, each with settings of its own, on one count of steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mmreg_rt.errors import InputError

from ..config.toml import validated
from ..config.training import CODE, TrainingSettings

if TYPE_CHECKING:
    from ..config.training import Config

OF_THE_RUN = ("seed", "precision")  # a phase has no other ones


@dataclass(frozen=True)
class Phase:
    """A part of a run.

    Args:
        name: For ``Method.enter``; "" is all of a method that has no phases.
        first: Its first step, on the count of the run.
        settings: As in ``[training]`` but for what ``[[phases]]`` says.
        registers: It is the last one, in which the method registers.
    """

    name: str
    first: int
    settings: TrainingSettings
    registers: bool

    @property
    def end(self) -> int:
        """The step after its last."""
        return self.first + self.settings.steps


def planned(config: Config, names: Sequence[str]) -> list[Phase]:
    """The phases of a run, in order. Without ``[[phases]]`` it is the last one of the method alone.

    Args:
        config: Of the run.
        names: ``Method.phases``.

    Raises:
        InputError: A phase is unknown, twice there, out of order or has a setting that cannot be used; or the
            last one is missing.
    """
    if not config.phases:
        return [Phase(names[-1] if names else "", 0, config.training, True)]
    given = [str(table.get("name", "")) for table in config.phases]
    if given != [name for name in names if name in given] or given[-1] != names[-1]:
        raise InputError(
            CODE,
            f"The phases of {config.method!r} are, in this order, {', '.join(names) or 'none'}, and the last "
            f"is needed; found {', '.join(given)}. Mend [[phases]].",
        )
    phases: list[Phase] = []
    for table in config.phases:
        settings = _settings(config, dict(table))
        phases.append(Phase(table["name"], phases[-1].end if phases else 0, settings, False))
    return [*phases[:-1], replace(phases[-1], registers=True)]


def _settings(config: Config, table: dict[str, object]) -> TrainingSettings:
    name = table.pop("name")
    if taken := [key for key in OF_THE_RUN if key in table]:
        raise InputError(
            CODE,
            f"The phase {name!r} sets {' and '.join(taken)}, which a whole run shares. Set it in [training].",
        )
    return validated(TrainingSettings, {**asdict(config.training), **table}, Path(f"[[phases]] {name}"), CODE)
