"""A logarithmic barrier that keeps two images from sharing too little information."""

from __future__ import annotations

import math

import torch
from torch import Tensor

READINGS = ("offset", "threshold")
NEAREST = 0.02  # to its pole the logarithm is followed; from there on its tangent


def barrier(information: Tensor, reading: str, level: float) -> Tensor:
    """What is lost by too little of ``information``; its slope grows without bound towards the pole.

    Two readings of the paper. Its code has ``-log(level - (1 - I))``, where a level above 1 can never be
    reached: "offset". Its text has ``-log(I - level)``, which asks for more than a level: "threshold". One
    is the other with the level ``1 - level``. Below ``NEAREST`` to the pole, and beyond it, the tangent takes
    over, so that a pair that begins there has a finite loss that leads out.

    Args:
        information: Normalised mutual information, 0 to 1.
        reading: Of ``READINGS``.
        level: See above.
    """
    distance = information - (1 - level if reading == "offset" else level)
    tangent = -math.log(NEAREST) - (distance - NEAREST) / NEAREST
    return torch.where(distance > NEAREST, -distance.clamp(min=NEAREST).log(), tangent)


def level_refused(reading: str, level: float) -> str:
    """Why a barrier cannot be so; empty if it can."""
    if reading not in READINGS:
        return f"reading is one of {', '.join(READINGS)}; found {reading!r}."
    if reading == "offset" and level <= 0:
        return f"barrier_level of an offset is above 0; found {level!r}."
    if reading == "threshold" and not 0 <= level < 1:
        return f"barrier_level of a threshold is from 0 to below 1; found {level!r}."
    return ""
