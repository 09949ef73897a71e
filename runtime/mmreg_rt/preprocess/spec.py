"""Preprocessing for a network: the same ``PreprocessSpec`` in training, in a bundle and at run time.

Two steps, each a pure function of the scan and a ``PreprocessSpec``: ``normalise`` maps intensities to
[0, 1], ``network_grid`` returns the grid on which the network works.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import GeometryError, InputError, IntensityError
from ..geometry import MAX_VOXELS, Grid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..geometry import Array, Float32, Float64

INTENSITIES = ("percentile", "window", "minmax")
SPACING_MM = (0.01, 100.0)  # from microscopy to the whole body
MAX_MULTIPLE = 256
# A field of view of 100.0000001 voxels has 100: the rest is rounding of the header's float32 numbers.
WHOLE_VOXEL = 1e-4
# Directions whose fit differs by less count as equal, so that rounding does not choose between them.
TIE = 1e-6
MAX_NUMBER = 1e30  # no intensity is larger; NaN is not smaller

_TOWARDS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}


@dataclass(frozen=True)
class PreprocessSpec:
    """The preprocessing that a network was trained with.

    Args:
        spacing_mm: Spacing of the network's isotropic grid; None keeps that of the fixed scan.
        multiple: Extents of the network's grid are padded to multiples of this.
        intensity: Range that is mapped to [0, 1]. ``"percentile"``: from the ``low``-th to the ``high``-th
            percentile of the voxels above the lowest value, which is background; ``"window"``: from ``low``
            to ``high`` in the units of the scan (HU); ``"minmax"``: from the lowest to the highest value.
        low: Lower end of the range; not used by ``"minmax"``.
        high: Upper end of the range; not used by ``"minmax"``.
        orientation: Directions of the last, middle and first axis of the array: with ``"RAS"`` axes 0, 1, 2
            run towards S, A, R.

    Raises:
        InputError: A setting has the wrong type or an invalid value.
    """

    spacing_mm: float | None = None
    multiple: int = 16
    intensity: str = "percentile"
    low: float = 0.5
    high: float = 99.5
    orientation: str = "RAS"

    def __post_init__(self) -> None:
        _check_spacing(self.spacing_mm)
        if type(self.multiple) is not int or not 1 <= self.multiple <= MAX_MULTIPLE:
            raise _refusal(f"a whole multiple from 1 to {MAX_MULTIPLE}", "multiple", self.multiple)
        if self.intensity not in INTENSITIES:
            raise _refusal(f"an intensity among {', '.join(INTENSITIES)}", "intensity", self.intensity)
        _check_range(self.intensity, self.low, self.high)
        letters = self.orientation if isinstance(self.orientation, str) else ""
        if len(letters) != 3 or {_TOWARDS.get(c, (3, 0))[0] for c in letters} != {0, 1, 2}:
            raise _refusal("an orientation such as RAS or LPS", "orientation", self.orientation)

    def as_dict(self) -> dict[str, float | str | None]:
        """Return the settings as plain data for JSON; ``from_dict`` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> PreprocessSpec:
        """Create a spec from ``as_dict``, which has exactly the keys of all settings.

        Raises:
            InputError: A key is missing or unknown, or a value is invalid.
        """
        names = {field.name for field in fields(cls)}
        keys = set(settings)
        if keys != names:
            raise InputError(
                "MMREG_E_PREPROCESS_SPEC",
                f"Preprocessing needs the settings {_listed(names)}; missing: {_listed(names - keys)}, "
                f"unknown: {_listed(keys - names)}. Write them with PreprocessSpec.as_dict.",
            )
        return cls(**settings)


def normalise(data: Array, spec: PreprocessSpec) -> Float32:
    """Map intensities to [0, 1]; to 0 if all voxels are the same.

    Percentiles are of nearest rank, so they are values of voxels. If the two coincide, as in a mask, the
    lowest value of all replaces the lower one.

    Args:
        data: ``(D, H, W)``, any real dtype.
        spec: Which range is mapped.

    Returns:
        ``(D, H, W)`` float32.

    Raises:
        IntensityError: A voxel is not finite.
    """
    import mmreg_rt._native as _native

    image = np.ascontiguousarray(data, np.float32)
    normalised, (lowest, highest, not_finite) = _native.normalise(
        image.reshape(1, 1, -1), spec.intensity, spec.low, spec.high
    )
    if not_finite:
        raise IntensityError(
            "MMREG_E_INTENSITY_NOT_FINITE",
            f"A scan must be finite to be normalised; {not_finite} of {image.size} voxels are not, and the "
            f"others run from {lowest:g} to {highest:g}. Replace NaN and infinity (numpy.nan_to_num) first.",
        )
    result: Float32 = normalised.reshape(image.shape)
    return result


def network_grid(fixed: Grid, spec: PreprocessSpec) -> Grid:
    """Return the grid on which a network sees a pair, which covers the field of view of the fixed scan.

    Its axes are those of ``fixed``, permuted and flipped to come nearest to ``spec.orientation``; an oblique
    scan stays oblique. Extents are rounded up to multiples of ``spec.multiple``, evenly on both sides; along
    an axis that keeps its spacing, voxels keep their places and an odd extra voxel is added at the end. A
    single slice stays one, with its thickness. If the scan has this form already, its own grid is returned.

    Args:
        fixed: Grid of the fixed scan.
        spec: Spacing, multiple and orientation.

    Raises:
        GeometryError: The grid would have too many voxels.
    """
    axes = _slice_axes(fixed, spec) if fixed.dims == 2 else _volume_axes(fixed, spec)
    signs = np.array([sign for _, sign in axes])
    order = [axis for axis, _ in axes]
    current = np.array(fixed.spacing_mm)[order]
    spacing = current if spec.spacing_mm is None else np.full(3, spec.spacing_mm)
    needed = np.ceil(np.array(fixed.shape)[order] * current / spacing - WHOLE_VOXEL)
    shape = np.maximum(1, np.ceil(needed / spec.multiple)) * spec.multiple
    if fixed.dims == 2:
        spacing, shape = np.append(current[:1], spacing[1:]), np.append(1, shape[1:])
    if shape.prod() > MAX_VOXELS:
        raise GeometryError(
            "MMREG_E_GRID_SHAPE",
            f"A network grid of {spec.spacing_mm} mm over {fixed.shape} voxels of "
            f"{np.round(fixed.spacing_mm, 4)} mm would have {shape.prod():.3g} voxels; the limit is "
            f"{MAX_VOXELS}. Crop the fixed scan.",
        )
    matrix = fixed.affine[:3, :3][:, order] * (signs * spacing / current)
    added = shape - np.array(fixed.shape)[order]
    off_by_half = (added % 2 == 1) & np.isclose(spacing, current, rtol=1e-4)
    grid = _centred(matrix, shape, fixed.centre_mm + matrix @ (0.5 * off_by_half))
    return fixed if grid.same_as(fixed, 1e-6 * min(fixed.spacing_mm)) else grid


def _volume_axes(fixed: Grid, spec: PreprocessSpec) -> list[tuple[int, int]]:
    """Return, for each axis of the network's grid, the axis of the scan and its sign."""
    along = _cosines(fixed, spec)
    return _best(along, [*permutations(range(3))])


def _slice_axes(fixed: Grid, spec: PreprocessSpec) -> list[tuple[int, int]]:
    """Return the axes as ``_volume_axes`` does, but keep the axis across a single slice.

    The two axes in the plane are matched to the orientation without the direction across the slice: a coronal
    slice shows S and R, a sagittal one S and A.
    """
    along = _cosines(fixed, spec)
    across = int(np.argmax(np.round(np.abs(along[:, 0]) / TIE)))
    in_plane = np.delete(along, across, axis=0)
    orders = [(1, 2), (2, 1)]
    return [(0, 1), *_best(in_plane, orders)]


def _cosines(fixed: Grid, spec: PreprocessSpec) -> Float64:
    """Return the cosine, ``(3, 3)``, between the direction of network axis i (row) and scan axis j."""
    directions = np.zeros((3, 3))
    for row, letter in enumerate(reversed(spec.orientation)):
        direction, sign = _TOWARDS[letter]
        directions[row, direction] = sign
    cosines: Float64 = directions @ (fixed.affine[:3, :3] / fixed.spacing_mm)
    return cosines


def _best(along: Float64, orders: Sequence[tuple[int, ...]]) -> list[tuple[int, int]]:
    """Return the first of the best fitting orders, with the sign of each axis."""

    def fit(order: tuple[int, ...]) -> int:
        return round(sum(abs(float(along[row, axis])) for row, axis in enumerate(order)) / TIE)

    best = max(orders, key=fit)
    return [(axis, -1 if along[row, axis] < -TIE else 1) for row, axis in enumerate(best)]


def _centred(matrix: Float64, shape: Float64, centre_mm: Float64) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = matrix
    affine[:3, 3] = centre_mm - matrix @ ((shape - 1) / 2)
    d, h, w = (int(n) for n in shape)
    return Grid((d, h, w), affine)


def _check_spacing(spacing_mm: object) -> None:
    if spacing_mm is None:
        return
    if not SPACING_MM[0] <= _number("spacing_mm", spacing_mm) <= SPACING_MM[1]:
        raise _refusal(
            f"a spacing_mm from {SPACING_MM[0]:g} to {SPACING_MM[1]:g}, or none", "spacing_mm", spacing_mm
        )


def _check_range(intensity: str, low: object, high: object) -> None:
    bounds = _number("low", low), _number("high", high)
    if intensity == "percentile" and not (bounds[0] >= 0 and bounds[1] <= 100):
        raise _refusal("percentiles from 0 to 100", "low and high", bounds)
    if not bounds[0] < bounds[1]:
        raise _refusal("low below high", "low and high", bounds)


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < MAX_NUMBER:
        raise _refusal(f"a number as {name}", name, value)
    return float(value)


def _refusal(expected: str, name: str, value: object) -> InputError:
    return InputError(
        "MMREG_E_PREPROCESS_SPEC",
        f"Preprocessing needs {expected}; found {repr(value)[:80]}. Correct {name}.",
    )


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(map(str, names)))[:200] or "none"
