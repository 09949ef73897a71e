"""Series: several images on one grid in one file, such as time frames, echoes or probability maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    """A file of images on one grid, read whole; frames are scaled one at a time."""

    file: NiftiFile
    grid: Grid

    @property
    def count(self) -> int:
        """Number of images; 1 for a file that is not a series."""
        return int(np.prod(self.file.header.dim[3:], dtype=np.int64))

    def frames(self) -> Iterator[Volume]:
        """Yield every image, in the order of the file and in its own units."""
        for stored in self.file.array().reshape(self.count, *self.grid.shape):
            yield Volume(nifti.scaled(stored, self.file.header), self.grid)


def frames_in(path: Path) -> int:
    """Return the number of images in a file, from its header alone."""
    return int(np.prod(parse(first_bytes(path), path).dim[3:], dtype=np.int64))


def first_bytes(path: Path) -> bytes:
    """Return the header of a file and the four bytes after it, as far as the file has them."""
    with files.open_regular(path) as stream:
        source: files.ByteStream = Gunzip(stream, path) if path.name.lower().endswith(".gz") else stream
        raw = source.read(4)
        version, _ = header_bytes(raw, path)
        return raw + source.read({1: 348, 2: 540}[version])


def read(path: Path, prefer: Form | None) -> Series:
    """Read a series; ``prefer`` chooses between forms of the header that disagree."""
    file = nifti.load(path)
    nifti.refuse_field(file.header, path)
    return Series(file, nifti.grid_of(file.header, path, prefer))


def write(frames: Array, grid: Grid, like: NiftiHeader, path: Path) -> None:
    """Write images on one grid as one file, with the steps between frames of another series.

    Args:
        frames: ``(N, D, H, W)``.
        grid: Grid of every image.
        like: Header of that series: further axes, their steps, the unit of time.
        path: Name of the file.
    """
    header, old = nifti.new_header(grid.shape), nifti.raw_header(like.raw, like.version, like.byte_order)
    nifti.set_grid(header, grid)
    header.set_data_shape((*grid.shape[::-1], *like.dim[3:]))
    steps = np.array(header["pixdim"])
    steps[4 : 1 + len(like.dim)] = old["pixdim"][4 : 1 + len(like.dim)]
    header["pixdim"] = steps
    header["xyzt_units"] = int(header["xyzt_units"]) & 7 | int(old["xyzt_units"]) & 0x38
    data = nifti.storable(frames, "<")
    header.set_data_dtype(data.dtype)
    nifti.save(header, b"", data, path)
