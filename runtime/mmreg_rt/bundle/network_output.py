"""Check of a network's output: the number of values, finite, and of plausible size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .manifest import FIELDS, RIGID

if TYPE_CHECKING:
    from ..geometry import Array

FURTHEST = 1e5  # voxels, or mm and degrees of a motion: larger than any scan
LARGEST_PLANE = 1e6  # of a descriptor: sums of squares of thousands of values stay within float32


def what_is_wrong(output: Array, size: int, kind: str) -> str | None:
    """Return None if an output can be used, else what is required and what it is.

    Args:
        output: Output of a network.
        size: Number of values that it must have.
        kind: Kind of output, as in a manifest.
    """
    if output.size != size:
        return f"must give {size} numbers here; it gave {output.size}"
    low, high = (float(output.min()), float(output.max())) if output.size else (0.0, 0.0)
    if not (np.isfinite(low) and np.isfinite(high)):
        not_finite = np.count_nonzero(~np.isfinite(output))
        return f"must give finite numbers; it gave {not_finite} of {size} that are not"
    most = FURTHEST if kind in (*FIELDS, RIGID) else LARGEST_PLANE
    if max(-low, high) > most:
        unit = " voxels" if kind in FIELDS else ""
        return f"must give numbers of at most {most:g}{unit}; it gave {max(-low, high):.3g}"
    return None
