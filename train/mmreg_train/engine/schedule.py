"""Learning rate schedules; functions of the step alone, so a resumed run needs no state."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..config.training import TrainingSettings


def learning_rate(step: int, settings: TrainingSettings) -> float:
    """Return the learning rate of step ``step``, counted from 0.

    Linear warm-up, then constant; or ``end + (top - end) (1 + cos(pi t)) / 2`` (Loshchilov and Hutter,
    "SGDR", ICLR 2017, without restarts); or ``end + (top - end) (1 - t)^power``; ``t`` runs from 0 to 1
    over the steps after the warm-up.
    """
    top, end = settings.learning_rate, settings.learning_rate_end
    if step < settings.warmup_steps:
        return top * (step + 1) / settings.warmup_steps
    t = min((step - settings.warmup_steps) / max(settings.steps - settings.warmup_steps, 1), 1.0)
    if settings.schedule == "cosine":
        return end + (top - end) * (1 + math.cos(math.pi * t)) / 2
    if settings.schedule == "polynomial":
        return end + (top - end) * float((1 - t) ** settings.power)
    return top
