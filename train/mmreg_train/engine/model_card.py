"""``card.md``: what a run was trained on, how, and how good it is; goes into the bundle."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..config.dataset import Description
    from ..config.training import Config
    from .trainer import Outcome


@dataclass(frozen=True)
class Facts:
    """What the card says besides the settings.

    Args:
        config: As used.
        description: Of the data; None where shapes were generated.
        people: People, or label maps, by part.
        parameters: Numbers in the network.
        dims: 2 or 3.
        commands: As typed: that began the run, and those that went on with it.
        machine: In words.
        outcome: What came out.
    """

    config: Config
    description: Description | None
    people: Mapping[str, int]
    parameters: int
    dims: int
    commands: Sequence[str]
    machine: str
    outcome: Outcome


def card(facts: Facts) -> str:
    """The model card, Markdown."""
    config, outcome = facts.config, facts.outcome
    title = f"# {config.method}, {facts.dims}-D, trained on {_data_name(facts.description)}"
    sections = (
        ("Intended use", _intended(facts)),
        ("Data", _data(facts)),
        ("Training", _training(facts)),
        ("Figures", _figures(outcome)),
        ("Limits", _limits(facts)),
    )
    return "\n\n".join([title, *(f"## {name}\n\n{text}" for name, text in sections)]) + "\n"


def machine(device: str, devices: int, threads: int) -> str:
    """What the run ran on."""
    import torch

    if device == "cuda":
        return f"{devices} x {torch.cuda.get_device_name()}"
    return f"{devices} process(es) of {threads} thread(s) on {_processor()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "a CPU")


def _data_name(description: Description | None) -> str:
    return "generated shapes" if description is None else description.name


def _intended(facts: Facts) -> str:
    of = facts.description
    what = "Research and development: registration of two scans that are already aligned affinely"
    if of is not None and of.align in ("none", "centre"):
        what = "Research and development: registration of two scans that lie as those it was trained on"
    kind = ""
    if of is not None and of.kind != "labels" and of.modalities:
        kind = f", {of.modalities[0]} (fixed) with {of.modalities[1]} (moving)"
    anatomy = f", {of.anatomy}" if of is not None and of.anatomy else ""
    return f"{what}{kind}{anatomy}. It is no medical device, and no clinical claim is made."


def _data(facts: Facts) -> str:
    of = facts.description
    if of is None:
        return "None: label maps are random shapes, and images are synthesised from them. No licence applies."
    people = ", ".join(f"{count} for {part}" for part, count in facts.people.items())
    rows = [
        f"- Set: {of.name}, {of.kind}" + (" that images are synthesised from" if of.kind == "labels" else ""),
        f"- Licence: {of.licence}",
        *([f"- Credit: {of.credit}"] if of.credit else []),
        f"- People: {people}; see splits.json",
    ]
    return "\n".join(rows)


def _training(facts: Facts) -> str:
    settings, outcome = facts.config.training, facts.outcome
    stopped = f", stopped early ({outcome.stopped})" if outcome.stopped else ""
    rows = [
        f"- Command: {', then '.join(f'`{command}`' for command in facts.commands)}",
        f"- Steps: {outcome.step} of {_steps(facts.config)}{stopped}",
        f"- Seed: {settings.seed}",
        f"- Time: {_time(outcome.seconds)}",
        f"- Machine: {facts.machine}",
        f"- Parameters: {facts.parameters:,}",
        f"- Optimiser: {settings.optimiser}, learning rate {settings.learning_rate:g}, {settings.schedule}; "
        f"precision {settings.precision}",
        f"- Network grid: {_grid(facts.config)}",
        "- All settings: config.toml",
    ]
    return "\n".join(rows)


def _steps(config: Config) -> str:
    settings = config.training
    if not config.phases:
        return f"{settings.steps}, {settings.batch} pair(s) each"
    given = [{"steps": settings.steps, "batch": settings.batch, **phase} for phase in config.phases]
    parts = ", ".join(f"{phase['name']} {phase['steps']} of {phase['batch']} pair(s)" for phase in given)
    return f"{sum(phase['steps'] for phase in given)}: {parts}"


def _time(seconds: float) -> str:
    return f"{seconds / 3600:.2f} hours" if seconds >= 360 else f"{seconds / 60:.2f} minutes"


def _grid(config: Config) -> str:
    spec, size = config.spec, config.data.size
    spacing = "spacing of the fixed scan" if spec.spacing_mm is None else f"{spec.spacing_mm:g} mm"
    return spacing + ("" if size is None else f", {' x '.join(map(str, size))} voxels")


def _figures(outcome: Outcome) -> str:
    if not outcome.validation:
        return "No validation samples: nothing was measured."
    best: Mapping[str, Any] = outcome.best.get("figures", {})
    rows = ["| figure | last | best |", "| --- | --- | --- |"]
    for name, value in outcome.validation.items():
        at_best = f"{best[name]:.4g}" if name in best else ""
        rows.append(f"| {name.replace('_', ' ')} | {value:.4g} | {at_best} |")
    rows.append(
        f"\nLast: step {outcome.step}. Best, in best.safetensors: step {outcome.best.get('step', 0)}."
    )
    return "\n".join(rows)


def _limits(facts: Facts) -> str:
    limits = [
        "- Figures are of the validation part, which also chose the best checkpoint; not of the test part."
    ]
    people = facts.people.get("train", 0)
    if facts.description is not None and people < 50:
        limits.append(
            f"- Trained on {people} people: expect it to be weaker on other scanners and populations."
        )
    if facts.description is None or facts.description.kind == "labels":
        limits.append(
            "- Trained and validated on synthetic images: measure it on real scans before using it."
        )
    return "\n".join(limits)
