"""Recognition of other programs' files, so that the error names the program and says how to convert them.

Matrices are the worst case: FLIRT, reg_aladin and others write sixteen bare numbers that mean different maps
in different coordinates. None is guessed.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from typing import TYPE_CHECKING

from ..errors import InputError, TransformError
from . import files

if TYPE_CHECKING:
    from pathlib import Path

SCANNED_BYTES = 1 << 16
SCANNED_FILES = 200
_DICOM_NAMES = (".dcm", ".ima", ".dicom")
_WORD = re.compile(r"[+-]?[\d.]+(?:[eE][+-]?\d+)?", re.ASCII)
_LTA = re.compile(r"\s*(?:#[^\n]*\n\s*)*type\s*=\s*\d", re.ASCII)
_ELASTIX = re.compile(r'^\s*(?:\(Transform\s+"(\w+)"|Transform\s*=\s*"(\w+)")', re.MULTILINE | re.ASCII)


def program(text: str) -> str:
    """Return which program wrote a text file with a transform: elastix, freesurfer, or "" for any other."""
    if _ELASTIX.search(text):
        return "elastix"
    return "freesurfer" if _LTA.match(text) else ""


def refuse_matrix(path: Path) -> None:
    """Raise for a text file of bare numbers, naming the programs that write such files.

    Raises:
        TransformError: It is a bare matrix (FLIRT, reg_aladin, AFNI).
        InputError: It cannot be opened.
    """
    with files.open_regular(path) as stream:
        text = stream.read(SCANNED_BYTES).decode("latin-1")
    _refuse_numbers(text, path)


def _refuse_numbers(text: str, path: Path) -> None:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("#", "%"))]
    rows = [line.replace(",", " ").split() for line in lines[:5]]
    if not all(_WORD.fullmatch(word) for row in rows for word in row):
        return
    shape = tuple(map(len, rows))
    if shape == (4, 4, 4, 4):
        raise _refusal(
            path,
            "is a bare 4x4 matrix: FLIRT (FSL) and reg_aladin (NiftyReg) write such files with different "
            "meanings, and the file does not say which it is",
            f"From FLIRT: mmreg convert {path.name} NAME.tfm --from fsl --fixed FIXED --moving MOVING. From "
            f"reg_aladin: mmreg convert {path.name} NAME.tfm --from niftyreg.",
        )
    if shape in ((12,), (4, 4, 4)):
        raise _refusal(
            path,
            "is a bare matrix of twelve numbers, as AFNI writes it, but does not have the ending .1D",
            f"If it is of AFNI: mmreg convert {path.name} NAME.tfm --from afni.",
        )


def refuse_dicom(path: Path) -> None:
    """Raise for a folder of DICOM files, and for a DICOM file of any name.

    Raises:
        InputError: It is one of these.
    """
    with contextlib.suppress(OSError):
        if path.is_dir():
            if _has_dicom(path):
                raise InputError(
                    "MMREG_E_DICOM_FOLDER",
                    f"{path} is a folder of DICOM files, which is read as a scan only. Give a file of "
                    "another format here.",
                )
        elif _is_dicom(path):
            raise InputError(
                "MMREG_E_DICOM_FILE",
                f"{path} is a DICOM file, which is read as a scan only. Give a file of another format here.",
            )


def _has_dicom(folder: Path) -> bool:
    """Return whether one of the first files is DICOM; series often lie one or two folders down."""
    walk = ((base, name) for base, _, names in os.walk(folder) for name in sorted(names))
    for base, name in itertools.islice(walk, SCANNED_FILES):
        if name.upper() == "DICOMDIR" or name.lower().endswith(_DICOM_NAMES):
            return True
        with contextlib.suppress(OSError):
            if _is_dicom(os.path.join(base, name)):
                return True
    return False


def _is_dicom(path: str | os.PathLike[str]) -> bool:
    """Return whether a regular file has the DICOM mark (PS3.10) after 128 bytes."""
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def _refusal(path: Path, what: str, advice: str) -> TransformError:
    return TransformError("MMREG_E_TRANSFORM_FOREIGN", f"{path} {what}. {advice}")
