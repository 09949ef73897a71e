"""Accuracy of a registration against labels and landmarks. Distances are in mm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import arguments
from .errors import InputError
from .geometry import as_points

if TYPE_CHECKING:
    import numpy.typing as npt

    from .geometry import Float64, Int32, Volume
    from .transform import Transform

    Mask = npt.NDArray[np.bool_]


@arguments.checked(fixed=arguments.a("Volume"), warped=arguments.a("Volume"))
def dice(fixed: Volume, warped: Volume) -> dict[int, float]:
    """Compute the Dice overlap ``2 |A and B| / (|A| + |B|)`` of each label.

    Args:
        fixed: Label map ``(D, H, W)`` of the fixed scan.
        warped: Label map of the moving scan, on the same grid.

    Returns:
        Overlap, 0 to 1, of each label other than 0 that either map has.

    Raises:
        InputError: The maps lie on different grids, or a label is not a whole number.

    Example:
        >>> fixed = Volume.from_array(np.array([[0, 1, 1, 2]]), np.eye(3))
        >>> warped = Volume.from_array(np.array([[0, 1, 2, 2]]), np.eye(3))
        >>> scores = dice(fixed, warped)
        >>> {label: round(score, 3) for label, score in scores.items()}
        {1: 0.667, 2: 0.667}
    """
    a, b = _on_one_grid(fixed, warped)
    labels = np.union1d(a, b)
    size_a, size_b, shared = (
        np.bincount(np.searchsorted(labels, voxels), minlength=len(labels))
        for voxels in (a.ravel(), b.ravel(), a[a == b])
    )
    overlaps = 2.0 * shared / (size_a + size_b)
    return {int(v): float(overlap) for v, overlap in zip(labels, overlaps, strict=True) if v != 0}


@arguments.checked(fixed=arguments.a("Volume"), warped=arguments.a("Volume"))
def hd95_mm(fixed: Volume, warped: Volume) -> dict[int, float]:
    """Compute the 95 % Hausdorff distance of each label.

    It is the 95th percentile of the distances from all surface voxels of either map to the surface of the
    other. A surface voxel has a neighbour along some axis that does not have the label.

    Args:
        fixed: Label map ``(D, H, W)`` of the fixed scan.
        warped: Label map of the moving scan, on the same grid.

    Returns:
        Distance in mm for each label other than 0 that both maps have.

    Raises:
        InputError: The maps lie on different grids, or a label is not a whole number.

    Example:
        >>> fixed = Volume.from_array(np.array([[0, 1, 0, 0]]), np.diag([1.0, 2.0, 1.0]))
        >>> warped = Volume.from_array(np.array([[0, 0, 1, 0]]), np.diag([1.0, 2.0, 1.0]))
        >>> hd95_mm(fixed, warped)
        {1: 2.0}
    """
    a, b = _on_one_grid(fixed, warped)
    both = np.intersect1d(a, b)
    return {int(v): _hd95(a == v, b == v, fixed.grid.spacing_mm) for v in both if v != 0}


@arguments.checked(transform=arguments.a("Transform"))
def tre_mm(transform: Transform, fixed_mm: npt.ArrayLike, moving_mm: npt.ArrayLike) -> Float64:
    """Compute the target registration error ``|transform(fixed) - moving|`` of each pair of landmarks.

    Args:
        transform: Maps fixed points to moving points.
        fixed_mm: Landmarks in the fixed scan, ``(N, 3)``, RAS+ mm.
        moving_mm: The same landmarks in the moving scan.

    Returns:
        Error in mm of each pair, ``(N,)``.

    Raises:
        InputError: The lists have different lengths.

    Example:
        >>> from mmreg_rt import Rigid
        >>> tre_mm(Rigid(np.eye(4)), [[0.0, 0.0, 0.0]], [[0.0, 3.0, 4.0]])
        array([5.])
    """
    fixed, moving = as_points(fixed_mm), as_points(moving_mm)
    if len(fixed) != len(moving):
        raise InputError(
            "MMREG_E_POINTS_COUNT",
            f"Landmarks must come in pairs; found {len(fixed)} fixed and {len(moving)} moving ones. Leave "
            "out those that are missing in one scan.",
        )
    errors: Float64 = np.linalg.norm(transform.map_points(fixed) - moving, axis=1)
    return errors


def _on_one_grid(fixed: Volume, warped: Volume) -> tuple[Int32, Int32]:
    if not fixed.grid.same_as(warped.grid):
        raise InputError(
            "MMREG_E_LABELS_GRID",
            f"Label maps must lie on one grid; found shapes {fixed.grid.shape} and {warped.grid.shape}, or "
            "other positions. Warp one onto the other's grid with warp_labels.",
        )
    return fixed.as_labels(), warped.as_labels()


def _hd95(a: Mask, b: Mask, spacing_mm: tuple[float, float, float]) -> float:
    box = _bounding_box(a | b)
    surface_a, surface_b = _surface(a[box]), _surface(b[box])
    cap_mm = 4 * max(spacing_mm)
    # Distances beyond the percentile are not needed: start with a short search range and extend it.
    while True:
        to_a, to_b = (_distances(surface, spacing_mm, cap_mm) for surface in (surface_a, surface_b))
        pooled = np.r_[to_a[surface_b], to_b[surface_a]]
        if np.isfinite(np.percentile(pooled, 95, method="higher")):
            return float(np.percentile(pooled[np.isfinite(pooled)], _rank(pooled)))
        cap_mm *= 3


def _rank(pooled: Float64) -> float:
    """Return the percentile among the finite distances that is the 95th among all."""
    finite = int(np.isfinite(pooled).sum())
    return 100.0 if finite == 1 else 95.0 * (len(pooled) - 1) / (finite - 1)


def _bounding_box(mask: Mask) -> tuple[slice, ...]:
    """Return the bounding box of the mask with a margin of one voxel."""
    sides = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    return tuple(slice(max(0, int(side[0]) - 1), int(side[-1]) + 2) for side in sides)


def _surface(mask: Mask) -> Mask:
    """Return the voxels of the mask with a neighbour outside it, along axes of more than one voxel."""
    padded = np.pad(mask, [(int(n > 1),) * 2 for n in mask.shape])
    inner: Mask = mask.copy()
    for axis, n in enumerate(mask.shape):
        for step in (-1, 1) if n > 1 else ():
            core = tuple(slice(int(m > 1), int(m > 1) + m) for m in mask.shape)
            inner &= np.roll(padded, step, axis)[core]
    return np.asarray(mask & ~inner)


def _distances(surface: Mask, spacing_mm: tuple[float, float, float], cap_mm: float) -> Float64:
    """Return the distance in mm of every voxel to ``surface``, exact up to ``cap_mm``, else infinite.

    Squared distances along the axes add up, so each axis takes the lower envelope of shifted parabolas
    (Felzenszwalb and Huttenlocher, "Distance transforms of sampled functions", 2012), here by trying all.
    """
    squared = np.where(surface, 0.0, np.inf)
    for axis, step in enumerate(spacing_mm):
        known = np.moveaxis(squared, axis, 0)
        best = known.copy()
        for shift in range(1, min(len(known), int(cap_mm / step) + 1)):
            cost = (shift * step) ** 2
            np.minimum(best[shift:], known[:-shift] + cost, out=best[shift:])
            np.minimum(best[:-shift], known[shift:] + cost, out=best[:-shift])
        squared = np.moveaxis(best, 0, axis)
    return np.where(squared <= cap_mm**2, np.sqrt(squared), np.inf)
