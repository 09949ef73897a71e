"""Grids for deployments: of a scan, or given as numbers; and the place of the network's grid in another."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import GeometryError
from ..geometry import Grid

if TYPE_CHECKING:
    from ..geometry import Float64

_NUMBERS = re.compile(r"(?P<shape>[0-9]+(x[0-9]+){1,2})(@(?P<spacing>[0-9.]+(x[0-9.]+)*))?")


def grid_of(text: str | os.PathLike[str]) -> Grid:
    """Return the grid of an image file, or that which numbers describe.

    ``160x192x160@1.5`` or ``160x192x160@1.5x1x1`` is a shape with its spacing in mm along axes 0, 1, 2, which
    run towards head, front and right (S, A, R); two numbers are a slice ``(1, H, W)``.

    Args:
        text: Path of a file, or numbers.

    Raises:
        InputError: The file cannot be read.
        GeometryError: The numbers are no grid.
    """
    match = _NUMBERS.fullmatch(os.fspath(text))
    if match is None:
        from .. import io

        return io.read_image(Path(text)).grid
    shape = [int(extent) for extent in match["shape"].split("x")]
    try:
        spacing = [float(mm) for mm in (match["spacing"] or "").split("x")]
    except ValueError:
        spacing = []
    if len(spacing) not in (1, len(shape)):
        raise GeometryError(
            "MMREG_E_DEPLOYMENT_GRID",
            f"A grid is the path of a scan, or a shape with its spacing in mm, such as 160x192x160@1.5 or "
            f"160x192x160@1.5x1x1; found {os.fspath(text)!r}. Add the spacing.",
        )
    spacing = spacing * (len(shape) if len(spacing) == 1 else 1)
    depth, height, width = [1] * (3 - len(shape)) + shape
    affine = np.eye(4)
    affine[:3, :3] = np.diag([1.0] * (3 - len(shape)) + spacing)[::-1]
    return Grid((depth, height, width), affine)


def indices_between(network: Grid, fixed: Grid) -> Float64:
    """Return the map from indices of the network's grid to those of the fixed grid, ``(3, 4)``."""
    between = np.linalg.solve(fixed.affine, network.affine)
    return np.asarray(between[:3], np.float64)
