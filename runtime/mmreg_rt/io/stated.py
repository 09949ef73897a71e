"""What the header of an image file states, checked one field at a time; the errors name field and value.

Headers of NRRD and MetaImage are lines of text, each a field and its value. They are parsed here and not by a
library, because every field decides how many bytes of which file are read.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..errors import GeometryError, InputError
from ..geometry import MAX_VOXELS
from .numbers import number

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import BinaryIO

    from ..geometry import Array, Float64

MAX_HEADER_BYTES = 1 << 18
MAX_SKIPPED_BYTES = 1 << 26
MM_PER_UNIT = {
    "": 1.0, "mm": 1.0, "millimeter": 1.0, "millimetre": 1.0, "cm": 10.0, "m": 1000.0,
    "um": 1e-3, "\u00b5m": 1e-3, "micron": 1e-3, "micrometer": 1e-3,
}  # fmt: skip


def lines_up_to(stream: BinaryIO, path: Path, last: str | None) -> list[str]:
    """Read lines of text up to an empty line, or to one that begins with ``last``; leave the stream after it.

    Raises:
        InputError: There is no such line within ``MAX_HEADER_BYTES``, or the lines are not UTF-8 text.
    """
    lines: list[str] = []
    left = MAX_HEADER_BYTES
    while raw := stream.readline(left):
        left -= len(raw)
        if not raw.endswith(b"\n"):
            break
        line = raw.strip(b"\r\n").decode(errors="replace")
        if last is None and not line.strip():
            return lines
        lines.append(line)
        if last is not None and line.partition("=")[0].strip() == last:
            return lines
    if last is None and left:  # a detached header may end with the file
        return [*lines, raw.decode(errors="replace")] if raw else lines
    wanted = "an empty line" if last is None else f"a line {last}"
    raise unusable(path, "the end", f"none within {MAX_HEADER_BYTES} bytes", wanted)


def unusable(path: Path, field: str, found: object, wanted: str) -> InputError:
    """Return the error of a field that cannot be read."""
    return InputError(
        "MMREG_E_IMAGE_HEADER",
        f"The header of {path} cannot be used: {field} must be {wanted}; found {str(found)[:80]!r}. Write "
        "the file again, for instance with SimpleITK or 3D Slicer.",
    )


def unsupported(path: Path, field: str, found: object, wanted: str) -> InputError:
    """Return the error of a file that is correct, but stored in a way that is not read."""
    return InputError(
        "MMREG_E_IMAGE_STORAGE",
        f"{path} is stored in a way that is not supported: {field} must be {wanted}; found "
        f"{str(found)[:80]!r}. Convert the image to NIfTI with SimpleITK or 3D Slicer.",
    )


def whole_numbers(text: str, count: int | None, path: Path, field: str) -> tuple[int, ...]:
    """Return whole numbers separated by blanks; ``count`` of them, or any."""
    words = text.split()
    if not words or len(words) != (count or len(words)) or not all(_is_whole(word) for word in words):
        raise unusable(path, field, text, f"{count or 'one or more'} whole numbers")
    return tuple(map(int, words))


def _is_whole(word: str) -> bool:
    return len(word) <= 18 and word.isascii() and word.removeprefix("-").isdigit()


def numbers(text: str, count: int, path: Path, field: str) -> Float64:
    """Return ``count`` finite numbers separated by blanks."""
    values = [number(word) for word in text.split()]
    if len(values) != count or not all(value is not None and math.isfinite(value) for value in values):
        raise unusable(path, field, text, f"{count} finite numbers")
    return np.array(values, np.float64)


def check_sizes(sizes: Sequence[int], path: Path) -> None:
    """Raise ``InputError`` unless the sizes are at least 1 each and not too many voxels."""
    if not sizes or min(sizes) < 1 or math.prod(sizes) > MAX_VOXELS:
        raise InputError(
            "MMREG_E_IMAGE_DIM",
            f"The dimensions of {path} must be at least 1 each and at most {MAX_VOXELS} voxels in all; found "
            f"{' x '.join(map(str, sizes))}. Repair the header, or crop or resample the image.",
        )


def refuse_channels(count: int, path: Path, what: str = "numbers") -> None:
    """Raise ``InputError`` for voxels of several values."""
    if count != 1:
        raise InputError(
            "MMREG_E_IMAGE_CHANNELS",
            f"Each voxel of {path} has {count} {what}; it must have one real number. Convert colours to one "
            "channel, and give displacement fields as NIfTI (transform).",
        )


def not_oriented(path: Path, found: str, advice: str) -> GeometryError:
    """Return the error of a file that does not say how its axes lie in the patient."""
    return GeometryError(
        "MMREG_E_IMAGE_NO_ORIENTATION",
        f"The header of {path} does not say how the image lies in the patient ({found}), and programs differ "
        f"in what they then assume. {advice}",
    )


def check_spacing(spacing: Float64, path: Path, field: str) -> None:
    """Raise ``GeometryError`` unless the spacing is finite and above 0."""
    if not (np.isfinite(spacing).all() and (spacing > 0).all()):
        raise GeometryError(
            "MMREG_E_IMAGE_SPACING",
            f"The voxel spacing of {path} must be above 0; found {field} = "
            f"{' '.join(f'{s:g}' for s in spacing)}. Repair the header.",
        )


def data_file(path: Path, name: str) -> Path:
    """Return the path of a file with voxels, which must lie beside its header.

    Raises:
        InputError: The name leads elsewhere, or is a list or pattern of files.
    """
    word = name.split()[0] if name.split() else ""
    if "%" in name or word.upper() == "LIST":
        raise InputError(
            "MMREG_E_IMAGE_DATA_FILE",
            f"The header {path} names a list or pattern of data files, {name[:80]!r}; the voxels must be in "
            "one file. Write the image as one file, for instance with SimpleITK or 3D Slicer.",
        )
    if not name or name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise InputError(
            "MMREG_E_IMAGE_DATA_FILE",
            f"The header {path} names the data file {name[:80]!r}; it must lie in the folder of its header. "
            "Copy it there and correct its name in the header.",
        )
    return path.with_name(name)


def native(stored: bytes | bytearray, dtype: np.dtype[np.generic], shape: Sequence[int]) -> Array:
    """Return bytes as an array in the byte order of this machine."""
    array: Array = np.frombuffer(stored, dtype).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)
