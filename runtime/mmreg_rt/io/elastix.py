"""Parameter files of elastix (``TransformParameters.0.txt``): fixed to moving points in LPS mm.

A file may name another one that is applied first (``InitialTransformParametersFileName``); the two are
composed, ``T(p) = this(initial(p))``, unless it says ``Add``. Directions are written column by column
(elastix manual, "Transform parameters"). An initial file is looked for under its name, then beside the file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import TransformError
from ..geometry import Grid
from ..transform import Transform
from ..transform.spline import SplineField
from . import files, itk
from .transform_file import (
    LPS,
    chained,
    file_affine,
    finite_number,
    grid_of_file,
    refusal,
    single_affine,
)

if TYPE_CHECKING:
    from ..geometry import Float64
    from .spaces import Spaces

MAX_BYTES = 1 << 28  # parameters of B-splines are written as text
MAX_INITIAL = 16  # files in a chain
_WHAT = "parameter file of elastix"
_WORD = re.compile(r"\S+")
_ENTRY = re.compile(r"\(\s*(\w+)\s+([^()]*)\)", re.ASCII)
_KINDS = {
    "EulerTransform": "Euler3DTransform_double_3_3",
    "SimilarityTransform": "Similarity3DTransform_double_3_3",
    "AffineTransform": "AffineTransform_double_3_3",
    "TranslationTransform": "TranslationTransform_double_3_3",
}
_SPLINES = ("BSplineTransform", "RecursiveBSplineTransform")
_NO_FILE = ("NoInitialTransform", "")
_LISTS = "TransformParameters"

Entries = dict[str, str]


def read(path: Path, spaces: Spaces) -> Transform:  # noqa: ARG001 (in LPS mm)
    """Read a parameter file and the ones that are applied before it."""
    parts: list[Transform] = []
    seen: set[Path] = set()
    current: Path | None = path
    while current is not None:
        if len(seen) == MAX_INITIAL or current.resolve() in seen:
            raise refusal(path, _WHAT, f"a chain of at most {MAX_INITIAL} files", f"{current.name} again")
        seen.add(current.resolve())
        entries = _entries(current)
        parts.append(_transform(entries, current))
        current = _initial(entries, current)
    return chained(parts[::-1])


def write(transform: Transform, path: Path, spaces: Spaces) -> None:
    """Write a rigid or affine transform with the grid of the fixed scan, on which transformix resamples."""
    single = single_affine(transform, path)
    grid = spaces.fixed_grid(path, "a parameter file of elastix")
    name, numbers = itk.parameters(single)
    size, origin, spacing, direction = _geometry(grid)
    lines = [
        f'(Transform "{name.replace("3D", "")}")',
        f"(NumberOfParameters {len(numbers)})",
        f"({_LISTS} {_words(numbers)})",
        '(InitialTransformParametersFileName "NoInitialTransform")',
        '(InitialTransformParameterFileName "NoInitialTransform")',
        '(UseBinaryFormatForTransformationParameters "false")',
        '(HowToCombineTransforms "Compose")',
        "(FixedImageDimension 3)",
        "(MovingImageDimension 3)",
        '(FixedInternalImagePixelType "float")',
        '(MovingInternalImagePixelType "float")',
        f"(Size {' '.join(map(str, size))})",
        "(Index 0 0 0)",
        f"(Spacing {_words(spacing)})",
        f"(Origin {_words(origin)})",
        f"(Direction {_words(direction.T.ravel())})",
        '(UseDirectionCosines "true")',
        "(CenterOfRotationPoint 0 0 0)",
        '(ComputeZYX "false")' if name.startswith("Euler") else "",
        '(ResampleInterpolator "FinalBSplineInterpolator")',
        "(FinalBSplineInterpolationOrder 3)",
        '(Resampler "DefaultResampler")',
        "(DefaultPixelValue 0)",
        '(ResultImageFormat "nii")',
        '(ResultImagePixelType "float")',
        '(CompressResultImage "false")',
    ]
    with files.atomic_write(path) as stream:
        stream.write("\n".join([*filter(None, lines), ""]).encode())


def _words(values: object) -> str:
    return " ".join(repr(float(v)) for v in values)  # type: ignore[attr-defined]


def _geometry(grid: Grid) -> tuple[tuple[int, ...], Float64, Float64, Float64]:
    matrix = LPS @ file_affine(grid)
    spacing = np.array(grid.spacing_mm[::-1])
    return grid.shape[::-1], matrix[:3, 3], spacing, matrix[:3, :3] / spacing


def _entries(path: Path) -> Entries:
    text = files.read_text(path, MAX_BYTES)
    lines = (line.partition("//")[0] for line in text.splitlines())
    entries = {}
    for line in lines:
        match = _ENTRY.fullmatch(line.strip())
        if match:
            entries[match[1]] = match[2].strip()
        elif line.strip():
            raise refusal(path, _WHAT, "entries (Name values)", repr(line.strip()[:60]))
    if "Transform" not in entries:
        raise refusal(path, _WHAT, "the entry (Transform ...)", ", ".join(entries)[:60] or "none")
    return entries


def _text(entries: Entries, name: str, default: str) -> str:
    return entries.get(name, default).strip('"')


def _numbers(entries: Entries, name: str, count: int, path: Path, default: str = "") -> Float64:
    """Return the numbers of an entry, in 8 bytes each."""
    text = entries.get(name, default)
    values = np.full(min(count, len(text) // 2 + 1), np.nan)
    found = 0
    for found, word in enumerate(_WORD.finditer(text), 1):
        value = finite_number(word[0])
        if value is None or found > len(values):
            break
        values[found - 1] = value
    if found != count or len(values) != count or np.isnan(values).any():
        raise refusal(path, _WHAT, f"{count} numbers in {name}", repr(text[:60]))
    return values


def _initial(entries: Entries, path: Path) -> Path | None:
    name = _text(entries, "InitialTransformParameterFileName", "")
    name = _text(entries, "InitialTransformParametersFileName", name)
    if name in _NO_FILE:
        return None
    how = _text(entries, "HowToCombineTransforms", "Compose")
    if how != "Compose":
        raise TransformError(
            "MMREG_E_TRANSFORM_KIND",
            f"{path} combines transforms by {how[:40]!r}; only Compose is read. Write its field with "
            "transformix -def all.",
        )
    stated = path.parent / name
    return stated if stated.is_file() else path.parent / Path(name.replace("\\", "/")).name


def _transform(entries: Entries, path: Path) -> Transform:
    kind = _text(entries, "Transform", "")
    if _numbers(entries, "FixedImageDimension", 1, path, "3")[0] != 3:
        raise TransformError(
            "MMREG_E_TRANSFORM_KIND", f"{path} is not 3-D. Write its field with transformix."
        )
    if kind in _SPLINES:
        return _spline(entries, path)
    if kind not in _KINDS:
        raise TransformError(
            "MMREG_E_TRANSFORM_KIND",
            f"{path} holds a transform of elastix of type {kind[:40]!r}; supported are "
            f"{', '.join((*_KINDS, *_SPLINES))}. Write its field with transformix -def all.",
        )
    count = {"AffineTransform": 12, "TranslationTransform": 3, "SimilarityTransform": 7}.get(kind, 6)
    values = _numbers(entries, _LISTS, count, path)
    shift = kind == "TranslationTransform"
    centre = [] if shift else _numbers(entries, "CenterOfRotationPoint", 3, path).tolist()
    zyx = [1.0] if _text(entries, "ComputeZYX", "false") == "true" else []
    return itk.transform(_KINDS[kind], values.tolist(), centre + zyx * (kind == "EulerTransform"), path)


def _spline(entries: Entries, path: Path) -> SplineField:
    order = _numbers(entries, "BSplineTransformSplineOrder", 1, path, "3")
    cyclic = _text(entries, "UseCyclicTransform", "false")
    if order[0] != 3 or cyclic != "false":
        raise TransformError(
            "MMREG_E_TRANSFORM_KIND",
            f"{path} has B-splines of order {order[0]:g}, cyclic {cyclic[:8]}; only cubic ones that are not "
            "cyclic are read. Write its field with transformix -def all.",
        )
    lattice, domain = _grid(entries, "Grid", path), _grid(entries, "", path)
    count = 3 * lattice.size
    c = _numbers(entries, _LISTS, count, path).reshape(3, *lattice.shape)
    c[:2] *= -1  # LPS
    try:
        return SplineField(c.astype(np.float32), lattice, domain)
    except TransformError as reason:
        raise TransformError(reason.code, f"{path}: {reason.args[0]}") from reason


def _grid(entries: Entries, prefix: str, path: Path) -> Grid:
    size, index, spacing, origin = (
        _numbers(entries, prefix + name, 3, path, default)
        for name, default in (("Size", ""), ("Index", "0 0 0"), ("Spacing", ""), ("Origin", ""))
    )
    direction = _numbers(entries, prefix + "Direction", 9, path, "1 0 0 0 1 0 0 0 1")
    shape = [int(n) for n in size]
    if not np.array_equal(shape, size) or min(shape) < 1:
        raise refusal(path, _WHAT, f"whole numbers in {prefix}Size", str(size))
    matrix = np.eye(4)
    matrix[:3, :3] = direction.reshape(3, 3).T * spacing
    matrix[:3, 3] = origin + matrix[:3, :3] @ index
    return grid_of_file(shape, LPS @ matrix, path)
