"""Reading of files as the options choose; a choice applies to each file that leaves it open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ..errors import InputError

if TYPE_CHECKING:
    from ..geometry import Volume
    from ..io.images import Choice
    from ..io.nifti import Form
    from ..io.series import Series
    from ..io.stack import Stack
    from ..transform import Transform

Read = TypeVar("Read")


def read_scan(path: Path, choice: Choice) -> Volume:
    """Read an image.

    Args:
        path: Path of the file, or folder of DICOM.
        choice: What to read where the file leaves it open; the frame is ignored for a file with one image.

    Raises:
        InputError: The file cannot be read, or leaves open what is not chosen.
    """
    from .. import io
    from ..io import images
    from ..io.series import NOT_CHOSEN

    known = io.image_path(path)

    def read(frame: int | None) -> Volume:
        return with_preference(
            lambda form: images.read(known, replace(choice, frame=frame, prefer=form)), choice.prefer
        )

    try:
        return read(None)
    except InputError as refusal:
        if refusal.code not in NOT_CHOSEN or choice.frame is None:
            raise
    return read(choice.frame)


def read_series(path: Path, choice: Choice) -> Series | Stack:
    """Read all images of a file; ``choice`` as in ``read_scan``."""
    from .. import io
    from ..io import series

    known = io.image_path(path)
    return with_preference(lambda form: series.read_all(known, replace(choice, prefer=form)), choice.prefer)


def read_transform(path: Path, prefer: Form | None = None) -> Transform:
    """Read a transform; ``prefer`` chooses where sform and qform disagree."""
    from .. import io

    return with_preference(lambda form: io.read_transform(path, prefer=form), prefer)


def with_preference(read: Callable[[Form | None], Read], prefer: Form | None) -> Read:
    """Read without a preference, or with it where the forms disagree."""
    try:
        return read(None)
    except InputError as refusal:
        if refusal.code != "MMREG_E_NIFTI_FORMS_DISAGREE" or prefer is None:
            raise
    return read(prefer)
