"""Whether what a network gives can be used: as many numbers as it must, finite, and of a possible size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .manifest import FIELDS, RIGID

if TYPE_CHECKING:
    from ..geometry import Array

FURTHEST = 1e5  # voxels, or mm and degrees of a motion: no scan is as wide
LARGEST_PLANE = 1e6  # of a descriptor; sums of squares of thousands of them stay far from the end of float32


def what_is_wrong(found: Array, wanted: int, kind: str) -> str | None:
    """None if what a network gave can be used; else what it must give and what it gave.

    Args:
        found: Its output.
        wanted: How many numbers it must have.
        kind: Of the output, as in a manifest.
    """
    if found.size != wanted:
        return f"must give {wanted} numbers here; it gave {found.size}"
    low, high = (float(found.min()), float(found.max())) if found.size else (0.0, 0.0)
    if not (np.isfinite(low) and np.isfinite(high)):
        wrong = np.count_nonzero(~np.isfinite(found))
        return f"must give finite numbers; it gave {wrong} of {wanted} that are not"
    most = FURTHEST if kind in (*FIELDS, RIGID) else LARGEST_PLANE
    if max(-low, high) > most:
        unit = " voxels" if kind in FIELDS else ""
        return f"must give numbers of at most {most:g}{unit}; it gave {max(-low, high):.3g}"
    return None
