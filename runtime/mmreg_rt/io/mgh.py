"""MGH images of FreeSurfer: ``.mgh``, and ``.mgz``, the same compressed by gzip; big-endian.

The position is that of the centre, half the size from the first voxel along each axis.
"""

from __future__ import annotations

import gzip
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from . import axes, files, stated, voxels
from .gunzip import Gunzip
from .stack import Source, Stack

if TYPE_CHECKING:
    from pathlib import Path

    from ..geometry import Array, Float64, Grid

_HEAD = struct.Struct(
    ">7ih15f"
)  # version, four sizes, type, degrees of freedom; orientation is given; geometry
_START = 284  # of the voxels
_DTYPES = {0: "u1", 1: ">i4", 3: ">f4", 4: ">i2", 10: ">u2"}
_CODES = {"u1": 0, "i4": 1, "f4": 3, "i2": 4}
_FOOTER = 20  # repetition time, flip angle, echo time, inversion time, field of view
_LONGEST_TAIL = 1 << 24  # tags of FreeSurfer follow the footer


@dataclass(frozen=True)
class MghSource(Source):
    """The footer of a file, to write the same again."""

    footer: bytes = b""


def load(path: Path) -> Stack:
    """Read all images of a file."""
    packed = path.name.lower().endswith(".mgz")
    with files.open_regular(path) as stream:
        if (stream.read(2) == b"\x1f\x8b") != packed:
            raise _wrong_name(path, packed)
        stream.seek(0)
        source: files.ByteStream = Gunzip(stream, path) if packed else stream
        raw = source.read(_START)
        if len(raw) < _START:
            raise stated.unusable(path, "its length", f"{len(raw)} bytes", f"at least {_START} bytes")
        sizes, dtype, affine = _parsed(raw, path)
        grid = axes.grid_of(sizes[:3], affine, path)
        count = int(np.prod(sizes, dtype=np.int64)) * dtype.itemsize
        block = voxels.Block(_START, count, f"dims {' '.join(map(str, sizes))}, {dtype.name}")
        voxels.check_room(block, path, files.size_of(stream), packed, tail=True)
        if not packed:
            voxels.check_written(stream, block, path)
        stored, footer = voxels.exactly(source, block, path), source.read(_FOOTER)
        voxels.check_end(source, block, path, _LONGEST_TAIL)
    data = stated.native(stored, dtype, sizes[::-1]).reshape(-1, *grid.shape)
    return Stack(data, grid, MghSource(".mgz", footer=footer * (len(footer) == _FOOTER)))


def write(frames: Array, grid: Grid, source: object, path: Path) -> None:
    """Write images ``(N, D, H, W)`` on one grid, in the nearest type that the format has."""
    data = _storable(frames, path)
    footer = source.footer if isinstance(source, MghSource) else b""
    head = _HEAD.pack(1, *grid.shape[::-1], len(frames), _CODES[data.dtype.str[1:]], 0, 1, *_geometry(grid))
    content = np.ascontiguousarray(data, data.dtype.newbyteorder(">")).reshape(-1).view(np.uint8).data
    with files.atomic_write(path) as stream:
        if path.name.lower().endswith(".mgz"):
            with gzip.GzipFile("", "wb", 1, stream, mtime=0) as compressed:
                files.write_all(compressed, head.ljust(_START, b"\0"), content, footer)
        else:
            files.write_all(stream, head.ljust(_START, b"\0"), content, footer)


def _parsed(raw: bytes, path: Path) -> tuple[tuple[int, ...], np.dtype[np.generic], Float64]:
    version, *sizes, code, _, oriented = _HEAD.unpack_from(raw)[:8]
    if version != 1:
        raise stated.unusable(path, "version", version, "1")
    stated.check_sizes(sizes, path)
    if code not in _DTYPES:
        raise stated.unsupported(path, "type", code, "uchar, short, ushort, int or float (0, 1, 3, 4, 10)")
    if not oriented:
        raise stated.not_oriented(
            path, "goodRASFlag 0", "Write it again with its orientation (mri_convert with --in_orientation)."
        )
    numbers = np.array(_HEAD.unpack_from(raw)[8:], np.float64)
    spacing, directions, centre = numbers[:3], numbers[3:12].reshape(3, 3).T, numbers[12:]
    if not np.isfinite(numbers).all():
        raise stated.unusable(path, "its geometry", " ".join(f"{v:g}" for v in numbers), "finite")
    stated.check_spacing(spacing, path, "delta")
    affine = np.eye(4)
    affine[:3, :3] = directions * spacing
    affine[:3, 3] = centre - affine[:3, :3] @ np.array(sizes[:3]) / 2
    return tuple(sizes), np.dtype(_DTYPES[code]), affine


def _geometry(grid: Grid) -> list[float]:
    affine = grid.affine[:, axes.ZYX]
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    centre = affine[:3, 3] + affine[:3, :3] @ np.array(grid.shape[::-1]) / 2
    return [*spacing, *(affine[:3, :3] / spacing).T.ravel(), *centre]


def _storable(frames: Array, path: Path) -> Array:
    kind = frames.dtype.str[1:]
    if kind in _CODES:
        return frames
    if frames.dtype.kind == "f":
        with np.errstate(over="ignore"):
            narrow = frames.astype(np.float32)
        lost = bool((np.isinf(narrow) & np.isfinite(frames)).any())
    else:
        narrow = frames.astype(np.int16 if kind == "i1" else np.int32)
        lost = bool((narrow != frames).any())
    if lost:
        raise InputError(
            "MMREG_E_IMAGE_TYPE",
            f"{path} cannot hold these voxels, of type {frames.dtype.name}: the format has integers of 32 "
            "bits and float32, and some values do not fit. Choose another format, as .nii.gz.",
        )
    return narrow


def _wrong_name(path: Path, packed: bool) -> InputError:
    content = "is not compressed" if packed else "is compressed by gzip"
    return InputError(
        "MMREG_E_FILE_EXTENSION",
        f"The content of {path} {content}, contrary to its name. Rename it to end in "
        f"{'.mgh' if packed else '.mgz'}.",
    )
