"""Motion of a series in time: each frame is registered to a reference in a session."""

from .follow import Followed, Frames, RunningMean, follow
from .parameters import HEAD_MM, framewise_displacement_mm, rigid_parameters

__all__ = [
    "HEAD_MM",
    "Followed",
    "Frames",
    "RunningMean",
    "follow",
    "framewise_displacement_mm",
    "rigid_parameters",
]
