"""Reading of files as ``--frame`` and ``--prefer`` choose."""

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
    """Read an image.

    Args:
        path: Path of the file.
        frame: Frame of a series, counted from 0; ignored for a file with one image.
        prefer: Form to use where sform and qform disagree; ignored elsewhere.

    Raises:
        InputError: The file cannot be read, or is a series and no frame is chosen.
    """
    from .. import io

    try:
        return with_preference(lambda form: io.read_image(path, prefer=form), prefer)
    except InputError as refusal:
        if refusal.code != "MMREG_E_NIFTI_FRAMES" or frame is None:
            raise
    return with_preference(lambda form: io.read_image(path, frame=frame, prefer=form), prefer)


def read_series(path: Path, prefer: Form | None = None) -> Series:
    """Read all images of a file; ``prefer`` as in ``read_scan``."""
    from ..io import series

    return with_preference(lambda form: series.read(path, form), prefer)


def read_transform(path: Path, prefer: Form | None = None) -> Transform:
    """Read a transform; ``prefer`` as in ``read_scan``."""
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
