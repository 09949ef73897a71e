"""Image files by their endings: which module reads and writes which."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol

import numpy as np

from . import nifti
from .stack import Stack

if TYPE_CHECKING:
    from pathlib import Path

    from ..geometry import Array, Grid, Volume
    from .nifti import Form

    class Format(Protocol):
        """A module for one format."""

        def load(self, path: Path) -> Stack: ...
        def write(self, frames: Array, grid: Grid, source: object, path: Path) -> None: ...


_MODULES = {
    ".nrrd": "nrrd",
    ".nhdr": "nrrd",
    ".mha": "metaimage",
    ".mhd": "metaimage",
    ".mgh": "mgh",
    ".mgz": "mgh",
}


def format_of(path: Path) -> Format | None:
    """Return the module for a file by its name; None for NIfTI."""
    name = _MODULES.get(path.suffix.lower())
    module: Format | None = name and import_module(f"{__package__}.{name}")  # type: ignore[assignment]
    return module


def read(path: Path, frame: int | None, prefer: Form | None) -> Volume:
    """Read an image, or one frame of a series; ``prefer`` chooses between forms of NIfTI that disagree."""
    module = format_of(path)
    return nifti.read(path, frame, prefer) if module is None else module.load(path).one(frame, path)


def write(volume: Volume, path: Path) -> None:
    """Write an image in the format that the name says."""
    module = format_of(path)
    if module is None:
        nifti.write(volume, path)
    else:
        data = nifti.storable(volume.data, "=")
        module.write(np.asarray(data)[None], volume.grid, volume.source, path)
