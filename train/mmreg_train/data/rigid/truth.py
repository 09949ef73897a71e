"""True rigid transform of two scans with unrelated headers, from structures marked in both.

Each scan comes with a map of several frames, one structure per frame, in the same order for both scans: first
an organ, then landmarks. The truth is the least-squares rigid map of their centroids; the residual distance
measures how well the truth is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmreg_rt.errors import InputError
from mmreg_rt.io import series

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from ..cases import Case

    Points = npt.NDArray[np.float64]  # (N, 3), RAS+ mm
    Mask = npt.NDArray[np.bool_]

CODE = "MMREG_E_TRAINING_TRUTH"
MARKED = 0.5  # a voxel above it belongs to a structure
# A rotation that the structures leave undetermined, such as the one about the line through two of them, is
# taken from the headers: this weight, in mm^2, is negligible wherever the centroids determine the rotation.
KEPT_TURN_MM2 = 1.0


@dataclass(frozen=True)
class Truth:
    """The true motion of a pair.

    Attributes:
        matrix: ``(4, 4)``, fixed to moving points, RAS+ mm.
        residual_mm: Root mean square distance of the centroids after the motion.
        structures: Number of centroids used.
        centre_mm: Centroid of the organ in the fixed scan.
        moving_centre_mm: Centroid of the organ in the moving scan.
        surface_mm: ``(N, 3)``, surface voxels of the organ in the fixed scan.
    """

    matrix: npt.NDArray[np.float64]
    residual_mm: float
    structures: int
    centre_mm: npt.NDArray[np.float64]
    moving_centre_mm: npt.NDArray[np.float64]
    surface_mm: Points


def truth_of(case: Case) -> Truth:
    """Return the truth of a pair with ``fixed_structures`` and ``moving_structures``.

    Raises:
        InputError: A file cannot be read, a structure is empty, there are fewer than two, or the two scans
            have different numbers of them.
    """
    paths = [case.scans[role].path for role in ("fixed_structures", "moving_structures")]
    (organ, fixed), (_, moving) = (_structures(path) for path in paths)
    if len(fixed) != len(moving) or len(fixed) < 2:
        raise InputError(
            CODE,
            f"Both maps of {case.name} need the same structures, at least two; found {len(fixed)} and "
            f"{len(moving)}. Remove the case, or correct its maps.",
        )
    matrix = rigid_fit(fixed, moving)
    left = fixed @ matrix[:3, :3].T + matrix[:3, 3] - moving
    residual_mm = float(np.sqrt((left**2).sum(1).mean()))
    return Truth(matrix, residual_mm, len(fixed), fixed[0], moving[0], organ)


def rigid_fit(points: Points, onto: Points) -> npt.NDArray[np.float64]:
    """Fit the least-squares rigid map ``(4, 4)`` (Kabsch, Acta Cryst. A32, 1976) with the least rotation.

    Args:
        points: ``(N, 3)``, mm.
        onto: Their targets, ``(N, 3)``, mm.
    """
    middle, onto_middle = points.mean(0), onto.mean(0)
    covariance = (onto - onto_middle).T @ (points - middle) + KEPT_TURN_MM2 * np.eye(3)
    u, _, vt = np.linalg.svd(covariance)
    matrix = np.eye(4)
    matrix[:3, :3] = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    matrix[:3, 3] = onto_middle - matrix[:3, :3] @ middle
    return matrix


def surface_voxels(mask: Mask) -> npt.NDArray[np.int64]:
    """Return the indices ``(N, 3)`` of mask voxels that share a face with the outside."""
    padded = np.pad(mask, 1)
    inside = mask.copy()
    for axis in range(3):
        for step in (-1, 1):
            inside &= np.roll(padded, step, axis)[1:-1, 1:-1, 1:-1]
    surface: npt.NDArray[np.int64] = np.argwhere(mask & ~inside)
    return surface


def _structures(path: Path) -> tuple[Points, Points]:
    """Return the surface of the first structure and the centroids of all."""
    frames = list(series.read(path, None).frames())
    grid, marked = frames[0].grid, [frame.data > MARKED for frame in frames]
    if empty := [number for number, mask in enumerate(marked) if not mask.any()]:
        raise InputError(CODE, f"Structure {empty[0]} of {path} is empty. Take that frame out of both maps.")
    centroids = np.concatenate([grid.map_indices(np.argwhere(mask).mean(0)[None]) for mask in marked])
    return grid.map_indices(surface_voxels(marked[0])), centroids
