"""Series: several images on one grid in one file, such as frames over time, echoes or maps of probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..geometry import Volume
from . import files, nifti
from .gunzip import Gunzip
from .header import header_bytes, parse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..geometry import Array, Grid
    from .header import NiftiHeader
    from .nifti import Form, NiftiFile


@dataclass(frozen=True)
class Series:
    """A file with images on one grid, read whole; its frames are scaled one at a time."""

    file: NiftiFile
    grid: Grid

    @property
    def count(self) -> int:
        """How many images there are; 1 for a file that is no series."""
        return int(np.prod(self.file.header.dim[3:], dtype=np.int64))

    def frames(self) -> Iterator[Volume]:
        """Every image, in the order of the file and in its own units."""
        for stored in self.file.array().reshape(self.count, *self.grid.shape):
            yield Volume(nifti.scaled(stored, self.file.header), self.grid)


def frames_in(path: Path) -> int:
    """How many images the file at ``path`` holds, by its header alone."""
    return int(np.prod(parse(first_bytes(path), path).dim[3:], dtype=np.int64))


def first_bytes(path: Path) -> bytes:
    """The header of the file and the four bytes after it, as far as they are there."""
    with files.open_regular(path) as stream:
        source: files.ByteStream = Gunzip(stream, path) if path.name.lower().endswith(".gz") else stream
        raw = source.read(4)
        version, _ = header_bytes(raw, path)
        return raw + source.read({1: 348, 2: 540}[version])


def read(path: Path, prefer: Form | None) -> Series:
    """The series in ``path``; ``prefer`` settles which form of its header is right."""
    file = nifti.load(path)
    nifti.refuse_field(file.header, path)
    return Series(file, nifti.grid_of(file.header, path, prefer))


def write(frames: Array, grid: Grid, like: NiftiHeader, path: Path) -> None:
    """Write images on one grid as one file, with the steps between them that another series has.

    Args:
        frames: ``(N, D, H, W)``.
        grid: Of every image.
        like: Header of the series that they come from: further axes, their steps, the unit of time.
        path: Where to.
    """
    header = nifti.new_header(grid.shape)
    nifti.set_grid(header, grid)
    header.set_data_shape((*grid.shape[::-1], *like.dim[3:]))
    steps = np.array(header["pixdim"])
    steps[4 : 1 + len(like.dim)] = _raw(like)["pixdim"][4 : 1 + len(like.dim)]
    header["pixdim"] = steps
    header["xyzt_units"] = int(header["xyzt_units"]) & 7 | int(_raw(like)["xyzt_units"]) & 0x38
    data = nifti.storable(frames, "<")
    header.set_data_dtype(data.dtype)
    nifti.save(header, b"", data, path)


def _raw(header: NiftiHeader) -> Any:
    """The header with all its fields, those too that say nothing of where a voxel lies."""
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    kind = Nifti1Header if header.version == 1 else Nifti2Header
    return kind(header.raw, endianness=header.byte_order, check=False)
