"""Pixels of DICOM images: decoded by pydicom, and turned into the units of the scan."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import BackendUnavailableError, InputError
from .. import stated, voxels
from ..optional import library
from .datasets import damaged

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ...geometry import Array
    from .planes import Plane

_GREY = ("MONOCHROME1", "MONOCHROME2")
_LOSSLESS = ("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")


def check(dataset: Any, path: Path, size: int) -> tuple[int, int, int]:
    """Return frames, rows and columns of a file, from its header alone.

    Raises:
        InputError: The pixels are not one real number each, or the file cannot hold them.
        BackendUnavailableError: Nothing is installed that decodes them.
    """
    try:
        shape = tuple(int(dataset.get(name) or 0) for name in ("NumberOfFrames", "Rows", "Columns"))
        samples, bits = int(dataset.get("SamplesPerPixel") or 1), int(dataset.get("BitsAllocated") or 0)
    except (TypeError, ValueError) as reason:
        raise damaged(path, "sizes that are not numbers") from reason
    frames, rows, columns = max(shape[0], 1), shape[1], shape[2]
    if not (rows and columns):
        raise damaged(path, "no image in it")
    photometric = str(dataset.get("PhotometricInterpretation", ""))
    if samples != 1 or photometric not in _GREY:
        stated.refuse_channels(max(samples, 2), path, f"numbers ({photometric[:20] or 'no photometric'})")
    stated.check_sizes((columns, rows, frames), path)
    if "ModalityLUTSequence" in dataset:
        raise InputError(
            "MMREG_E_DICOM_LUT",
            f"The values of {path} are given by a table (Modality LUT), which is not supported. Convert the "
            "series with dcm2niix.",
        )
    count = math.ceil(frames * rows * columns * max(bits, 1) / 8)
    _check_decoder(dataset, path)
    voxels.check_room(voxels.Block(0, count, f"{columns} x {rows} x {frames}"), path, size, True, tail=True)
    return frames, rows, columns


def _check_decoder(dataset: Any, path: Path) -> None:
    pixels = library("pydicom.pixels", "dicom", "Reading DICOM")
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    try:
        decoder = pixels.get_decoder(syntax)
    except Exception as reason:  # an unknown or missing syntax
        raise InputError(
            "MMREG_E_DICOM_COMPRESSION",
            f"The pixels of {path} are stored in a way that is not supported (transfer syntax "
            f"{str(syntax)[:70]}). Convert the series with dcmconv or gdcmconv --raw.",
        ) from reason
    if not decoder.is_available:
        install = "python-gdcm" if str(syntax) in _LOSSLESS else "'mmreg-rt[dicom]'"
        raise BackendUnavailableError(
            "MMREG_E_EXTRA_MISSING",
            f"The pixels of {path} are compressed ({syntax.name}), and no decoder for that is installed in "
            f"this environment. Install one: pip install {install}; or convert the series: gdcmconv --raw.",
        )


def decoded(dataset: Any, path: Path, shape: tuple[int, int, int]) -> Array:
    """Return the stored values of a file, ``(frames, rows, columns)``."""
    try:
        array: Array = np.asarray(dataset.pixel_array)
        return array.reshape(shape)
    except MemoryError:
        raise
    except Exception as reason:  # damaged pixels end in every kind of exception
        raise damaged(path, f"its pixels: {type(reason).__name__}") from reason


def value_type(planes: Sequence[Plane], stored: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type of the rescaled values: whole numbers, if all slopes are 1 and all intercepts whole."""
    if stored.kind not in "iu" or any(p.slope != 1 or p.inter != int(p.inter) for p in planes):
        return np.dtype(np.float64 if stored.itemsize > 4 else np.float32)
    limits = np.iinfo(stored)
    low = limits.min + min(int(p.inter) for p in planes)
    high = limits.max + max(int(p.inter) for p in planes)
    if all(p.inter == 0 for p in planes):
        return stored
    return np.dtype(np.int32 if low >= -(2**31) and high < 2**31 else np.float64)


def rescaled(stored: Array, plane: Plane, kind: np.dtype[Any]) -> Array:
    """Return the values of one plane in the units of the scan."""
    if (plane.slope, plane.inter) == (1.0, 0.0):
        return stored.astype(kind)
    wide = np.int64 if kind.kind in "iu" else np.float64
    values: Array = stored.astype(wide) * wide(plane.slope) + wide(plane.inter)
    return values.astype(kind)


def narrowed(values: Array) -> Array:
    """Return whole numbers as int16 if all fit, as the values of CT do."""
    if values.dtype == np.int32 and values.min() >= -(2**15) and values.max() < 2**15:
        return values.astype(np.int16)
    return values
