"""What a pair of scans, their masks and landmarks must be, looked at before any work is done with them.

What cannot be registered is refused with an error of its own. What can, but is odd, is put right where there
is one way to do it, and reported in ``warnings``.
"""

from __future__ import annotations

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

MIN_OVERLAP = 0.02  # of the smaller field of view: below, the header of one of the two is not about the other
OVERLAP_SAMPLES = 24  # points along each axis of a field of view
CONSTANT = 1e-6  # relative: a range below is rounding of float32, not an image
_SPACES = {1: "the scanner", 2: "another scan", 3: "Talairach", 4: "MNI", 5: "a template"}


@dataclass(frozen=True)
class CheckedPair:
    """A pair that can be registered.

    ``fixed`` and ``moving`` are float32 and finite, with denormal numbers and padding taken away; masks are
    ``(D, H, W)`` bool or None; ``overlap_fraction`` is that of ``overlap_fraction``.
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
    """The pair, ready to be registered. ``same_space=False``: the headers need not overlap.

    Raises:
        GeometryError: A grid cannot be used, or the two do not belong together.
        IntensityError: The voxels of a scan cannot be used.
        InputError: A mask cannot be used.
    """
    check_grids(fixed.grid, moving.grid)
    overlap = overlap_fraction(fixed.grid, moving.grid)
    if same_space:
        check_overlap(fixed.grid, moving.grid, overlap)
    warnings = _space_warnings(fixed, moving)
    masks = [
        None if mask is None else check_mask(mask, volume.grid, name)
        for name, volume, mask in (("fixed", fixed, fixed_mask), ("moving", moving, moving_mask))
    ]
    scans = []
    for k, (name, volume) in enumerate((("fixed", fixed), ("moving", moving))):
        scan, masks[k], remarks = _checked_intensities(volume, masks[k], name)
        scans.append(scan)
        warnings += remarks
    return CheckedPair(scans[0], scans[1], masks[0], masks[1], overlap, tuple(warnings))


def check_grids(fixed: Grid, moving: Grid) -> None:
    """Refuse sheared grids, and a slice with a volume."""
    for name, grid in (("fixed", fixed), ("moving", moving)):
        if (off_vox := grid.shear_vox) > MAX_SHEAR_VOX:
            raise GeometryError(
                "MMREG_E_GRID_SHEAR",
                f"The axes of the {name} scan must be orthogonal; the cosine between two is "
                f"{grid.shear:.3g}, which puts a corner off by {off_vox:.2g} voxels (limit "
                f"{MAX_SHEAR_VOX:g}). Resample it to an orthogonal grid first.",
            )
    if fixed.dims != moving.dims:
        raise GeometryError(
            "MMREG_E_DIMS_MISMATCH",
            f"Both scans must be volumes, or both single slices; found fixed {fixed.shape} and moving "
            f"{moving.shape}. Take the slice out of the volume first.",
        )


def overlap_fraction(fixed: Grid, moving: Grid) -> float:
    """Share of the smaller field of view that lies in the other, by the headers alone: 0 to 1.

    Two slices need not lie in one plane: they are compared as seen along the axis across the fixed one.
    """
    return max(_share_inside(fixed, moving), _share_inside(moving, fixed))


def check_mask(mask: Volume, grid: Grid, name: str) -> Mask:
    """The mask as bool: where it is not 0.

    Raises:
        InputError: It lies on another grid, has more than two values, or is empty.
    """
    if not mask.grid.same_as(grid, 0.01 * min(grid.spacing_mm)):
        raise InputError(
            "MMREG_E_MASK_GRID",
            f"The mask of the {name} scan must lie on its grid, shape {grid.shape}; found shape "
            f"{mask.grid.shape} at "
            f"{np.round(mask.grid.centre_mm, 2)} mm instead of {np.round(grid.centre_mm, 2)} mm. Resample "
            "it with "
            "Rigid(numpy.eye(4)).warp_labels(mask, scan).",
        )
    inside = mask.data != 0  # NaN is not 0
    if not inside.any():
        raise InputError(
            "MMREG_E_MASK_EMPTY",
            f"The mask of the {name} scan is empty: all {mask.grid.size} voxels are 0. Mark what counts, or "
            "leave "
            "the mask out.",
        )
    marked = mask.data[inside]
    if not (marked == marked[0]).all():
        raise InputError(
            "MMREG_E_MASK_NOT_BINARY",
            f"A mask has two values, 0 and one more; that of the {name} scan has 0, {marked[0]:g}, "
            f"{marked[marked != marked[0]][0]:g} and perhaps others. Choose: labels == 2, probability > 0.5.",
        )
    return np.asarray(inside)


def check_intensities(volume: Volume, mask: Mask | None, name: str) -> tuple[Volume, list[str]]:
    """The scan as finite float32, and what was put right.

    Raises:
        IntensityError: Voxels that count are not finite, too large for float32, or all the same.
    """
    scan, _, remarks = _checked_intensities(volume, mask, name)
    return scan, remarks


def _checked_intensities(
    volume: Volume, mask: Mask | None, name: str
) -> tuple[Volume, Mask | None, list[str]]:
    """The scan, its mask without voxels that a resampling mixed with padding, and what was put right."""
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
    return volume.with_data(clean), mask, remarks


def check_extremes(smallest: float, largest: float, not_finite: int, voxels: int, name: str) -> None:
    """Of a scan that is known by these numbers alone, as one that lies on a device.

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
    """Landmarks against the scan they belong to: what is odd about them.

    Raises:
        InputError: One is not finite, or most lie outside of the scan.
    """
    points = as_points(points_mm)
    if not np.isfinite(points).all():
        row = int(np.argwhere(~np.isfinite(points))[0, 0])
        raise InputError(
            "MMREG_E_POINTS_NOT_FINITE",
            f"Landmarks of the {name} scan must be finite; number {row} is {points[row]}. Leave it out.",
        )
    outside = ~grid.contains(points)
    if 2 * outside.sum() > len(points):
        turned = grid.contains(points * (-1, -1, 1)).sum() > (~outside).sum()
        hint = (
            "With the signs of x and y turned most lie inside: they are LPS; turn them."
            if turned
            else "Check that they belong to this scan and are in mm."
        )
        raise InputError(
            "MMREG_E_POINTS_OUTSIDE",
            f"Landmarks must lie in the {name} scan; {int(outside.sum())} of {len(points)} do not, the "
            "first at "
            f"{points[outside][0]} mm. {hint}",
        )
    return [f"{name}: {int(outside.sum())} of {len(points)} landmarks lie outside"] if outside.any() else []


def check_overlap(fixed: Grid, moving: Grid, overlap: float | None = None) -> None:
    """Refuse fields of view that hardly overlap; ``overlap``: their ``overlap_fraction``, if it is known."""
    if overlap is None:
        overlap = overlap_fraction(fixed, moving)
    if overlap >= MIN_OVERLAP:
        return
    where = f"fixed centre {np.round(fixed.centre_mm, 1)} mm, moving {np.round(moving.centre_mm, 1)} mm"
    if overlap == 0:
        raise GeometryError(
            "MMREG_E_NO_OVERLAP",
            f"The two fields of view must overlap; by their headers they do not ({where}). Check that both "
            "are of one person and that no origin was lost; if their origins mean nothing, say "
            "same_space=False.",
        )
    raise GeometryError(
        "MMREG_E_TINY_OVERLAP",
        f"The two fields of view overlap in {overlap:.1%} of the smaller one (limit {MIN_OVERLAP:.0%}; "
        f"{where}). Check the origins, or move one with its affine.",
    )


def _share_inside(inner: Grid, outer: Grid) -> float:
    """Share of a lattice of points, spread evenly over the voxels of ``inner``, that lies in ``outer``."""
    even = (np.arange(OVERLAP_SAMPLES) + 0.5) / OVERLAP_SAMPLES
    lattice = np.stack(np.meshgrid(even, even, even, indexing="ij"), -1).reshape(-1, 3)
    index = outer.map_points(inner.map_indices(lattice * inner.shape - 0.5))
    if outer.dims == 2 == inner.dims:
        index[:, 0] = 0
    inside = (index >= -0.5) & (index <= np.array(outer.shape) - 0.5)
    return float(inside.all(axis=1).mean())


def _space_warnings(fixed: Volume, moving: Volume) -> list[str]:
    """Headers that name two different spaces: a place in one is then not a place in the other."""
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
            f"{int(bad.sum())} of "
            f"{bad.size} voxels are NaN or infinite, the first at index {first}. Replace them "
            "(numpy.nan_to_num), or give a mask that leaves them out.",
        )


def _range(data: Array, finite: Mask, mask: Mask | None, name: str) -> tuple[float, float]:
    """Smallest and largest value that counts."""
    used = finite if mask is None else finite & mask
    counted = data if used.all() else data[used]
    low, high = float(counted.min()), float(counted.max())
    _refuse_constant(low, high, counted.size, f"{name} scan", " inside its mask" if mask is not None else "")
    return low, high


def _refuse_constant(low: float, high: float, voxels: int, scan: str, where: str = "") -> None:
    if high - low <= CONSTANT * max(abs(low), abs(high)):
        raise IntensityError(
            "MMREG_E_INTENSITY_CONSTANT",
            f"The {scan} must show something{where}; all {voxels} voxels are {low:g}"
            f"{f' to {high:g}' if high > low else ''}. Check where it comes from and its intensity scaling.",
        )


def _without_denormals(data: Float32) -> tuple[Float32, int]:
    """Numbers below the smallest normal one are hundred times slower to compute with, and no signal."""
    tiny = (np.abs(data) < np.finfo(np.float32).tiny) & (data != 0)
    flushed = int(tiny.sum())
    return (np.where(tiny, np.float32(0), data), flushed) if flushed else (data, 0)
