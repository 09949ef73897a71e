"""Landmarks as CSV: the first line ``x,y,z``, then one point a line, RAS+ mm, decimal points.

Nothing is guessed: a semicolon, a decimal comma, a byte-order mark or a missing number is an error, because
each of them has been read as other points by some program.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..geometry import as_points
from . import files

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from ..geometry import Float64

MAX_TEXT_BYTES = 1 << 26
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)


def read(path: Path) -> Float64:
    """The points in ``path``, ``(N, 3)``."""
    lines = files.read_text(path, MAX_TEXT_BYTES).splitlines()
    _check_heading(lines[0] if lines else "", path)
    rows = [_point(line, n, path) for n, line in enumerate(lines[1:], 2) if line.strip()]
    if not rows:
        raise InputError("MMREG_E_POINTS_EMPTY", f"{path} has no point after its first line. Add one a line.")
    return np.array(rows)


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
    with files.replaced(path) as stream:
        stream.write("\n".join(["x,y,z", *rows, ""]).encode())


def _check_heading(line: str, path: Path) -> None:
    if [name.strip() for name in line.split(",")] == ["x", "y", "z"]:
        return
    hint = " The separator is a comma." if ";" in line or "\t" in line else ""
    raise InputError(
        "MMREG_E_POINTS_HEADING",
        f"The first line of {path} must be x,y,z; found {line[:60]!r}.{hint} Points are in RAS+ mm: turn "
        "the signs "
        "of x and y of points from ITK, ANTs or DICOM, which are LPS.",
    )


def _point(line: str, number: int, path: Path) -> list[float]:
    words = line.split(",")
    if len(words) != 3 or not all(map(_NUMBER.fullmatch, words)):
        raise InputError(
            "MMREG_E_POINTS_ROW",
            f"Line {number} of {path} must be three numbers with decimal points, separated by commas; found "
            f"{line[:80]!r}.{_hint(line, words)}",
        )
    values = [float(word) for word in words]
    if not all(map(math.isfinite, values)):
        raise InputError(
            "MMREG_E_POINTS_NOT_FINITE",
            f"Line {number} of {path} has a number too large for float64: {line[:80]!r}. Correct the line.",
        )
    return values


def _hint(line: str, words: list[str]) -> str:
    if ";" in line or "\t" in line:
        return " Use commas as separators."
    if len(words) == 6:
        return " Use decimal points, not decimal commas."
    if "nan" in line.lower() or "inf" in line.lower():
        return " Leave out points that were not found."
    return " Correct the line."
