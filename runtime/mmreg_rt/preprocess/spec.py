"""What is done to a scan before a network sees it: the same object in training, in a bundle and when served.

Two steps, each a pure function of the scan and a ``PreprocessSpec``: ``normalise`` brings intensities to
[0, 1], ``network_grid`` says on which voxels the network works.
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
SPACING_MM = (0.01, 100.0)  # a network works between microscopy and the whole body
MAX_MULTIPLE = 256
# A field of view of 100.0000001 voxels is one of 100: the rest is rounding of the header's float32 numbers.
WHOLE_VOXEL = 1e-4
# Directions whose fit differs by less count as equal, so that rounding does not choose between them.
TIE = 1e-6
MAX_NUMBER = 1e30  # no intensity is larger; NaN is not smaller

_TOWARDS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}


@dataclass(frozen=True)
class PreprocessSpec:
    """How scans are brought to what a network was trained on.

    Args:
        spacing_mm: Of the network's isotropic grid; None keeps the spacing of the fixed scan.
        multiple: Sizes of the network's grid are padded up to multiples of this.
        intensity: ``"percentile"``: from the ``low``-th to the ``high``-th percentile of the voxels above the
            lowest value, which is background; ``"window"``: from ``low`` to ``high`` in the units of the
            scan (HU); ``"minmax"``: from the lowest to the highest value.
        low: Where 0 lies; not used by ``"minmax"``.
        high: Where 1 lies; not used by ``"minmax"``.
        orientation: What the last, the middle and the first axis of the array run towards: ``"RAS"`` means
            that axes 0, 1, 2 run towards S, A, R.

    Raises:
        InputError: A setting has the wrong type or a value that cannot be.
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

    def as_dict(self) -> dict[str, Any]:
        """The settings as plain data, for JSON; ``from_dict`` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> PreprocessSpec:
        """The spec of ``as_dict``: all keys, and no others.

        Raises:
            InputError: A key is missing or unknown, or a value cannot be.
        """
        wanted = {field.name for field in fields(cls)}
        found = set(settings)
        if found != wanted:
            raise InputError(
                "MMREG_E_PREPROCESS_SPEC",
                f"A preprocessing needs the settings {_listed(wanted)}; missing are "
                f"{_listed(wanted - found)}, unknown {_listed(found - wanted)}. Write them with "
                "PreprocessSpec.as_dict.",
            )
        return cls(**settings)


def normalise(data: Array, spec: PreprocessSpec) -> Float32:
    """Intensities ``(D, H, W)``, any real dtype, as float32 in [0, 1]; all 0 if every voxel is the same.

    Percentiles are of nearest rank: values that voxels have. If those of the voxels above the lowest value
    coincide, as in a mask, the lowest value of all takes the place of the lower one.

    Raises:
        IntensityError: A voxel is not finite.
    """
    import mmreg_rt._native as _native

    image = np.ascontiguousarray(data, np.float32)
    made, (lowest, highest, not_finite) = _native.normalise(
        image.reshape(1, 1, -1), spec.intensity, spec.low, spec.high
    )
    if not_finite:
        raise IntensityError(
            "MMREG_E_INTENSITY_NOT_FINITE",
            f"A scan must be finite to be normalised; {not_finite} of {image.size} voxels are not, and the "
            f"others run from {lowest:g} to {highest:g}. Replace NaN and infinity (numpy.nan_to_num) first.",
        )
    stretched: Float32 = made.reshape(image.shape)
    return stretched


def network_grid(fixed: Grid, spec: PreprocessSpec) -> Grid:
    """The grid on which a network sees a pair: the field of view of the fixed scan, covered.

    Its axes are those of ``fixed``, reordered and turned round to come nearest to ``spec.orientation``; an
    oblique scan stays oblique. Sizes are rounded up to multiples of ``spec.multiple``, evenly on both sides;
    along an axis whose spacing stays, voxels stay where they are, and an odd one more is added at the end. A
    single slice stays one, of its own thickness. A scan that lies so already gives back its own grid.

    Raises:
        GeometryError: The grid would have too many voxels.
    """
    axes = _slice_axes(fixed, spec) if fixed.dims == 2 else _volume_axes(fixed, spec)
    signs = np.array([sign for _, sign in axes])
    order = [axis for axis, _ in axes]
    have = np.array(fixed.spacing_mm)[order]
    asked = have if spec.spacing_mm is None else np.full(3, spec.spacing_mm)
    needed = np.ceil(np.array(fixed.shape)[order] * have / asked - WHOLE_VOXEL)
    shape = np.maximum(1, np.ceil(needed / spec.multiple)) * spec.multiple
    if fixed.dims == 2:
        asked, shape = np.append(have[:1], asked[1:]), np.append(1, shape[1:])
    if shape.prod() > MAX_VOXELS:
        raise GeometryError(
            "MMREG_E_GRID_SHAPE",
            f"A network grid of {spec.spacing_mm} mm over {fixed.shape} voxels of "
            f"{np.round(fixed.spacing_mm, 4)} mm would have {shape.prod():.3g} voxels; the limit is "
            f"{MAX_VOXELS}. Crop the fixed scan.",
        )
    matrix = fixed.affine[:3, :3][:, order] * (signs * asked / have)
    added = shape - np.array(fixed.shape)[order]
    off_by_half = (added % 2 == 1) & np.isclose(asked, have, rtol=1e-4)
    grid = _centred(matrix, shape, fixed.centre_mm + matrix @ (0.5 * off_by_half))
    return fixed if grid.same_as(fixed, 1e-6 * min(fixed.spacing_mm)) else grid


def _volume_axes(fixed: Grid, spec: PreprocessSpec) -> list[tuple[int, int]]:
    """For each axis of the network's grid: which axis of the scan it is, and whether it is turned round."""
    along = _cosines(fixed, spec)
    return _best(along, [*permutations(range(3))])


def _slice_axes(fixed: Grid, spec: PreprocessSpec) -> list[tuple[int, int]]:
    """As ``_volume_axes``, with the axis across a single slice left where it is.

    The two axes in the plane are judged by what remains of the orientation without the direction that the
    slice is seen along: a coronal slice shows S and R, a sagittal one S and A.
    """
    along = _cosines(fixed, spec)
    across = int(np.argmax(np.round(np.abs(along[:, 0]) / TIE)))
    in_plane = np.delete(along, across, axis=0)
    orders = [(1, 2), (2, 1)]
    return [(0, 1), *_best(in_plane, orders)]


def _cosines(fixed: Grid, spec: PreprocessSpec) -> Float64:
    """``(3, 3)``: how far axis j of the scan (column) runs the way that network axis i should (row)."""
    wanted = np.zeros((3, 3))
    for row, letter in enumerate(reversed(spec.orientation)):
        direction, sign = _TOWARDS[letter]
        wanted[row, direction] = sign
    cosines: Float64 = wanted @ (fixed.affine[:3, :3] / fixed.spacing_mm)
    return cosines


def _best(along: Float64, orders: Sequence[tuple[int, ...]]) -> list[tuple[int, int]]:
    """The first of the orders whose axes fit best, each axis turned the way it should run."""

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


def _refusal(wanted: str, name: str, found: object) -> InputError:
    shown = repr(found)
    return InputError(
        "MMREG_E_PREPROCESS_SPEC",
        f"A preprocessing needs {wanted}; found {shown[:80]}. Correct {name}.",
    )


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(map(str, names)))[:200] or "none"
