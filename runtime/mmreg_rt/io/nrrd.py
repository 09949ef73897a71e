"""NRRD images (teem.sourceforge.net/nrrd/format.html): ``.nrrd`` and ``.nhdr``, with the labels of 3D Slicer.

The header is text up to an empty line. Axes of the kind ``list``, ``time`` and similar are frames; all others
are axes in space.
"""

from __future__ import annotations

import gzip
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import GeometryError
from . import axes, files, stated, voxels
from .gunzip import Gunzip
from .stack import Source, Stack

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from ..geometry import Array, Float64, Grid

_TYPES = {
    "i1": "signed char, int8, int8_t",
    "u1": "uchar, unsigned char, uint8, uint8_t",
    "i2": "short, short int, signed short, signed short int, int16, int16_t",
    "u2": "ushort, unsigned short, unsigned short int, uint16, uint16_t",
    "i4": "int, signed int, int32, int32_t",
    "u4": "uint, unsigned int, uint32, uint32_t",
    "i8": "longlong, long long, long long int, signed long long, signed long long int, int64, int64_t",
    "u8": "ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t",
    "f4": "float",
    "f8": "double",
}
_DTYPES = {name: kind for kind, names in _TYPES.items() for name in names.split(", ")}
_WRITTEN = {"i1": "int8", "u1": "uint8", "i2": "int16", "u2": "uint16", "i4": "int32", "u4": "uint32",
            "i8": "int64", "u8": "uint64", "f4": "float", "f8": "double"}  # fmt: skip
# spaces with a meaning in the patient: the signs that turn them into RAS
_SPACES = {
    "right-anterior-superior": (1, 1, 1), "ras": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1), "las": (-1, 1, 1),
    "left-posterior-superior": (-1, -1, 1), "lps": (-1, -1, 1),
}  # fmt: skip
_MAGIC, _LONGEST_MAGIC = [f"NRRD000{version}".encode() for version in range(1, 6)], 16
_FRAMES = ("list", "time", "none", "???", "")
_VECTOR = re.compile(r"none|\([^()]*\)")


@dataclass(frozen=True)
class NrrdSource(Source):
    """The space of a file, to write the same again."""

    space: str = "left-posterior-superior"


class _Axes(NamedTuple):
    """The axes of a file: sizes of those in space, the place of the axis of frames, or None."""

    sizes: tuple[int, ...]
    frames: int | None
    images: int
    matrix: Float64  # (4, 4), indices to RAS+ mm


def load(path: Path) -> Stack:
    """Read all images of a file."""
    with files.open_regular(path) as stream:
        fields = _fields(stream, path)
        found, dtype = _axes(fields, path), _dtype(fields, path)
        grid = axes.grid_of(found.sizes, found.matrix, path)
        name = fields.get("data file", fields.get("datafile"))
        if name is None:
            stored = _voxels(stream, fields, dtype, path)
        else:
            there = stated.data_file(path, name)
            with files.open_regular(there) as detached:
                stored = _voxels(detached, fields, dtype, there)
    data = stated.native(stored, dtype, _sizes(fields, path)[::-1])
    if found.frames is not None:
        data = np.moveaxis(data, data.ndim - 1 - found.frames, 0)
    space = fields.get("space", NrrdSource.space)
    return Stack(
        data.reshape(found.images, *grid.shape), grid, NrrdSource(".nrrd", len(found.sizes) == 2, space)
    )


def write(frames: Array, grid: Grid, source: object, path: Path) -> None:
    """Write images ``(N, D, H, W)`` on one grid, compressed, in the space of ``source``."""
    kept = source if isinstance(source, NrrdSource) else NrrdSource(".nrrd")
    header = _header(frames, axes.writable(grid), kept)
    little = np.ascontiguousarray(frames, frames.dtype.newbyteorder("<"))
    with files.atomic_write(path) as stream:
        stream.write(header.encode())
        with gzip.GzipFile("", "wb", 1, stream, mtime=0) as compressed:
            files.write_all(compressed, little.reshape(-1).view(np.uint8).data)


def _header(frames: Array, grid: Grid, source: NrrdSource) -> str:
    signs = _SPACES[source.space.lower()]
    affine = np.diag([*signs, 1]) @ grid.affine[:, axes.ZYX]
    flat = source.planar and grid.shape[0] == 1 and not affine[2, :2].any()
    count = 2 if flat else 3
    series = len(frames) > 1
    sizes = [*grid.shape[::-1][:count], *[len(frames)] * series]
    vectors = [_text(affine[:count, axis]) for axis in range(count)] + ["none"] * series
    space = "space dimension: 2" if flat else f"space: {source.space}"
    units = ['"mm"'] * count
    lines = [
        "NRRD0004",
        f"type: {_WRITTEN[frames.dtype.str[1:]]}",
        f"dimension: {len(sizes)}",
        space,
        f"sizes: {' '.join(map(str, sizes))}",
        f"space directions: {' '.join(vectors)}",
        f"kinds: {' '.join(['domain'] * count + ['list'] * series)}",
        "endian: little",
        "encoding: gzip",
        f"space units: {' '.join(units)}",
        f"space origin: {_text(affine[:count, 3])}",
    ]
    return "\n".join(lines) + "\n\n"


def _text(vector: Float64) -> str:
    return f"({','.join(repr(float(v) + 0.0) for v in vector)})"


def _fields(stream: BinaryIO, path: Path) -> dict[str, str]:
    """Return the fields of the header by name, without comments and key/value pairs."""
    first = stream.readline(_LONGEST_MAGIC)
    if first.rstrip() not in _MAGIC:
        raise stated.unusable(path, "its first line", first.decode("latin-1"), "NRRD0001 to NRRD0005")
    fields: dict[str, str] = {}
    for line in stated.lines_up_to(stream, path, None):
        name, colon, value = line.partition(":")
        if line.startswith("#") or value.startswith("="):
            continue
        key = name.strip().lower()
        if not colon or key in fields:
            raise stated.unusable(path, f"line {line[:40]!r}", "no new field", "a field of its own")
        fields[key] = value.strip()
    for key in ("type", "dimension", "sizes", "encoding"):
        if key not in fields:
            raise stated.unusable(path, key, "no such field", "given")
    return fields


def _sizes(fields: dict[str, str], path: Path) -> tuple[int, ...]:
    (dimension,) = stated.whole_numbers(fields["dimension"], 1, path, "dimension")
    if not 2 <= dimension <= 4:
        raise stated.unsupported(path, "dimension", dimension, "2 to 4")
    sizes = stated.whole_numbers(fields["sizes"], dimension, path, "sizes")
    stated.check_sizes(sizes, path)
    return sizes


def _dtype(fields: dict[str, str], path: Path) -> np.dtype[np.generic]:
    kind = _DTYPES.get(fields["type"].lower())
    if kind is None:
        raise stated.unsupported(path, "type", fields["type"], "a real number, such as short or float")
    if kind[1] == "1":
        return np.dtype(kind)
    order = {"little": "<", "big": ">"}.get(fields.get("endian", "").lower())
    if order is None:
        raise stated.unusable(path, "endian", fields.get("endian", "no such field"), "little or big")
    return np.dtype(order + kind)


def _axes(fields: dict[str, str], path: Path) -> _Axes:
    sizes, signs = _sizes(fields, path), _signs(fields, path)
    count = len(signs)
    vectors = _vectors(fields, len(sizes), count, path)
    places = [axis for axis, vector in enumerate(vectors) if vector is not None]
    others = [axis for axis, vector in enumerate(vectors) if vector is None]
    if len(places) != count or len(others) > 1:
        raise stated.unusable(
            path, "space directions", fields["space directions"], f"{count} vectors, and `none` for frames"
        )
    frames = others[0] if others else None
    number = 1 if frames is None else sizes[frames]
    _check_kind(fields, len(sizes), frames, number, path)
    matrix = np.eye(4)
    matrix[:count, :count] = np.array([vectors[axis] for axis in places]).T
    matrix[:count, 3] = _vector(fields.get("space origin", ""), count, path, "space origin")
    matrix[:count] *= _mm(fields, count, path)
    matrix[:count] *= np.reshape(signs, (count, 1))
    return _Axes(tuple(sizes[axis] for axis in places), frames, number, matrix)


def _signs(fields: dict[str, str], path: Path) -> tuple[int, ...]:
    """Return the signs that turn the space into RAS; a plane lies as in ITK, which takes it as LPS."""
    space = fields.get("space")
    if space is not None and space.lower() in _SPACES:
        return _SPACES[space.lower()]
    if space is None and fields.get("space dimension") == "2" and "space directions" in fields:
        return (-1, -1)
    found = f"space {space!r}" if space is not None else "no space"
    raise stated.not_oriented(
        path,
        found,
        "Write it again with its orientation, for instance with 3D Slicer: space: left-posterior-superior, "
        "space directions and space origin.",
    )


def _vectors(fields: dict[str, str], dimension: int, count: int, path: Path) -> list[Float64 | None]:
    text = fields.get("space directions")
    if text is None:
        raise stated.not_oriented(
            path, "no space directions", "Write it again with its orientation, for instance with 3D Slicer."
        )
    words = _VECTOR.findall(text)
    if len(words) != dimension or _VECTOR.sub("", text).strip():
        raise stated.unusable(path, "space directions", text, f"{dimension} vectors")
    return [None if word == "none" else _vector(word, count, path, "space directions") for word in words]


def _vector(text: str, count: int, path: Path, field: str) -> Float64:
    if not (text.startswith("(") and text.endswith(")")):
        raise stated.unusable(path, field, text or "no such field", f"a vector of {count} numbers")
    return stated.numbers(text[1:-1].replace(",", " "), count, path, field)


def _mm(fields: dict[str, str], count: int, path: Path) -> Float64:
    """Return the mm of the unit of each coordinate, ``(count, 1)``."""
    text = fields.get("space units", "")
    try:
        units = [unit.strip().lower() for unit in shlex.split(text)] or [""] * count
        return np.array([stated.MM_PER_UNIT[unit] for unit in units]).reshape(count, 1)
    except (ValueError, KeyError):
        raise GeometryError(
            "MMREG_E_IMAGE_UNITS",
            f"The unit of length of {path} must be mm, cm, m or micron for each of {count} coordinates; "
            f"found space units = {text[:80]}. Repair the header.",
        ) from None


def _check_kind(fields: dict[str, str], dimension: int, frames: int | None, count: int, path: Path) -> None:
    """Raise for an axis that holds colours or the components of vectors."""
    if frames is None:
        return
    kinds = fields.get("kinds", "").lower().split() or [""] * dimension
    if len(kinds) != dimension:
        raise stated.unusable(path, "kinds", fields["kinds"], f"{dimension} words")
    if kinds[frames] not in _FRAMES:
        stated.refuse_channels(count, path, f"numbers (kind {kinds[frames]})")


def _voxels(stream: BinaryIO, fields: dict[str, str], dtype: np.dtype[np.generic], path: Path) -> bytearray:
    sizes, encoding = _sizes(fields, path), fields["encoding"].lower()
    if encoding not in ("raw", "gzip", "gz"):
        raise stated.unsupported(path, "encoding", encoding, "raw or gzip")
    skip = _skip(fields, path)
    packed, size, start = encoding != "raw", files.size_of(stream), stream.tell()
    count = int(np.prod(sizes, dtype=np.int64)) * dtype.itemsize
    if skip == -1 and not packed:
        skip = max(size - count - start, 0)
    if packed and skip:
        raise stated.unsupported(path, "byte skip", skip, "0 for compressed data")
    block = voxels.Block(start + skip, count, f"sizes {' '.join(map(str, sizes))}, {dtype.name}")
    voxels.check_room(block, path, size, packed)
    stream.seek(block.start)
    if not packed:
        voxels.check_written(stream, block, path)
    return voxels.read(Gunzip(stream, path) if packed else stream, block, path)


def _skip(fields: dict[str, str], path: Path) -> int:
    lines = fields.get("line skip", fields.get("lineskip", "0"))
    if stated.whole_numbers(lines, 1, path, "line skip") != (0,):
        raise stated.unsupported(path, "line skip", lines, "0")
    text = fields.get("byte skip", fields.get("byteskip", "0"))
    (skip,) = stated.whole_numbers(text, 1, path, "byte skip")
    if not -1 <= skip <= stated.MAX_SKIPPED_BYTES:
        raise stated.unusable(path, "byte skip", skip, f"-1 to {stated.MAX_SKIPPED_BYTES}")
    return skip
