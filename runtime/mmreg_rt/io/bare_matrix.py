"""Text files of nothing but the numbers of a matrix, which several programs write with different meanings.

- FLIRT (FSL): 4 x 4, moving to fixed points in scaled voxels.
- reg_aladin (NiftyReg): 4 x 4, fixed to moving points, RAS mm.
- AFNI (``.1D``): 12 numbers in one line or 3 x 4, fixed to moving points in DICOM order (LPS mm).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import files
from .transform_file import as_matrix, numbers, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from ..geometry import Float64

MAX_BYTES = 1 << 16  # a matrix and its comments


def read(path: Path, what: str, shapes: tuple[tuple[int, ...], ...]) -> Float64:
    """Return the matrix ``(4, 4)``.

    Args:
        path: The file.
        what: Name of the format, for messages.
        shapes: Accepted numbers of columns of each row, such as ``(4, 4, 4, 4)``.
    """
    text = files.read_text(path, MAX_BYTES)
    lines = [line.strip() for line in text.splitlines()]
    rows = [line.split() for line in lines if line and not line.startswith(("#", "%"))]
    found = tuple(map(len, rows[:5]))
    if found not in shapes:
        wanted = " or ".join("x".join(map(str, (len(shape), shape[0]))) for shape in shapes)
        raise refusal(path, what, f"{wanted} numbers", f"rows of {found or 0} words")
    values = numbers((word for row in rows for word in row), sum(found), path, what, "the matrix")
    if len(values) == 16 and values[12:] != [0, 0, 0, 1]:
        raise refusal(path, what, "the last row 0 0 0 1", " ".join(f"{v:g}" for v in values[12:]))
    return as_matrix(values)


def write(rows: Float64, path: Path, heading: str = "", one_line: bool = False) -> None:
    """Write the rows of a matrix, with all digits."""
    texts = [" ".join(repr(float(v)) for v in row) for row in rows]
    body = (" " if one_line else "\n").join(texts)
    with files.atomic_write(path) as stream:
        stream.write(f"{heading}{body}\n".encode())
