"""What the readers of transforms share: one wording of refusals, and matrices that name their file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import GeometryError, TransformError
from ..geometry import Grid
from ..transform import Affine, Composite, DisplacementField, Rigid, Transform, is_rotation
from .numbers import number

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ..geometry import Array, Float64

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # its own inverse
MAX_TEXT_BYTES = 1 << 20
MAX_NUMBER = 1e9  # a million kilometres: anything larger is garbage, and its square may overflow
ZYX = [2, 1, 0, 3]  # columns of an affine: axes of the array for those of the file


def refusal(path: Path, what: str, expected: str, found: str) -> TransformError:
    """Return the error for a file that is not a valid transform of its kind."""
    return TransformError(
        "MMREG_E_TRANSFORM_FILE",
        f"{path} is not a valid {what}: it needs {expected}; found {found}. Write it again with its program.",
    )


def cannot_hold(path: Path, holds: str, transform: Transform) -> TransformError:
    """Return the error for a transform that a file cannot express, but another can."""
    return TransformError(
        "MMREG_E_TRANSFORM_KIND",
        f"{path.name} can only hold {holds}; found a {type(transform).__name__}. Write it as .h5, which "
        "holds any, or as a field (.nii.gz).",
    )


def needs_grid(path: Path, transform: Transform) -> TransformError:
    """Return the error for a transform without a grid that is to be written as a field."""
    return TransformError(
        "MMREG_E_TRANSFORM_KIND",
        f"{path.name} can only hold a displacement field; found a {type(transform).__name__}. Give the fixed "
        "scan (--fixed, fixed=), on whose grid it is sampled.",
    )


def affine(matrix: Float64, path: Path) -> Affine:
    """Return a ``Rigid`` or ``Affine`` of a ``(4, 4)`` matrix, RAS+ mm; an error names the file."""
    try:
        return Rigid(matrix) if is_rotation(matrix[:3, :3]) else Affine(matrix)
    except TransformError as reason:
        raise TransformError(reason.code, f"{path}: {reason.args[0]}") from reason


def inverted(matrix: Float64, path: Path) -> Float64:
    """Return the inverse of a matrix from a file."""
    return np.array(affine(matrix, path).inverse().matrix)


def single_affine(transform: Transform, path: Path, holds: str = "a rigid or affine transform") -> Affine:
    """Return a transform as one matrix, or raise if it has a part that is none."""
    parts = transform.parts if isinstance(transform, Composite) else (transform,)
    whole: Transform = parts[0]
    for part in parts[1:]:
        whole = whole.then(part)
    if not isinstance(whole, Affine):
        raise cannot_hold(path, holds, transform)
    return whole


def field_of(transform: Transform, fixed: Grid | None, path: Path) -> DisplacementField:
    """Return a transform as a field on the grid of the fixed scan, or on its own if that is not given."""
    if fixed is not None:
        return transform.to_field(fixed)
    if not isinstance(transform, DisplacementField):
        raise needs_grid(path, transform)
    return transform


def finite_number(word: str) -> float | None:
    """Return the value of a decimal number of plausible size, or None."""
    value = number(word)
    return value if value is not None and abs(value) <= MAX_NUMBER else None


def numbers(words: Iterable[str], count: int, path: Path, what: str, where: str) -> list[float]:
    """Return exactly ``count`` finite numbers, or raise."""
    words = list(words)
    values = [finite_number(word) for word in words[: count + 1]]
    if len(words) != count or None in values:
        raise refusal(path, what, f"{count} numbers in {where}", " ".join(words)[:80] or "none")
    return [value or 0.0 for value in values]


def as_matrix(values: Sequence[float]) -> Float64:
    """Return 12 or 16 numbers, row by row, as a ``(4, 4)`` matrix."""
    matrix = np.eye(4)
    matrix.flat[: len(values)] = values
    return matrix


def file_affine(grid: Grid) -> Float64:
    """Return the affine of a grid for indices in the order of files, x first."""
    columns: Float64 = grid.affine[:, ZYX]
    return columns


def grid_of_file(shape: Sequence[int], matrix: Float64, path: Path) -> Grid:
    """Return the grid of a shape ``(X, Y, Z)`` and its affine, RAS+; an error names the file."""
    try:
        x, y, z = shape
        return Grid((z, y, x), matrix[:, ZYX])
    except GeometryError as reason:
        raise GeometryError(reason.code, f"{path}: {reason.args[0]}") from reason


def displacement(u: Array, grid: Grid, path: Path) -> DisplacementField:
    """Return a field ``(3, D, H, W)``, RAS+ mm; an error names the file."""
    try:
        return DisplacementField(u, grid)
    except TransformError as reason:
        raise TransformError(reason.code, f"{path}: {reason.args[0]}") from reason


def chained(parts: Sequence[Transform]) -> Transform:
    """Return a chain in the order of application; matrices alone become one."""
    if all(isinstance(part, Affine) for part in parts):
        whole: Transform = parts[0]
        for part in parts[1:]:
            whole = whole.then(part)
        return whole
    return parts[0] if len(parts) == 1 else Composite(tuple(parts))
