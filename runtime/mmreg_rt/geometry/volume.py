"""Volumes: images on grids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .. import arguments
from ..errors import InputError, IntensityError
from .affine import as_matrix, slice_affine
from .grid import Grid

if TYPE_CHECKING:
    import numpy.typing as npt

    from .grid import Array, Float32, Int32


@dataclass(frozen=True, eq=False)
class Volume:
    """An image on a grid.

    Args:
        data: ``(D, H, W)``, any real dtype, in the intensities of the scan.
        grid: Where its voxels lie.
        source: Header of the file, set and used by ``mmreg_rt.io`` to write it back.

    Raises:
        InputError: ``data`` is not a real array of the grid's shape.

    Example:
        >>> volume = Volume.from_array(np.zeros((4, 5)), np.eye(3))
        >>> volume.data.shape
        (1, 4, 5)
    """

    data: Array
    grid: Grid
    source: object | None = None

    def __post_init__(self) -> None:
        data = arguments.array(self.data, "The data of a volume", "MMREG_E_VOLUME_DTYPE")
        arguments.a("Grid")(self.grid, "The grid of a volume")
        if data.shape != self.grid.shape:
            raise InputError(
                "MMREG_E_VOLUME_SHAPE",
                f"The data of a volume must have its grid's shape {self.grid.shape}; found {data.shape}.",
            )
        object.__setattr__(self, "data", data)

    @classmethod
    def from_array(cls, array: npt.ArrayLike, affine: npt.ArrayLike) -> Volume:
        """Create a volume from an array and its affine.

        Args:
            array: ``(D, H, W)`` or ``(H, W)``, any real dtype.
            affine: ``(4, 4)``, array indices to RAS+ mm. For ``(H, W)`` either that of ``(1, H, W)``, or
                ``(3, 3)``, which maps ``(i1, i2)`` to x and y; the slice then lies at z = 0, 1 mm thick.

        Raises:
            InputError: The array is not real, or has another number of axes.
            GeometryError: The affine is not valid.
        """
        data = arguments.array(array, "The array of a volume", "MMREG_E_VOLUME_DTYPE")
        matrix = as_matrix(affine, "The affine of a volume")
        if data.ndim == 2:
            data = data[None]
            matrix = slice_affine(matrix) if matrix.shape == (3, 3) else matrix
        if data.ndim != 3:
            raise InputError(
                "MMREG_E_VOLUME_SHAPE",
                f"A volume must be an array (D, H, W) or (H, W); found shape {data.shape}. Register the "
                "frames or channels of a larger array one by one.",
            )
        d, h, w = data.shape
        return cls(data, Grid((d, h, w), matrix))

    def with_data(self, data: Array) -> Volume:
        """Return another image on this grid, with the same file header."""
        return Volume(data, self.grid, self.source)

    def as_float32(self) -> Float32:
        """Return the data as float32, C-order, without a copy if it is that already.

        Raises:
            IntensityError: A finite value is too large for float32.
        """
        with np.errstate(over="ignore"):
            data: Float32 = np.ascontiguousarray(self.data, np.float32)
        if self.data.dtype.kind == "f" and self.data.dtype.itemsize > 4:
            _refuse_overflow(self.data, data)
        return data

    def as_labels(self) -> Int32:
        """Return the data as an int32 label map, C-order.

        Raises:
            InputError: A value is not a whole number, or takes more than 32 bits.
        """
        data = self.data
        whole = np.isfinite(data) & (data == np.rint(data)) if data.dtype.kind == "f" else np.True_
        if not whole.all():
            raise InputError(
                "MMREG_E_LABELS_FRACTIONAL",
                f"Labels must be whole numbers; found {data[~whole][0]:g}. Give the label map, not a "
                "probability or a linearly resampled map.",
            )
        low, high = int(data.min()), int(data.max())
        if low < -(2**31) or high >= 2**31:
            raise InputError(
                "MMREG_E_LABELS_RANGE",
                f"Labels must fit 32 bits; found {low} to {high}. Renumber them (numpy.unique).",
            )
        return np.ascontiguousarray(data, np.int32)


def outside_value(image: Float32, outside: object) -> float:
    """Return the value outside an image: ``outside``, or if it is None the lowest finite voxel value.

    The latter is NaN if no voxel is finite.

    Raises:
        InputError: ``outside`` is infinite, too large for float32, or not a number.
    """
    value = checked_outside(outside)
    if value is not None:
        return value
    finite = np.isfinite(image)
    return float(np.min(image, where=finite, initial=np.inf)) if finite.any() else float("nan")


def checked_outside(outside: object) -> float | None:
    """Return ``outside`` as float, or None.

    Raises:
        InputError: It is infinite, too large for float32, or not a number.
    """
    if outside is None:
        return None
    number = isinstance(outside, (int, float, np.integer, np.floating)) and not isinstance(outside, bool)
    if not number or abs(outside) > float(np.finfo(np.float32).max):  # type: ignore[arg-type]
        raise InputError(
            "MMREG_E_OUTSIDE",
            f"The value outside a scan must be a number that fits float32, or NaN; found {outside!r}. By "
            "default it is the lowest value of the scan.",
        )
    return float(outside)  # type: ignore[arg-type]


def _refuse_overflow(data: Array, narrow: Float32) -> None:
    lost = np.isinf(narrow) & np.isfinite(data)
    if lost.any():
        index = tuple(int(i) for i in np.argwhere(lost)[0])
        raise IntensityError(
            "MMREG_E_INTENSITY_OVERFLOW",
            f"Voxel values must fit float32, up to 3.4e38; found {data[index]:g} at index {index}. Rescale "
            "the intensities.",
        )
