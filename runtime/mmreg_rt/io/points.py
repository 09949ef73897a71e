"""Landmarks as CSV: the first line is ``x,y,z``, then one point a line, RAS+ mm, with decimal points.

Nothing is guessed: a semicolon, a decimal comma, a byte-order mark or a missing number is an error, because
some program has read each of them as other points.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ..errors import InputError
from ..geometry import as_points
from . import files
from .numbers import number

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from ..geometry import Float64

MAX_TEXT_BYTES = 1 << 26
MAX_LINE_BYTES = 1000
_LINE_END = re.compile(rb"\r?\n|\r(?=.)", re.DOTALL)  # a last \r may be half of \r\n


def read(path: Path) -> Float64:
    """Read points ``(N, 3)``, in little more memory than their 24 bytes each."""
    with files.open_regular(path) as stream:
        files.check_length(stream, path, MAX_TEXT_BYTES)
        count = sum(1 for _ in _lines(stream, path))  # upper bound of points, which are stored in place
        stream.seek(0)
        lines = _lines(stream, path)
        _check_heading(next(lines, (1, ""))[1], path)
        points = np.empty((count, 3))
        read = 0
        for number, line in lines:
            if line.strip() and read < count:
                points[read] = _point(line, number, path)
                read += 1
    if not read:
        raise InputError(
            "MMREG_E_POINTS_EMPTY", f"{path} has no point after its first line. Add one point a line."
        )
    return points[:read]


def write(points_mm: npt.ArrayLike, path: Path) -> None:
    """Write ``(N, 3)`` points to ``path``."""
    points = as_points(points_mm)
    if not np.isfinite(points).all():
        raise InputError(
            "MMREG_E_POINTS_NOT_FINITE",
            f"Points must be finite; row {int(np.argwhere(~np.isfinite(points))[0, 0])} is not. Leave it "
            "out.",
        )
    rows = [",".join(repr(float(v)) for v in point) for point in points]
    with files.atomic_write(path) as stream:
        stream.write("\n".join(["x,y,z", *rows, ""]).encode())


def _lines(stream: BinaryIO, path: Path) -> Iterator[tuple[int, str]]:
    """Yield line numbers, from 1, and lines; a line may end as on Windows or an old Mac."""
    number, at, rest = 1, 0, b""  # `at`: offset of `rest` in the file
    while block := stream.read(files.CHUNK):
        data, start = rest + block, 0
        for end in _LINE_END.finditer(data):
            yield number, _text(data[start : end.start()], number, at + start, path)
            number, start = number + 1, end.end()
        at, rest = at + start, data[start:]
        if len(rest) > MAX_LINE_BYTES:
            break
    if rest:
        yield number, _text(rest, number, at, path)


def _text(line: bytes, number: int, at: int, path: Path) -> str:
    if len(line) > MAX_LINE_BYTES:
        raise _bad_row(line[:MAX_LINE_BYTES].decode(errors="replace"), number, path, " Correct the line.")
    return files.decoded(line, path, at)


def _check_heading(line: str, path: Path) -> None:
    if [name.strip() for name in line.split(",")] == ["x", "y", "z"]:
        return
    hint = " The separator is a comma." if ";" in line or "\t" in line else ""
    raise InputError(
        "MMREG_E_POINTS_HEADING",
        f"The first line of {path} must be x,y,z; found {line[:60]!r}.{hint} Points must be in RAS+ mm: flip "
        "the signs of x and y of points from ITK, ANTs or DICOM, which are LPS.",
    )


def _point(line: str, row: int, path: Path) -> list[float]:
    words = line.split(",")
    values = [number(word.strip()) for word in words]
    if len(values) != 3 or None in values:
        raise _bad_row(line, row, path, _hint(line, words))
    x, y, z = (value or 0.0 for value in values)
    if not (math.isfinite(x) and math.isfinite(y) and math.isfinite(z)):
        raise InputError(
            "MMREG_E_POINTS_NOT_FINITE",
            f"Line {row} of {path} has a number too large for float64: {line[:80]!r}. Correct the line.",
        )
    return [x, y, z]


def _bad_row(line: str, row: int, path: Path, hint: str) -> InputError:
    return InputError(
        "MMREG_E_POINTS_ROW",
        f"Line {row} of {path} must be three numbers with decimal points, separated by commas; found "
        f"{line[:80]!r}.{hint}",
    )


def _hint(line: str, words: list[str]) -> str:
    if ";" in line or "\t" in line:
        return " Use commas as separators."
    if len(words) == 6:
        return " Use decimal points, not decimal commas."
    if "nan" in line.lower() or "inf" in line.lower():
        return " Leave out missing points."
    return " Correct the line."
