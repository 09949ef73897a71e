"""Warnings about points and warps outside the field of a transform, or outside the image."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from ..errors import OutsideWarning

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..geometry import Grid
    from .warping import Warping

    Flags = npt.NDArray[np.bool_]

COVER_PLANES = 40  # planes along each axis of a grid whose voxels are looked up in a field
MOSTLY = 0.5  # share of a warped image from outside the scan that is worth a warning
UNCOVERED = 0.01  # share of a grid with image values that no field covers, likewise


def warn_outside(transform: Warping, target: Grid, valid: Flags) -> None:
    """Warn if a warped image comes mostly from outside the image, or lies partly outside the field."""
    outside = 1 - float(valid.mean())
    if outside > MOSTLY:
        share = "All" if outside == 1 else f"{outside:.1%}"
        warn(
            f"{share} of the {target.size} voxels come from outside the image. Check that the transform "
            "belongs to it, its direction (inverse), and the grid.",
            4,
        )
    steps = [-(-n // COVER_PLANES) for n in target.shape]
    lines = [np.arange(step // 2, n, step) for n, step in zip(target.shape, steps, strict=True)]
    index = np.stack(np.meshgrid(*lines, indexing="ij"), -1).reshape(-1, 3)
    covered = transform.covers(target.map_indices(index))
    beyond = float((valid[np.ix_(*lines)].ravel() & ~covered).mean())
    if beyond > UNCOVERED:
        warn(
            f"{beyond:.1%} of the grid lies outside the field that moves it, where it keeps its border "
            "value. Give a grid of the scan that the transform starts from.",
            4,
        )


def warn(message: str, stacklevel: int = 3) -> None:
    """Issue an ``OutsideWarning``."""
    warnings.warn(message, OutsideWarning, stacklevel=stacklevel)
