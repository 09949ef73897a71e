"""Checks of a pair of scans, their masks and landmarks, before any work is done with them.

Input that cannot be registered is refused, each kind with its own error code. Input that is odd but usable is
corrected where there is one way to do it, and reported in ``warnings``.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .errors import GeometryError, InputError, IntensityError
from .geometry import MAX_SHEAR_VOX, Volume, as_points
from .io.nifti import NiftiSource
from .preprocess.padding import without_padding

if TYPE_CHECKING:
    import numpy.typing as npt

    from .geometry import Array, Float32, Grid

    Mask = npt.NDArray[np.bool_]

# Share of the smaller field of view: with less, the headers are not in one coordinate system.
MIN_OVERLAP = 0.02
OVERLAP_SAMPLES = 24  # points along each axis of a field of view
CONSTANT = 1e-6  # relative range of intensities: less is float32 rounding, not an image
_SPACES = {1: "the scanner", 2: "another scan", 3: "Talairach", 4: "MNI", 5: "a template"}


@dataclass(frozen=True)
class CheckedScan:
    """A scan that can be registered, with its mask; see ``CheckedPair``."""

    scan: Volume
    mask: Mask | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class CheckedPair:
    """A pair that can be registered.

    Attributes:
        fixed: Fixed scan, float32, finite, without denormal numbers and padding.
        moving: Moving scan, likewise.
        fixed_mask: ``(D, H, W)`` bool, or None.
        moving_mask: ``(D, H, W)`` bool, or None.
        overlap_fraction: Result of ``overlap_fraction``.
        warnings: Oddities that were found or corrected.
    """

    fixed: Volume
    moving: Volume
    fixed_mask: Mask | None
    moving_mask: Mask | None
    overlap_fraction: float
    warnings: tuple[str, ...]


def check_pair(
    fixed: Volume,
    moving: Volume,
    fixed_mask: Volume | None = None,
    moving_mask: Volume | None = None,
    *,
    same_space: bool = True,
) -> CheckedPair:
    """Check a pair of scans and prepare it for registration.

    Args:
        fixed: Fixed scan.
        moving: Moving scan.
        fixed_mask: Binary mask on the grid of ``fixed``.
        moving_mask: Binary mask on the grid of ``moving``.
        same_space: The headers share one coordinate system, so the fields of view must overlap.

    Raises:
        GeometryError: A grid cannot be used, or the two do not belong together.
        IntensityError: The voxels of a scan cannot be used.
        InputError: A mask cannot be used.
    """
    check_grids(fixed.grid, moving.grid)
    if same_space:
        check_overlap(fixed.grid, moving.grid, overlap_fraction(fixed.grid, moving.grid))
    return check_moving(check_scan(fixed, fixed_mask, "fixed"), moving, moving_mask, same_space=same_space)


def check_scan(scan: Volume, mask: Volume | None, name: str) -> CheckedScan:
    """Check a scan and its mask.

    Args:
        scan: The scan.
        mask: Binary mask on its grid.
        name: ``"fixed"`` or ``"moving"``, for messages.

    Raises:
        IntensityError: The voxels cannot be used.
        InputError: The mask cannot be used.
    """
    inside = None if mask is None else check_mask(mask, scan.grid, name)
    return CheckedScan(*_checked_intensities(scan, inside, name))


def check_moving(
    fixed: CheckedScan, moving: Volume, moving_mask: Volume | None = None, *, same_space: bool = True
) -> CheckedPair:
    """Check a moving scan against a fixed one that was checked before; see ``check_pair``."""
    check_grids(fixed.scan.grid, moving.grid)
    overlap = overlap_fraction(fixed.scan.grid, moving.grid)
    if same_space:
        check_overlap(fixed.scan.grid, moving.grid, overlap)
    checked = check_scan(moving, moving_mask, "moving")
    warnings = (*_space_warnings(fixed.scan, moving), *fixed.warnings, *checked.warnings)
    return CheckedPair(fixed.scan, checked.scan, fixed.mask, checked.mask, overlap, warnings)


def check_grids(fixed: Grid, moving: Grid) -> None:
    """Raise ``GeometryError`` for a sheared grid, or for a slice with a volume."""
    for name, grid in (("fixed", fixed), ("moving", moving)):
        if (off_vox := grid.shear_vox) > MAX_SHEAR_VOX:
            raise GeometryError(
                "MMREG_E_GRID_SHEAR",
                f"The axes of the {name} scan must be orthogonal; the cosine between two is "
                f"{grid.shear:.3g}, which shifts a corner by {off_vox:.2g} voxels (limit "
                f"{MAX_SHEAR_VOX:g}). Resample it to an orthogonal grid first.",
            )
    if fixed.dims != moving.dims:
        raise GeometryError(
            "MMREG_E_DIMS_MISMATCH",
            f"Both scans must be volumes, or both single slices; found fixed {fixed.shape} and moving "
            f"{moving.shape}. Extract the slice from the volume first.",
        )


@functools.lru_cache(maxsize=64)  # a stream of scans has the same grids again and again
def overlap_fraction(fixed: Grid, moving: Grid) -> float:
    """Return the share, 0 to 1, of the smaller field of view that lies in the other, by the headers alone.

    Two slices need not lie in one plane: they are compared along the axis across the fixed one.
    """
    return max(_share_inside(fixed, moving), _share_inside(moving, fixed))


def check_mask(mask: Volume, grid: Grid, name: str) -> Mask:
    """Return a mask as bool: True where it is not 0.

    Raises:
        InputError: It lies on another grid, has more than two values, or is empty.
    """
    if not mask.grid.same_as(grid, 0.01 * min(grid.spacing_mm)):
        raise InputError(
            "MMREG_E_MASK_GRID",
            f"The mask of the {name} scan must lie on its grid, shape {grid.shape}, centre "
            f"{np.round(grid.centre_mm, 2)} mm; found shape {mask.grid.shape}, centre "
            f"{np.round(mask.grid.centre_mm, 2)} mm. Resample it with "
            "Rigid(numpy.eye(4)).warp_labels(mask, scan).",
        )
    inside = mask.data != 0  # NaN is not 0
    if not inside.any():
        raise InputError(
            "MMREG_E_MASK_EMPTY",
            f"The mask of the {name} scan is empty: all {mask.grid.size} voxels are 0. Mark a region, or "
            "give no mask.",
        )
    marked = mask.data[inside]
    if not (marked == marked[0]).all():
        raise InputError(
            "MMREG_E_MASK_NOT_BINARY",
            f"A mask must be binary; that of the {name} scan has 0, {marked[0]:g}, "
            f"{marked[marked != marked[0]][0]:g} and perhaps others. Give, for instance, labels == 2 or "
            "probability > 0.5.",
        )
    return np.asarray(inside)


def check_intensities(volume: Volume, mask: Mask | None, name: str) -> tuple[Volume, list[str]]:
    """Return the scan as finite float32, and remarks on corrections.

    Raises:
        IntensityError: Voxels inside the mask are not finite, too large for float32, or all the same.
    """
    scan, _, remarks = _checked_intensities(volume, mask, name)
    return scan, list(remarks)


def _checked_intensities(
    volume: Volume, mask: Mask | None, name: str
) -> tuple[Volume, Mask | None, tuple[str, ...]]:
    """Return the scan, its mask without voxels that a resampling mixed with padding, and remarks."""
    data = volume.as_float32()
    finite = np.isfinite(data)
    _refuse_not_finite(finite, mask, name)
    low, high = _range(data, finite, mask, name)
    remarks = []
    clean = data
    if not finite.all():
        clean = np.where(finite, data, np.float32(low))
        remarks.append(
            f"{name}: {int((~finite).sum())} voxels outside the mask are not finite; taken as {low:g}"
        )
    clean, padding, unknown = without_padding(clean, mask)
    if unknown is not None:
        mask = ~unknown if mask is None else mask & ~unknown
    remarks += [f"{name}: {remark}" for remark in padding]
    clean, flushed = _without_denormals(clean)
    if flushed:
        remarks.append(f"{name}: {flushed} voxels hold denormal numbers; taken as 0")
    if padding or flushed:
        low, high = _range(clean, np.isfinite(clean), mask, name)
    return volume.with_data(clean), mask, tuple(remarks)


def check_extremes(smallest: float, largest: float, not_finite: int, voxels: int, name: str) -> None:
    """Check a scan by its summary alone, for scans in device memory.

    Args:
        smallest: Smallest voxel value.
        largest: Largest voxel value.
        not_finite: Number of voxels that are not finite.
        voxels: Number of voxels.
        name: ``"fixed"`` or ``"moving"``, for messages.

    Raises:
        IntensityError: A voxel is not finite, or all are the same.
    """
    if not_finite:
        raise IntensityError(
            "MMREG_E_INTENSITY_NOT_FINITE",
            f"The {name} scan must be finite; {not_finite} of {voxels} voxels are NaN or infinite. Replace "
            "them (numpy.nan_to_num, torch.nan_to_num).",
        )
    _refuse_constant(smallest, largest, voxels, f"{name} scan")


def check_points(points_mm: npt.ArrayLike, grid: Grid, name: str) -> list[str]:
    """Check landmarks against the scan that they belong to, and return warnings.

    Args:
        points_mm: ``(N, 3)``, RAS+ mm.
        grid: Grid of the scan.
        name: ``"fixed"`` or ``"moving"``, for messages.

    Raises:
        InputError: A point is not finite, or most points lie outside the scan.
    """
    points = as_points(points_mm)
    if not np.isfinite(points).all():
        row = int(np.argwhere(~np.isfinite(points))[0, 0])
        raise InputError(
            "MMREG_E_POINTS_NOT_FINITE",
            f"Landmarks of the {name} scan must be finite; row {row} is {points[row]}. Leave it out.",
        )
    outside = ~grid.contains(points)
    if 2 * outside.sum() > len(points):
        is_lps = grid.contains(points * (-1, -1, 1)).sum() > (~outside).sum()
        hint = (
            "They seem to be LPS: with the signs of x and y flipped most lie inside. Flip them."
            if is_lps
            else "Check that they belong to this scan and are in mm."
        )
        raise InputError(
            "MMREG_E_POINTS_OUTSIDE",
            f"Landmarks must lie in the {name} scan; {int(outside.sum())} of {len(points)} do not, the first "
            f"at {points[outside][0]} mm. {hint}",
        )
    return [f"{name}: {int(outside.sum())} of {len(points)} landmarks lie outside"] if outside.any() else []


def check_overlap(fixed: Grid, moving: Grid, overlap: float | None = None) -> None:
    """Raise ``GeometryError`` unless the fields of view overlap; ``overlap``: their fraction, if known."""
    if overlap is None:
        overlap = overlap_fraction(fixed, moving)
    if overlap >= MIN_OVERLAP:
        return
    where = f"fixed centre {np.round(fixed.centre_mm, 1)} mm, moving {np.round(moving.centre_mm, 1)} mm"
    if overlap == 0:
        raise GeometryError(
            "MMREG_E_NO_OVERLAP",
            f"The two fields of view must overlap; by their headers they do not ({where}). Check that both "
            "are of one person and that no origin was lost; if the headers do not share a coordinate system, "
            "use same_space=False.",
        )
    raise GeometryError(
        "MMREG_E_TINY_OVERLAP",
        f"The fields of view share {overlap:.1%} of the smaller one (at least {MIN_OVERLAP:.0%} is needed; "
        f"{where}). Check the origins, or move one scan by its affine.",
    )


def _share_inside(inner: Grid, outer: Grid) -> float:
    """Return the share of points, spread evenly over the voxels of ``inner``, that lie in ``outer``."""
    even = (np.arange(OVERLAP_SAMPLES) + 0.5) / OVERLAP_SAMPLES
    lattice = np.stack(np.meshgrid(even, even, even, indexing="ij"), -1).reshape(-1, 3)
    index = outer.map_points(inner.map_indices(lattice * inner.shape - 0.5))
    if outer.dims == 2 == inner.dims:
        index[:, 0] = 0
    inside = (index >= -0.5) & (index <= np.array(outer.shape) - 0.5)
    return float(inside.all(axis=1).mean())


def _space_warnings(fixed: Volume, moving: Volume) -> list[str]:
    """Warn if the headers name two different spaces: their coordinates are then not comparable."""
    codes = [
        volume.source.header.sform_code or volume.source.header.qform_code
        for volume in (fixed, moving)
        if isinstance(volume.source, NiftiSource)
    ]
    named = [_SPACES.get(code, f"space {code}") for code in codes]
    if len(codes) == 2 and codes[0] != codes[1] and max(codes) > 2:
        return [f"the headers name different spaces: fixed that of {named[0]}, moving that of {named[1]}"]
    return []


def _refuse_not_finite(finite: Mask, mask: Mask | None, name: str) -> None:
    bad = ~finite if mask is None else ~finite & mask
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise IntensityError(
            "MMREG_E_INTENSITY_NOT_FINITE",
            f"The {name} scan must be finite{' inside its mask' if mask is not None else ''}; "
            f"{int(bad.sum())} of {bad.size} voxels are NaN or infinite, the first at index {first}. Replace "
            "them (numpy.nan_to_num), or give a mask that excludes them.",
        )


def _range(data: Array, finite: Mask, mask: Mask | None, name: str) -> tuple[float, float]:
    """Return the smallest and largest value inside the mask."""
    used = finite if mask is None else finite & mask
    counted = data if used.all() else data[used]
    low, high = float(counted.min()), float(counted.max())
    _refuse_constant(low, high, counted.size, f"{name} scan", " inside its mask" if mask is not None else "")
    return low, high


def _refuse_constant(low: float, high: float, voxels: int, scan: str, where: str = "") -> None:
    if high - low <= CONSTANT * max(abs(low), abs(high)):
        raise IntensityError(
            "MMREG_E_INTENSITY_CONSTANT",
            f"The {scan} is constant{where}: all {voxels} voxels are {low:g}"
            f"{f' to {high:g}' if high > low else ''}. Check its source and its intensity scaling.",
        )


def _without_denormals(data: Float32) -> tuple[Float32, int]:
    """Set denormal numbers to 0 and count them: they are a hundred times slower, and no signal."""
    tiny = (np.abs(data) < np.finfo(np.float32).tiny) & (data != 0)
    flushed = int(tiny.sum())
    return (np.where(tiny, np.float32(0), data), flushed) if flushed else (data, 0)
