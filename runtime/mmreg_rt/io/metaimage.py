"""MetaImages (itk.org, MetaIO): ``.mha``, and ``.mhd`` with its voxels in a file beside it.

The header is lines ``Field = value``; the last, ``ElementDataFile``, says where the voxels are. Directions
and origin are in LPS, as in ITK.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from . import axes, files, stated, voxels
from .gunzip import ZLIB, Gunzip
from .stack import Source, Stack

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from ..geometry import Array, Float64, Grid

_DTYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4",
    "MET_UINT": "u4", "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip
_WRITTEN = {kind: name for name, kind in reversed(_DTYPES.items())}
_LAST = "ElementDataFile"
# names that one field has had, the current one first
_MATRIX = ("TransformMatrix", "Rotation", "Orientation")
_ORIGIN = ("Offset", "Position", "Origin")
_ORDER = ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")


def load(path: Path) -> Stack:
    """Read all images of a file."""
    with ExitStack() as opened:
        stream = opened.enter_context(files.open_regular(path))
        fields = _fields(stream, path)
        sizes, dtype = _sizes(fields, path), _dtype(fields, path)
        grid = axes.grid_of(sizes[:3], _affine(fields, sizes, path), path)
        name, place = fields[_LAST], path
        if name.upper() != "LOCAL":
            place = stated.data_file(path, name)
            stream = opened.enter_context(files.open_regular(place))
        stored = _voxels(stream, fields, sizes, dtype, place)
    data = stated.native(stored, dtype, sizes[::-1])
    return Stack(data.reshape(-1, *grid.shape), grid, Source(".mha", len(sizes) == 2))


def write(frames: Array, grid: Grid, source: object, path: Path) -> None:
    """Write images ``(N, D, H, W)`` on one grid, not compressed."""
    directions, spacing, origin = axes.lps_of(axes.writable(grid))
    flat = isinstance(source, Source) and source.planar and grid.shape[0] == 1
    count = 2 if flat and not directions[2, :2].any() else 3
    series = len(frames) > 1
    matrix = np.eye(count + series)
    matrix[:count, :count] = directions[:count, :count]
    lines = [
        "ObjectType = Image",
        f"NDims = {count + series}",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        "CompressedData = False",
        f"TransformMatrix = {_text(matrix.T.ravel())}",
        f"Offset = {_text([*origin[:count], *[0] * series])}",
        f"CenterOfRotation = {_text([0] * (count + series))}",
        f"ElementSpacing = {_text([*spacing[:count], *[1] * series])}",
        f"DimSize = {' '.join(map(str, [*grid.shape[::-1][:count], *[len(frames)] * series]))}",
        f"ElementType = {_WRITTEN[frames.dtype.str[1:]]}",
        f"{_LAST} = LOCAL",
    ]
    little = np.ascontiguousarray(frames, frames.dtype.newbyteorder("<"))
    with files.atomic_write(path) as stream:
        stream.write("".join(f"{line}\n" for line in lines).encode())
        files.write_all(stream, little.reshape(-1).view(np.uint8).data)


def _text(values: Array | list[float]) -> str:
    return " ".join(repr(float(v) + 0.0) for v in values)


def _fields(stream: BinaryIO, path: Path) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in stated.lines_up_to(stream, path, _LAST):
        name, equals, value = line.partition("=")
        key = name.strip()
        if not line.strip() or line.startswith("#"):
            continue
        if not equals or key in fields:
            raise stated.unusable(path, f"line {line[:40]!r}", "no new field", "a field of its own")
        fields[key] = value.strip()
    for key in ("NDims", "DimSize", "ElementType"):
        if key not in fields:
            raise stated.unusable(path, key, "no such field", "given")
    if fields.get("ObjectType", "Image") != "Image":
        raise stated.unsupported(path, "ObjectType", fields["ObjectType"], "Image")
    if not _flag(fields, ("BinaryData",), True, path):
        raise stated.unsupported(path, "the voxels", "text (BinaryData)", "binary")
    name = "ElementNumberOfChannels"
    (channels,) = stated.whole_numbers(fields.get(name, "1"), 1, path, name)
    stated.refuse_channels(channels, path)
    return fields


def _flag(fields: dict[str, str], names: tuple[str, ...], default: bool, path: Path) -> bool:
    text = next((fields[name] for name in names if name in fields), str(default))
    if text.lower() not in ("true", "false", "1", "0"):
        raise stated.unusable(path, names[0], text, "1 or 0")
    return text.lower() in ("true", "1")


def _sizes(fields: dict[str, str], path: Path) -> tuple[int, ...]:
    (count,) = stated.whole_numbers(fields["NDims"], 1, path, "NDims")
    if not 2 <= count <= 4:
        raise stated.unsupported(path, "NDims", count, "2 to 4")
    sizes = stated.whole_numbers(fields["DimSize"], count, path, "DimSize")
    stated.check_sizes(sizes, path)
    return sizes


def _dtype(fields: dict[str, str], path: Path) -> np.dtype[np.generic]:
    kind = _DTYPES.get(fields["ElementType"])
    if kind is None:
        raise stated.unsupported(path, "ElementType", fields["ElementType"], "one real number, as MET_SHORT")
    return np.dtype((">" if _flag(fields, _ORDER, False, path) else "<") + kind)


def _affine(fields: dict[str, str], sizes: tuple[int, ...], path: Path) -> Float64:
    count, space = len(sizes), min(len(sizes), 3)

    def values(names: tuple[str, ...], number: int, default: Float64) -> Float64:
        name = next((name for name in names if name in fields), None)
        return default if name is None else stated.numbers(fields[name], number, path, name)

    rows = values(_MATRIX, count * count, np.eye(count).ravel()).reshape(count, count)
    if count == 4 and (rows[3, :3].any() or rows[:3, 3].any()):
        raise stated.unusable(path, _MATRIX[0], fields[_MATRIX[0]], "a rotation within space")
    spacing = values(("ElementSpacing", "ElementSize"), count, np.ones(count))
    stated.check_spacing(spacing[:space], path, "ElementSpacing")
    origin = values(_ORIGIN, count, np.zeros(count))
    return axes.lps_affine(rows[:space, :space].T, spacing[:space], origin[:space])


def _voxels(
    stream: BinaryIO, fields: dict[str, str], sizes: tuple[int, ...], dtype: np.dtype[np.generic], path: Path
) -> bytearray:
    packed, size, start = (
        _flag(fields, ("CompressedData",), False, path),
        files.size_of(stream),
        stream.tell(),
    )
    count = int(np.prod(sizes, dtype=np.int64)) * dtype.itemsize
    (skip,) = stated.whole_numbers(fields.get("HeaderSize", "0"), 1, path, "HeaderSize")
    if skip == -1 and not packed:
        skip = max(size - count - start, 0)
    if not 0 <= skip <= stated.MAX_SKIPPED_BYTES:
        raise stated.unusable(path, "HeaderSize", skip, f"-1 to {stated.MAX_SKIPPED_BYTES}")
    block = voxels.Block(start + skip, count, f"DimSize {' '.join(map(str, sizes))}, {dtype.name}")
    voxels.check_room(block, path, size, packed)
    stream.seek(block.start)
    if not packed:
        voxels.check_written(stream, block, path)
    return voxels.read(Gunzip(stream, path, ZLIB) if packed else stream, block, path)
