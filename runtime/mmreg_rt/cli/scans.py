"""Scans as the options of a command choose them: one frame of a series, and which form to believe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ..errors import InputError

if TYPE_CHECKING:
    from ..geometry import Volume
    from ..io.nifti import Form
    from ..io.series import Series
    from ..transform import Transform

Read = TypeVar("Read")


def read_scan(path: Path, frame: int | None = None, prefer: Form | None = None) -> Volume:
    """The image in ``path``.

    Args:
        path: Of the file.
        frame: Which one of a series, counted from 0. A file with one image has no other.
        prefer: The form to take where the two of the header disagree; elsewhere it says nothing.

    Raises:
        InputError: It cannot be read, or it is a series and no frame is chosen.
    """
    from .. import io

    try:
        return _settled(lambda form: io.read_image(path, prefer=form), prefer)
    except InputError as refusal:
        if refusal.code != "MMREG_E_NIFTI_FRAMES" or frame is None:
            raise
    return _settled(lambda form: io.read_image(path, frame=frame, prefer=form), prefer)


def read_series(path: Path, prefer: Form | None = None) -> Series:
    """All images of the file; ``prefer`` as of ``read_scan``."""
    from ..io import series

    return _settled(lambda form: series.read(path, form), prefer)


def read_transform(path: Path, prefer: Form | None = None) -> Transform:
    """The transform in ``path``; ``prefer`` as of ``read_scan``."""
    from .. import io

    return _settled(lambda form: io.read_transform(path, prefer=form), prefer)


def _settled(read: Callable[[Form | None], Read], prefer: Form | None) -> Read:
    """What is read without a preference, or, where the forms disagree, with it."""
    try:
        return read(None)
    except InputError as refusal:
        if refusal.code != "MMREG_E_NIFTI_FORMS_DISAGREE" or prefer is None:
            raise
    return read(prefer)
