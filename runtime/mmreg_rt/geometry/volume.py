"""Images and where they lie."""

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
    """An image and where it lies.

    Args:
        data: ``(D, H, W)``, any real dtype, in the intensities of the scan.
        grid: Where its voxels lie.
        source: What ``mmreg_rt.io`` needs to write the header of the file back; leave it alone.

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
                f"A volume needs data of its grid's shape {self.grid.shape}, (D, H, W); found {data.shape}.",
            )
        object.__setattr__(self, "data", data)

    @classmethod
    def from_array(cls, array: npt.ArrayLike, affine: npt.ArrayLike) -> Volume:
        """A volume of an array ``(D, H, W)`` and its affine ``(4, 4)``; or of ``(H, W)``.

        For ``(H, W)`` the affine is either ``(4, 4)``, of the array ``(1, H, W)``, or ``(3, 3)``, which maps
        ``(i1, i2)`` to x and y; the slice then lies at z = 0 and is 1 mm thick.
        """
        data = arguments.array(array, "The array of a volume", "MMREG_E_VOLUME_DTYPE")
        matrix = as_matrix(affine, "The affine of a volume")
        if data.ndim == 2:
            data = data[None]
            matrix = slice_affine(matrix) if matrix.shape == (3, 3) else matrix
        if data.ndim != 3:
            raise InputError(
                "MMREG_E_VOLUME_SHAPE",
                f"A volume is an array (D, H, W) or (H, W); found shape {data.shape}. "
                "Register the frames or channels of a larger array one by one.",
            )
        d, h, w = data.shape
        return cls(data, Grid((d, h, w), matrix))

    def with_data(self, data: Array) -> Volume:
        """Another image on this grid, to be written with this header."""
        return Volume(data, self.grid, self.source)

    def as_float32(self) -> Float32:
        """``(D, H, W)`` float32, C-order: the data itself where it is that already.

        Raises:
            IntensityError: A finite value is too large for float32.
        """
        with np.errstate(over="ignore"):
            data: Float32 = np.ascontiguousarray(self.data, np.float32)
        if self.data.dtype.kind == "f" and self.data.dtype.itemsize > 4:
            _refuse_overflow(self.data, data)
        return data

    def as_labels(self) -> Int32:
        """``(D, H, W)`` int32, C-order: the data as a label map.

        Raises:
            InputError: A value is not a whole number, or takes more than 32 bits.
        """
        data = self.data
        whole = np.isfinite(data) & (data == np.rint(data)) if data.dtype.kind == "f" else np.True_
        if not whole.all():
            raise InputError(
                "MMREG_E_LABELS_FRACTIONAL",
                f"Labels are whole numbers; found {data[~whole][0]:g}. Give the label map, not a "
                "probability or a linearly resampled map.",
            )
        low, high = int(data.min()), int(data.max())
        if low < -(2**31) or high >= 2**31:
            raise InputError(
                "MMREG_E_LABELS_RANGE",
                f"Labels must fit 32 bits; found {low} to {high}. Number them anew (numpy.unique).",
            )
        return np.ascontiguousarray(data, np.int32)


def outside_value(image: Float32, asked: object) -> float:
    """The value outside of an image: the one asked for, or if that is None the lowest finite one.

    NaN where no voxel is finite.

    Raises:
        InputError: It is infinite, too large for float32, or no number.
    """
    known = checked_outside(asked)
    if known is not None:
        return known
    finite = np.isfinite(image)
    return float(np.min(image, where=finite, initial=np.inf)) if finite.any() else float("nan")


def checked_outside(asked: object) -> float | None:
    """``asked`` if it can be the value outside of an image.

    Raises:
        InputError: It is infinite, too large for float32, or no number.
    """
    if asked is None:
        return None
    number = isinstance(asked, (int, float, np.integer, np.floating)) and not isinstance(asked, bool)
    if not number or abs(asked) > float(np.finfo(np.float32).max):  # type: ignore[arg-type]
        raise InputError(
            "MMREG_E_OUTSIDE",
            f"The value outside of a scan is a number that float32 holds, or NaN; found {asked!r}. Without "
            "one it is the lowest value of the scan.",
        )
    return float(asked)  # type: ignore[arg-type]


def _refuse_overflow(data: Array, narrow: Float32) -> None:
    lost = np.isinf(narrow) & np.isfinite(data)
    if lost.any():
        index = tuple(int(i) for i in np.argwhere(lost)[0])
        raise IntensityError(
            "MMREG_E_INTENSITY_OVERFLOW",
            f"Voxel values must fit float32, up to 3.4e38; found {data[index]:g} at index {index}. "
            "Rescale the intensities.",
        )
