"""Linear transforms of MINC (``.xfm``), which map moving to fixed points in RAS mm.

A file may chain several transforms, the first applied first; ``Invert_Flag`` inverts one (MINC documentation,
"Transform files"). Transforms with a grid refer to another file and are refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from ..errors import TransformError
from . import files
from .transform_file import MAX_TEXT_BYTES, affine, as_matrix, inverted, numbers, refusal, single_affine

if TYPE_CHECKING:
    from pathlib import Path

    from ..transform import Affine, Transform
    from .spaces import Spaces

HEADING = "MNI Transform File"
MAX_PARTS = 64
_WHAT = "transform of MINC"


def read(path: Path, spaces: Spaces) -> Affine:  # noqa: ARG001 (in RAS mm)
    """Read a linear transform, or a chain of them as one."""
    text = files.read_text(path, MAX_TEXT_BYTES)
    first, _, rest = text.partition("\n")
    if first.strip() != HEADING:
        raise refusal(path, _WHAT, f"the first line {HEADING!r}", repr(first[:60]))
    body = "\n".join(line for line in rest.splitlines() if not line.lstrip().startswith("%"))
    parts = re.split(r"Transform_Type\s*=", body, maxsplit=MAX_PARTS)[1:]
    if not 1 <= len(parts) < MAX_PARTS:
        raise refusal(path, _WHAT, f"1 to {MAX_PARTS - 1} Transform_Type", str(len(parts)))
    matrix = np.eye(4)
    for part in parts:
        matrix = _matrix(part, path) @ matrix
    return affine(inverted(matrix, path), path)


def write(transform: Transform, path: Path, spaces: Spaces) -> None:  # noqa: ARG001
    """Write a linear transform."""
    matrix = np.linalg.inv(single_affine(transform, path).matrix)
    rows = "\n".join(" ".join(repr(float(v)) for v in row) for row in matrix[:3])
    text = f"{HEADING}\n% fixed from moving\n\nTransform_Type = Linear;\nLinear_Transform =\n{rows};\n"
    with files.atomic_write(path) as stream:
        stream.write(text.encode())


def _matrix(part: str, path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    kind, *entries = (entry.strip() for entry in part.split(";", MAX_PARTS))
    if kind != "Linear":
        raise TransformError(
            "MMREG_E_TRANSFORM_KIND",
            f"{path} holds a transform of type {kind[:40]!r}; only Linear ones are read. Write its field in "
            "another format, or convert it with the MINC tools.",
        )
    fields = dict(entry.partition("=")[::2] for entry in entries if "=" in entry)
    named = {name.strip(): value.split() for name, value in fields.items()}
    values = numbers(named.get("Linear_Transform", []), 12, path, _WHAT, "Linear_Transform")
    flag = named.get("Invert_Flag", ["False"])
    if flag not in (["False"], ["True"]):
        raise refusal(path, _WHAT, "a valid Invert_Flag", " ".join(flag)[:40])
    matrix = as_matrix(values)
    return inverted(matrix, path) if flag == ["True"] else matrix
