"""Folds of a displacement read back from a file, counted in float64 with NumPy.

Shares no code with mmreg_rt: it checks the claim that no written field folds. A field folds at a voxel where
the determinant of the map ``x -> x + u(x)`` is not positive. Central differences can miss folds that
one-sided ones detect, so all eight choices of forward or backward along the three axes are counted too: they
are the volumes of the corner tetrahedra at a voxel (Liu et al., Int J Comput Vis 2024, "On finite difference
Jacobian computation in deformable image registration"). A combination is counted where its three neighbours
exist; every voxel of the grid has at least one. Central differences are one-sided at the border.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Folding:
    """Voxels of the whole grid with a determinant <= 0, and the least determinant."""

    central: int  # by central differences
    one_sided: tuple[int, ...]  # by each of the eight one-sided combinations
    any_one_sided: int  # voxels folded in at least one of the eight
    voxels: int
    minimum_central: float
    minimum_one_sided: float

    @property
    def total(self) -> int:
        return self.central + sum(self.one_sided)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"total": self.total}


def columns(u: Array, axis: int) -> dict[str, Array]:
    """Return column ``axis`` of the map's gradient by three kinds of differences, (3, X, Y, Z).

    Forward, backward and central ones.
    At the border, a missing difference is replaced by that to the other neighbour.
    """
    u = np.moveaxis(u.astype(np.float64), -1, 0)
    steps = np.diff(u, axis=axis + 1) if u.shape[axis + 1] > 1 else np.zeros_like(u)
    steps[axis] += 1
    if u.shape[axis + 1] == 1:
        return dict.fromkeys("+-0", steps)
    first, last = (np.take(steps, [end], axis + 1) for end in (0, -1))
    forward, backward = np.concatenate([steps, last], axis + 1), np.concatenate([first, steps], axis + 1)
    return {"+": forward, "-": backward, "0": 0.5 * (forward + backward)}


def neighbours(size: int, side: str) -> slice:
    """Return the positions along an axis with a neighbour on this side; an axis of 1 has no differences."""
    if size == 1:
        return slice(None)
    return slice(None, -1) if side == "+" else slice(1, None)


def triple_product(a: Array, b: Array, c: Array) -> Array:
    """Return the determinant of the matrices with columns ``a``, ``b``, ``c``."""
    first = a[0] * (b[1] * c[2] - b[2] * c[1])
    second = a[1] * (b[2] * c[0] - b[0] * c[2])
    return first + second + a[2] * (b[0] * c[1] - b[1] * c[0])


def determinant(u: Array) -> Array:
    """Return det of ``x -> x + u(x)`` by central differences, float64, for ``u`` (X, Y, Z, 3) in voxels."""
    return triple_product(*(columns(u, axis)["0"] for axis in range(3)))


def count(u: Array) -> Folding:
    """Count the folds of ``u`` (X, Y, Z, 3), in voxels of its own grid."""
    gradient = [columns(u, axis) for axis in range(3)]
    central = triple_product(*(g["0"] for g in gradient))
    folded, counts, least = np.zeros(u.shape[:3], bool), [], np.inf
    for sides in product("+-", repeat=3):
        inside = tuple(neighbours(size, side) for size, side in zip(u.shape, sides, strict=False))
        det = triple_product(*(g[side] for g, side in zip(gradient, sides, strict=True)))[inside]
        bad = ~(det > 0)  # a determinant that is not a number counts as a fold
        folded[inside] |= bad
        counts.append(int(bad.sum()))
        least = min(least, float(det.min()))
    in_centre = int((~(central > 0)).sum())
    return Folding(in_centre, tuple(counts), int(folded.sum()), central.size, float(central.min()), least)


def read_field(path: Path) -> tuple[Array, Array]:
    """Read a NIfTI vector file in ITK's convention: ``u`` (X, Y, Z, 3) in voxels of its grid, and the affine.

    The file contains (X, Y, Z, 1, 3) displacements in LPS mm; axes are permuted to be closest to RAS+.

    Raises:
        ValueError: The file has another shape.
    """
    image = nib.as_closest_canonical(nib.load(path))
    values = np.asarray(image.dataobj, np.float64)
    if values.ndim != 5 or values.shape[3:] != (1, 3):
        raise ValueError(f"{path}: expected a displacement field (X, Y, Z, 1, 3), found {values.shape}")
    ras_mm = values[:, :, :, 0] * (-1, -1, 1)
    return ras_mm @ np.linalg.inv(image.affine[:3, :3]).T, image.affine
