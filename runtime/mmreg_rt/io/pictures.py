"""Pictures in PNG, TIFF and JPEG, decoded by Pillow: a plane of grey values with a given spacing.

A picture does not say how it lies in space. It is placed as ITK places it: the first pixel at the origin, x
to the left, y to the back.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import GeometryError, InputError, MmregError
from . import axes, files, stated, voxels
from .optional import library
from .stack import Source, Stack

if TYPE_CHECKING:
    from pathlib import Path

    from ..geometry import Array, Grid

_FORMATS = {".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF", ".jpg": "JPEG", ".jpeg": "JPEG"}
_GREY = ("L", "1", "I", "F", "I;16", "I;16B", "I;16L")
_BYTES = {"I": 4, "F": 4, "I;16": 2, "I;16B": 2, "I;16L": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}
_WRITTEN = {"PNG": ("u1", "u2"), "TIFF": ("u1", "u2", "f4")}


def load(path: Path, spacing_mm: tuple[float, float] | None, grey: bool) -> Stack:
    """Read the pages of a picture.

    Args:
        path: The file.
        spacing_mm: Spacing along x, the columns, and along y, the rows.
        grey: Convert colours to their luminance.
    """
    image = library("PIL.Image", "formats", "Reading pictures")
    with files.open_regular(path) as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow, about metadata and sizes, which are checked here
        try:
            with image.open(stream, formats=[_FORMATS[path.suffix.lower()]]) as picture:
                _check(picture, path, files.size_of(stream), grey)
                data = np.stack([_page(picture, page, grey, path) for page in range(_pages(picture))])
        except MmregError:
            raise
        except Exception as reason:  # damaged files end in every kind of exception
            raise InputError(
                "MMREG_E_PICTURE",
                f"{path} cannot be read as {_FORMATS[path.suffix.lower()]} ({type(reason).__name__}). Check "
                "that its name ends in the right format, or save it again.",
            ) from reason
    return Stack(
        data[:, None], _grid(data.shape[1:], spacing_mm, path), Source(path.suffix.lower(), planar=True)
    )


def write(frames: Array, grid: Grid, source: object, path: Path) -> None:  # noqa: ARG001
    """Write one plane; the position in space is lost, the spacing is kept as resolution."""
    image = library("PIL.Image", "formats", "Writing pictures")
    kind = _FORMATS[path.suffix.lower()]
    if len(frames) != 1 or grid.shape[0] != 1:
        raise InputError(
            "MMREG_E_PICTURE_PLANE",
            f"A picture is one plane; {path} would have {' x '.join(map(str, frames.shape))} voxels. Choose "
            "another format, as .nii.gz.",
        )
    if frames.dtype.str[1:] not in _WRITTEN[kind]:
        raise InputError(
            "MMREG_E_IMAGE_TYPE",
            f"{path} cannot hold voxels of type {frames.dtype.name}; {kind} has "
            f"{', '.join(np.dtype(name).name for name in _WRITTEN[kind])}. Choose .tif or .nii.gz.",
        )
    y, x = grid.spacing_mm[1:]
    with files.atomic_write(path) as stream:
        image.fromarray(np.ascontiguousarray(frames[0, 0])).save(stream, kind, dpi=(25.4 / x, 25.4 / y))


def _pages(picture: Any) -> int:
    return int(getattr(picture, "n_frames", 1))


def _check(picture: Any, path: Path, size: int, grey: bool) -> None:
    """Raise for a picture that is colour, or too large for its file, before its pixels are decoded."""
    width, height = picture.size
    pages = _pages(picture)
    stated.check_sizes((width, height, pages), path)
    block = voxels.Block(0, width * height * pages * _BYTES.get(picture.mode, 1), f"{width} x {height}")
    voxels.check_room(block, path, size, True, tail=True)
    if picture.mode not in _GREY and not grey:
        raise InputError(
            "MMREG_E_PICTURE_COLOUR",
            f"{path} is a colour picture (mode {picture.mode}); each pixel must be one number. Choose "
            "grey=True to use its luminance, or save the channel that you need.",
        )


def _page(picture: Any, page: int, grey: bool, path: Path) -> Array:
    picture.seek(page)
    if picture.mode not in _GREY:
        if not grey:
            _check(picture, path, 1 << 62, grey)
        picture = picture.convert("L")
    array: Array = np.array(picture)
    return array.astype(np.uint8 if array.dtype == bool else array.dtype.newbyteorder("="), copy=False)


def _grid(shape: tuple[int, ...], spacing_mm: tuple[float, float] | None, path: Path) -> Grid:
    if spacing_mm is None:
        raise GeometryError(
            "MMREG_E_PICTURE_SPACING",
            f"{path} is a picture, which does not say how large its pixels are. Choose the spacing in mm, "
            "for instance spacing_mm=0.5.",
        )
    affine = axes.lps_affine(np.eye(2), np.array(spacing_mm), np.zeros(2))
    return axes.grid_of(shape[::-1], affine, path)
