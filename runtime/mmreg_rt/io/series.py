"""Series: several images on one grid in one file, such as time frames, echoes or probability maps."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import MmregError
from ..geometry import Volume
from . import endings, files, images, nifti
from .gunzip import Gunzip
from .header import header_bytes, parse
from .stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from nibabel.nifti1 import Nifti1Header

    from ..geometry import Array, Grid
    from .header import NiftiHeader
    from .nifti import Form, NiftiFile


NOT_CHOSEN = ("MMREG_E_NIFTI_FRAMES", "MMREG_E_IMAGE_FRAMES")  # a series of which no frame was chosen


@dataclass(frozen=True)
class Series:
    """A NIfTI file of images on one grid, read whole; frames are scaled one at a time."""

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


@dataclass(frozen=True)
class Stream:
    """A NIfTI file of images on one grid, read anew for each pass with one image at a time in memory."""

    path: Path
    header: NiftiHeader
    grid: Grid

    @property
    def count(self) -> int:
        """Number of images; 1 for a file that is not a series."""
        return int(np.prod(self.header.dim[3:], dtype=np.int64))

    def frames(self) -> Iterator[Volume]:
        """Yield every image, in the order of the file and in its own units."""
        for data in nifti.frames(self.path):
            yield Volume(data.reshape(self.grid.shape), self.grid)


def is_series(path: Path) -> bool:
    """Return whether the header of a NIfTI file announces several images; False for other files."""
    if not path.name.lower().endswith(endings.FIELDS):
        return False
    with suppress(MmregError):  # reading the file reports what is wrong
        return int(np.prod(parse(first_bytes(path), path).dim[3:], dtype=np.int64)) > 1
    return False


def first_bytes(path: Path) -> bytes:
    """Return the header of a file and the four bytes after it, as far as the file has them."""
    with files.open_regular(path) as stream:
        source: files.ByteStream = Gunzip(stream, path) if path.name.lower().endswith(".gz") else stream
        raw = source.read(4)
        version, _ = header_bytes(raw, path)
        return raw + source.read({1: 348, 2: 540}[version])


def read_all(path: Path, choice: images.Choice) -> Series | Stack:
    """Read all images of a file or folder."""
    nifti_file = path.name.lower().endswith(endings.FIELDS) and not images.is_dicom(path)
    return read(path, choice.prefer) if nifti_file else images.load(path, choice)


def read(path: Path, prefer: Form | None) -> Series:
    """Read a NIfTI series; ``prefer`` chooses between forms of the header that disagree."""
    file = nifti.load(path)
    nifti.refuse_field(file.header, path)
    return Series(file, nifti.grid_of(file.header, path, prefer))


def stream(path: Path, choice: images.Choice) -> Stream | Stack:
    """Open all images of a file or folder; those of NIfTI are read one at a time."""
    if not path.name.lower().endswith(endings.FIELDS) or images.is_dicom(path):
        return images.load(path, choice)
    with nifti.opened(path) as (header, _, _):
        nifti.refuse_field(header, path)
        return Stream(path, header, nifti.grid_of(header, path, choice.prefer))


def write_stream(frames: Iterable[Array], like: Stream | Stack, grid: Grid, path: Path) -> None:
    """Write images on one grid as they come: float32, NIfTI, with the steps between frames of ``like``."""
    header = nifti.new_header(grid.shape)
    nifti.set_grid(header, grid)
    header.set_data_shape((*grid.shape[::-1], like.count))
    if isinstance(like, Stream):
        _copy_steps(header, grid, like.header)
    header.set_data_dtype(np.float32)
    nifti.save(header, b"", (np.asarray(frame, "<f4") for frame in frames), path)


def write(frames: Array, grid: Grid, like: Series | Stack, path: Path) -> None:
    """Write images on one grid as one file, in NIfTI with the steps between frames of another series.

    Args:
        frames: ``(N, D, H, W)``.
        grid: Grid of every image.
        like: That series: further axes, their steps, the unit of time.
        path: Name of the file.
    """
    if not path.name.lower().endswith(endings.FIELDS):
        images.write_frames(frames, grid, None, path)
        return
    header = nifti.new_header(grid.shape)
    nifti.set_grid(header, grid)
    header.set_data_shape((*grid.shape[::-1], len(frames)))
    if isinstance(like, Series):
        _copy_steps(header, grid, like.file.header)
    data = nifti.storable(frames, "<")
    header.set_data_dtype(data.dtype)
    nifti.save(header, b"", data, path)


def _copy_steps(header: Nifti1Header, grid: Grid, like: NiftiHeader) -> None:
    """Copy the axes after the third of another header, their steps and the unit of time."""
    old = nifti.raw_header(like.raw, like.version, like.byte_order)
    header.set_data_shape((*grid.shape[::-1], *like.dim[3:]))
    steps = np.array(header["pixdim"])
    steps[4 : 1 + len(like.dim)] = old["pixdim"][4 : 1 + len(like.dim)]
    header["pixdim"] = steps
    header["xyzt_units"] = int(header["xyzt_units"]) & 7 | int(old["xyzt_units"]) & 0x38
