"""Image files by their names: which module reads and writes which, and what may be chosen on reading."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from . import dicom, endings, nifti
from .stack import Stack

if TYPE_CHECKING:
    from pathlib import Path

    from ..geometry import Array, Grid, Volume
    from .nifti import Form

_MODULES = {
    ".nrrd": "nrrd",
    ".nhdr": "nrrd",
    ".mha": "metaimage",
    ".mhd": "metaimage",
    ".mgh": "mgh",
    ".mgz": "mgh",
    **dict.fromkeys(endings.PICTURES, "pictures"),
}


@dataclass(frozen=True)
class Choice:
    """Choices of the caller where a file leaves them open."""

    frame: int | None = None
    prefer: Form | None = None
    spacing_mm: tuple[float, float] | None = None  # of a picture, along x and y
    grey: bool = False  # a colour picture as its luminance
    series: str | None = None  # of a folder of DICOM: its number in the list of the error, or its UID


def result_ending(path: Path) -> str:
    """Return the ending of results in the format of a scan: the same, or of one that can be written."""
    return ".nii.gz" if path.is_dir() else endings.RESULT_OF.get(path.suffix.lower(), ".nii.gz")


def as_stored(volume: Volume, like: Volume, ending: str) -> Volume:
    """Return an image as PNG holds it: whole numbers in the range of another; unchanged for other formats."""
    limits = np.iinfo(like.data.dtype) if like.data.dtype.kind in "iu" else None
    if ending != ".png" or limits is None:
        return volume
    rounded = np.clip(np.rint(np.nan_to_num(volume.data)), limits.min, limits.max)
    return volume.with_data(rounded.astype(like.data.dtype))


def is_picture(path: Path) -> bool:
    """Return whether the name is that of a picture, which needs a spacing."""
    return path.suffix.lower() in endings.PICTURES


def is_dicom(path: Path) -> bool:
    """Return whether the path is a folder or a DICOM file, of any name."""
    return path.is_dir() or (path.suffix.lower() not in _MODULES and dicom.is_dicom(path))


def read(path: Path, choice: Choice) -> Volume:
    """Read an image, or one frame of a series."""
    if path.suffix.lower() in _MODULES or is_dicom(path):
        return load(path, choice).one(choice.frame, path)
    return nifti.read(path, choice.frame, choice.prefer)


def load(path: Path, choice: Choice) -> Stack:
    """Read all images of a file that is not NIfTI."""
    if is_dicom(path):
        return dicom.load(path, choice.series)
    module = _module(path)
    stack: Stack = (
        module.load(path, choice.spacing_mm, choice.grey) if is_picture(path) else module.load(path)
    )
    return stack


def write(volume: Volume, path: Path) -> None:
    """Write an image in the format that the name says."""
    if path.suffix.lower() not in _MODULES:
        nifti.write(volume, path)
    else:
        write_frames(np.asarray(volume.data)[None], volume.grid, volume.source, path)


def write_frames(frames: Array, grid: Grid, source: object, path: Path) -> None:
    """Write images ``(N, D, H, W)`` on one grid in a format other than NIfTI."""
    _module(path).write(nifti.storable(frames, "="), grid, source, path)


def _module(path: Path) -> Any:
    return import_module(f"{__package__}.{_MODULES[path.suffix.lower()]}")
