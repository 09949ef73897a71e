"""Rigid and affine transforms in ITK's formats: text (``.tfm``, ``.txt``) and the ``.mat`` files of ANTs.

ITK maps fixed to moving points as this package does, but in LPS: ``y = A (x - c) + c + t``, with the centre
``c`` in ``FixedParameters``. In a chain the *last* transform of the file is applied first; a chain is read as
one matrix.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import TransformError
from ..transform import Affine, Composite, Rigid, is_rotation
from . import files
from .numbers import number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from ..geometry import Float64
    from ..transform import Transform
    from .spaces import Spaces

MAX_TEXT_BYTES = 1 << 20
MAX_MAT_BYTES = 1 << 16
MAX_NUMBER = 1e9  # a million kilometres: anything larger is garbage, and its square may overflow
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_HEADING = "#Insight Transform File V1.0"
_LINE = re.compile(r"[^\r\n]+")
MAX_PARAMETERS = 64  # on one line; the supported kinds have at most 12


def read_tfm(path: Path) -> Affine:
    """Read an ITK text file; a chain becomes one transform.

    Raises:
        InputError: The file cannot be read.
        TransformError: It is not a rigid or affine ITK transform.
    """
    return _decoded(_blocks(files.read_text(path, MAX_TEXT_BYTES), path), path)


def read_mat(path: Path) -> Affine:
    """Read a MATLAB level 4 file, as ITK and ANTs write it, in either byte order; see ``read_tfm``."""
    with files.open_regular(path) as stream:
        raw = stream.read(MAX_MAT_BYTES + 1)
    arrays = _mat_arrays(raw, path)
    names = [name for name, _ in arrays]
    if len(arrays) % 2 or any(name != "fixed" for name in names[1::2]):
        raise _refusal(
            path, "pairs of parameters and 'fixed' arrays", f"the arrays {', '.join(names) or 'none'}"
        )
    pairs = zip(arrays[::2], arrays[1::2], strict=True)
    return _decoded([_Block(name, values, fixed) for (name, values), (_, fixed) in pairs], path)


def write_tfm(transform: Transform, path: Path) -> None:
    """Write a rigid or affine transform, or a chain of them as one, as ITK text.

    Raises:
        InputError: The file cannot be written.
        TransformError: The transform is not affine.
    """
    name, numbers = parameters(_collapsed(transform))
    words = " ".join(repr(float(v)) for v in numbers)
    lines = [_HEADING, "#Transform 0", f"Transform: {name}_double_3_3", f"Parameters: {words}"]
    with files.atomic_write(path) as stream:
        stream.write("\n".join([*lines, "FixedParameters: 0 0 0", ""]).encode())


def read_text(path: Path, spaces: Spaces) -> Affine:  # noqa: ARG001 (in LPS mm)
    """Read an ITK text file; see ``read_tfm``."""
    return read_tfm(path)


def write_text(transform: Transform, path: Path, spaces: Spaces) -> None:  # noqa: ARG001
    """Write an ITK text file; see ``write_tfm``."""
    write_tfm(transform, path)


def read_matlab(path: Path, spaces: Spaces) -> Affine:  # noqa: ARG001
    """Read a MATLAB level 4 file; see ``read_mat``."""
    return read_mat(path)


def write_matlab(transform: Transform, path: Path, spaces: Spaces) -> None:  # noqa: ARG001
    """Write a MATLAB level 4 file; see ``write_mat``."""
    write_mat(transform, path)


def write_mat(transform: Transform, path: Path) -> None:
    """Write a rigid or affine transform as a MATLAB level 4 file, as ANTs does; see ``write_tfm``."""
    matrix = _LPS @ _collapsed(transform).matrix @ _LPS
    numbers = [*matrix[:3, :3].ravel(), *matrix[:3, 3]]
    with files.atomic_write(path) as stream:
        for name, values in (("AffineTransform_double_3_3", numbers), ("fixed", [0.0, 0.0, 0.0])):
            stream.write(struct.pack("<5i", 0, len(values), 1, 0, len(name) + 1) + name.encode() + b"\0")
            stream.write(struct.pack(f"<{len(values)}d", *values))


def parameters(transform: Affine) -> tuple[str, list[float]]:
    """Return the name and the parameters, in LPS and with centre 0, of a transform in ITK."""
    matrix = _LPS @ transform.matrix @ _LPS
    if isinstance(transform, Rigid):
        return "Euler3DTransform", _euler_parameters(matrix)
    return "AffineTransform", [*matrix[:3, :3].ravel(), *matrix[:3, 3]]


def transform(kind: str, parameters: list[float], fixed: list[float], path: Path) -> Affine:
    """Return a transform of ITK by the name of its kind.

    Raises:
        TransformError: The kind is unknown, or the numbers do not fit it.
    """
    return _transform(_Block(kind, parameters, fixed), path)


def unknown_kind(kind: str, path: Path) -> TransformError:
    """Return the error for a kind of transform that is not read."""
    known = ", ".join(sorted({name for name, _ in _KINDS}))
    return TransformError(
        "MMREG_E_TRANSFORM_KIND",
        f"{path} holds a transform of type {kind[:80]!r}; supported are {known}, in 2-D or 3-D. "
        "Convert it, or sample it to a displacement field with ITK.",
    )


@dataclass(frozen=True)
class _Block:
    kind: str
    parameters: list[float]
    fixed: list[float]


def _collapsed(transform: Transform) -> Affine:
    parts = transform.parts if isinstance(transform, Composite) else (transform,)
    whole: Transform = parts[0]
    for part in parts[1:]:
        whole = whole.then(part)
    if not isinstance(whole, Affine):
        raise TransformError(
            "MMREG_E_TRANSFORM_KIND",
            f"A .tfm file can only hold a rigid or affine transform; found a {type(transform).__name__}. "
            "Write transform.to_field(fixed.grid) as .nii.gz.",
        )
    return whole


def _blocks(text: str, path: Path) -> Iterator[_Block]:
    """Yield the transforms one by one: a chain may have as many as fit in the file."""
    lines = (line for match in _LINE.finditer(text) if (line := match[0].strip()))
    first = next(lines, "")
    if first != _HEADING:
        raise _refusal(path, f"the first line {_HEADING!r}", repr(first[:60]) if first else "no line")
    block: _Block | None = None
    for line in lines:
        key, colon, value = line.partition(":")
        if line.startswith("#"):
            continue
        if key == "Transform" and colon:
            if block:
                yield block
            block = _Block(value.strip(), [], [])
        elif key in ("Parameters", "FixedParameters") and colon and block:
            _fill(block.parameters if key == "Parameters" else block.fixed, key, value, path)
        else:
            raise _refusal(path, "the lines Transform, Parameters and FixedParameters", repr(line[:60]))
    if block:
        yield block


def _fill(target: list[float], key: str, value: str, path: Path) -> None:
    words = value.split(None, MAX_PARAMETERS)
    if target:
        raise _refusal(path, f"one {key} line for each transform", "two")
    if len(words) > MAX_PARAMETERS:
        raise _refusal(path, f"at most {MAX_PARAMETERS} numbers in a {key} line", "more")
    target.extend(_number(word, path) for word in words)


def _number(word: str, path: Path) -> float:
    value = number(word)
    if value is None or not abs(value) <= MAX_NUMBER:
        raise _refusal(path, f"numbers with a decimal point, up to {MAX_NUMBER:g}", repr(word[:40]))
    return value


def _decoded(blocks: Iterable[_Block], path: Path) -> Affine:
    """Return the product of a chain, in which ITK applies the last transform first."""
    matrix, rigid = None, True
    for block in blocks:
        if block.kind.startswith("CompositeTransform_"):
            continue
        part = _transform(block, path)
        matrix = part.matrix if matrix is None else matrix @ part.matrix
        rigid &= isinstance(part, Rigid)
    if matrix is None:
        raise _refusal(path, "at least one transform", "none")
    try:
        return Rigid(matrix) if rigid and is_rotation(matrix[:3, :3]) else Affine(matrix)
    except TransformError as reason:
        raise TransformError(reason.code, f"{path}: {reason.args[0]}") from reason


def _transform(block: _Block, path: Path) -> Affine:
    match = re.fullmatch(r"(\w+)_(double|float)_([23])_\3", block.kind, re.ASCII)
    name, n = (match[1], int(match[3])) if match else ("", 0)
    if (name, n) not in _KINDS:
        raise unknown_kind(block.kind, path)
    count, decode, result = _KINDS[name, n]
    if len(block.parameters) != count or len(block.fixed) < (n if count > n else 0):
        raise _refusal(
            path,
            f"{count} parameters and a centre for {block.kind}",
            f"{len(block.parameters)} parameters and {len(block.fixed)} fixed ones",
        )
    linear, shift = decode(np.array(block.parameters), block.fixed)
    centre = np.array(block.fixed[:n]) if count > n else np.zeros(n)
    matrix = np.eye(4)
    matrix[:n, :n] = linear
    matrix[:n, 3] = shift + centre - linear @ centre
    try:
        return result(_LPS @ matrix @ _LPS)
    except TransformError as reason:
        raise TransformError(reason.code, f"{path}: {reason.args[0]}") from reason


def _matrix_offset(n: int) -> Callable[[Float64, list[float]], tuple[Float64, Float64]]:
    return lambda values, _: (values[: n * n].reshape(n, n), values[n * n :])


def _euler_3d(values: Float64, fixed: list[float]) -> tuple[Float64, Float64]:
    x, y, z = (_axis_rotation(axis, angle) for axis, angle in enumerate(values[:3]))
    zyx = len(fixed) > 3 and fixed[3] != 0  # ITK: ComputeZYX
    return (z @ y @ x if zyx else z @ x @ y), values[3:]


def _euler_2d(values: Float64, _: list[float]) -> tuple[Float64, Float64]:
    return _axis_rotation(2, values[0])[:2, :2], values[1:]


def _versor(values: Float64, _: list[float]) -> tuple[Float64, Float64]:
    """Decode the vector part of a unit quaternion, a shift, and a scale if present."""
    vector = values[:3]
    length = min(1.0, float(np.linalg.norm(vector)))
    angle = 2 * math.asin(length)
    x, y, z = vector / (length or 1.0)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rotation = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross  # Rodrigues
    return rotation * (values[6] if len(values) > 6 else 1.0), values[3:6]


def _shift(values: Float64, _: list[float]) -> tuple[Float64, Float64]:
    return np.eye(len(values)), values


def _identity(n: int) -> Callable[[Float64, list[float]], tuple[Float64, Float64]]:
    return lambda *_: (np.eye(n), np.zeros(n))


def _axis_rotation(axis: int, angle: float) -> Float64:
    rotation = np.eye(3)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    rotation[i, i] = rotation[j, j] = math.cos(angle)
    rotation[i, j], rotation[j, i] = -math.sin(angle), math.sin(angle)
    return rotation


def _euler_parameters(matrix: Float64) -> list[float]:
    """Return the parameters of Euler3DTransform: angles about x, y, z, of the rotation z x y, and shift."""
    r = matrix[:3, :3]
    across = math.hypot(r[2, 0], r[2, 2])
    angle_x = math.atan2(r[2, 1], across)
    if across > 1e-9:
        angle_y, angle_z = math.atan2(-r[2, 0], r[2, 2]), math.atan2(-r[0, 1], r[1, 1])
    else:  # y and z rotate about one line: z takes the whole angle
        angle_y, angle_z = 0.0, math.atan2(r[1, 0], r[0, 0])
    return [angle_x, angle_y, angle_z, *matrix[:3, 3]]


def _mat_arrays(raw: bytes, path: Path) -> list[tuple[str, list[float]]]:
    """Return name and values of each array of a MATLAB level 4 file: 20 bytes of header, name, column."""
    arrays: list[tuple[str, list[float]]] = []
    at = 0
    while at < len(raw) <= MAX_MAT_BYTES:
        name, values, at = _mat_array(raw, at, path)
        arrays.append((name, values))
    if len(raw) > MAX_MAT_BYTES:
        raise _refusal(path, f"at most {MAX_MAT_BYTES} bytes", "more")
    return arrays


def _mat_array(raw: bytes, at: int, path: Path) -> tuple[str, list[float], int]:
    header = raw[at : at + 20].ljust(20, b"\xff")
    order = "<" if struct.unpack("<i", header[:4])[0] in (0, 10, 100, 110) else ">"
    kind, rows, columns, imaginary, length = struct.unpack(order + "5i", header)
    number = (
        {0: "d", 10: "f"}.get(kind % 100, "") if kind in (0, 10, 100, 110, 1000, 1010, 1100, 1110) else ""
    )
    if not (number and 0 < rows <= 64 and columns == 1 and imaginary == 0 and 1 < length <= 128):
        raise _refusal(path, "a MATLAB level 4 column of real numbers", f"the header {header.hex(' ')}")
    name = raw[at + 20 : at + 20 + length]
    layout = struct.Struct(f"{order}{rows}{number}")
    end = at + 20 + length + layout.size
    if end > len(raw) or not re.fullmatch(rb"\w+\0", name):
        raise _refusal(path, f"a name and {rows} numbers at byte {at}", f"{len(raw) - at} bytes")
    values = layout.unpack_from(raw, at + 20 + length)
    if not all(abs(value) <= MAX_NUMBER for value in values):
        raise _refusal(path, f"numbers up to {MAX_NUMBER:g}", f"{values}")
    return name[:-1].decode(), list(values), end


def _refusal(path: Path, expected: str, found: str) -> TransformError:
    return TransformError(
        "MMREG_E_TRANSFORM_FILE",
        f"{path} is not a valid ITK transform: it needs {expected}; found {found}. Write it again with ITK.",
    )


# (name, dimensions): number of parameters, decoder, class of the result
_KINDS: dict[
    tuple[str, int], tuple[int, Callable[[Float64, list[float]], tuple[Float64, Float64]], type[Affine]]
] = {
    ("AffineTransform", 2): (6, _matrix_offset(2), Affine),
    ("AffineTransform", 3): (12, _matrix_offset(3), Affine),
    ("MatrixOffsetTransformBase", 2): (6, _matrix_offset(2), Affine),
    ("MatrixOffsetTransformBase", 3): (12, _matrix_offset(3), Affine),
    ("Euler2DTransform", 2): (3, _euler_2d, Rigid),
    ("Euler3DTransform", 3): (6, _euler_3d, Rigid),
    ("VersorRigid3DTransform", 3): (6, _versor, Rigid),
    ("Similarity3DTransform", 3): (7, _versor, Affine),
    ("TranslationTransform", 2): (2, _shift, Rigid),
    ("TranslationTransform", 3): (3, _shift, Rigid),
    ("IdentityTransform", 2): (0, _identity(2), Rigid),
    ("IdentityTransform", 3): (0, _identity(3), Rigid),
}
