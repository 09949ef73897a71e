"""Logarithmic barrier against too little mutual information of two images."""

from __future__ import annotations

import math

import torch
from torch import Tensor

READINGS = ("offset", "threshold")
NEAREST = 0.02  # distance from the pole below which the tangent replaces the logarithm


def barrier(information: Tensor, reading: str, level: float) -> Tensor:
    """Return the penalty for low ``information``; its slope grows without bound towards the pole.

    The paper has two readings. Its code has ``-log(level - (1 - I))``, where a level above 1 can never be
    reached: "offset". Its text has ``-log(I - level)``, which demands more than a level: "threshold". They
    are equivalent with the level ``1 - level``. Closer to the pole than ``NEAREST``, and beyond it, the
    tangent is used, so that a pair that starts there has a finite loss with a useful slope.

    Args:
        information: Normalised mutual information, 0 to 1.
        reading: One of ``READINGS``.
        level: See above.
    """
    distance = information - (1 - level if reading == "offset" else level)
    tangent = -math.log(NEAREST) - (distance - NEAREST) / NEAREST
    return torch.where(distance > NEAREST, -distance.clamp(min=NEAREST).log(), tangent)


def level_refused(reading: str, level: float) -> str:
    """Return why the level is invalid for the reading, or an empty string."""
    if reading not in READINGS:
        return f"reading must be one of {', '.join(READINGS)}; found {reading!r}."
    if reading == "offset" and level <= 0:
        return f"barrier_level of an offset must be above 0; found {level!r}."
    if reading == "threshold" and not 0 <= level < 1:
        return f"barrier_level of a threshold must be in [0, 1); found {level!r}."
    return ""
