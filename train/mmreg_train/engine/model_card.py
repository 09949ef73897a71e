"""Model card ``card.md``: data, training and accuracy of a run. It is copied into the bundle."""

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
    """The contents of the model card.

    Attributes:
        config: The configuration used.
        description: Description of the data; None for generated shapes.
        people: Number of people, or label maps, by part.
        parameters: Number of weights in the network.
        dims: 2 or 3.
        commands: The command that started the run, and those that resumed it.
        machine: Description of the machine.
        outcome: Result of the run.
    """

    config: Config
    description: Description | None
    people: Mapping[str, int]
    parameters: int
    dims: int
    commands: Sequence[str]
    machine: str
    outcome: Outcome


def model_card(facts: Facts) -> str:
    """Return the model card as Markdown."""
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
    """Describe the machine of the run."""
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
    data = facts.description
    use = "Research and development: registration of two scans that are already affinely aligned"
    if data is not None and data.align in ("none", "centre"):
        use = "Research and development: registration of two scans positioned like those of its training"
    kind = ""
    if data is not None and data.kind != "labels" and data.modalities:
        kind = f", {data.modalities[0]} (fixed) with {data.modalities[1]} (moving)"
    anatomy = f", {data.anatomy}" if data is not None and data.anatomy else ""
    return f"{use}{kind}{anatomy}. It is not a medical device, and no clinical claim is made."


def _data(facts: Facts) -> str:
    data = facts.description
    if data is None:
        return "None: images are synthesised from random shapes. No licence applies."
    people = ", ".join(f"{count} for {part}" for part, count in facts.people.items())
    rows = [
        f"- Set: {data.name}, {data.kind}{', from which images are synthesised' * (data.kind == 'labels')}",
        f"- Licence: {data.licence}",
        *([f"- Credit: {data.credit}"] if data.credit else []),
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
    phases = [{"steps": settings.steps, "batch": settings.batch, **phase} for phase in config.phases]
    parts = ", ".join(f"{phase['name']} {phase['steps']} of {phase['batch']} pair(s)" for phase in phases)
    return f"{sum(phase['steps'] for phase in phases)}: {parts}"


def _time(seconds: float) -> str:
    return f"{seconds / 3600:.2f} hours" if seconds >= 360 else f"{seconds / 60:.2f} minutes"


def _grid(config: Config) -> str:
    spec, size = config.spec, config.data.size
    spacing = "spacing of the fixed scan" if spec.spacing_mm is None else f"{spec.spacing_mm:g} mm"
    return spacing + ("" if size is None else f", {' x '.join(map(str, size))} voxels")


def _figures(outcome: Outcome) -> str:
    if not outcome.validation:
        return "There were no validation samples."
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
        "- Figures are of the validation part, which also selected the best checkpoint; not of the test part."
    ]
    people = facts.people.get("train", 0)
    if facts.description is not None and people < 50:
        limits.append(
            f"- Trained on {people} people: expect lower accuracy on other scanners and populations."
        )
    if facts.description is None or facts.description.kind == "labels":
        limits.append("- Trained and validated on synthetic images: evaluate on real scans before use.")
    return "\n".join(limits)
