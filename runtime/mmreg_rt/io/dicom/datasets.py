"""One DICOM file (PS3.10), read within the size that it has."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any

from ...errors import InputError, MmregError
from .. import files
from ..optional import library

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

DEFLATED = b"1.2.840.10008.1.2.1.99"
_PREAMBLE = 128
_LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
_LONGEST_META = 1 << 20


def is_dicom(path: Path) -> bool:
    """Return whether a regular file has the mark of DICOM after its first 128 bytes."""
    try:
        if not path.is_file():
            return False
        with open(path, "rb") as stream:
            return stream.read(_PREAMBLE + 4)[_PREAMBLE:] == b"DICM"
    except OSError:
        return False


def read(path: Path, pixels: bool) -> Any:
    """Return the dataset of a file, with or without its pixels.

    Raises:
        InputError: It is not DICOM, or damaged.
        BackendUnavailableError: pydicom is not installed.
    """
    pydicom = library("pydicom", "dicom", "Reading DICOM")
    with files.open_regular(path) as stream:
        if stream.read(_PREAMBLE + 4)[_PREAMBLE:] != b"DICM":
            raise damaged(path, "no DICM after 128 bytes")
        _refuse_deflated(stream, path)
        stream.seek(0)
        try:
            return pydicom.dcmread(_Bounded(stream), stop_before_pixels=not pixels)
        except (MmregError, MemoryError):
            raise
        except Exception as reason:  # damaged files end in every kind of exception
            raise damaged(path, type(reason).__name__) from reason


def damaged(path: Path, found: str) -> InputError:
    """Return the error of a file that cannot be read as DICOM."""
    return InputError(
        "MMREG_E_DICOM_DAMAGED",
        f"{path} cannot be read as DICOM ({found}). Export it again from the archive, or check it with "
        "dcmdump or dciodvfy.",
    )


def _refuse_deflated(stream: BinaryIO, path: Path) -> None:
    """Raise for a dataset that is compressed as a whole, whose size nothing states."""
    start = stream.tell()
    while stream.tell() - start < _LONGEST_META:
        head = stream.read(8)
        if len(head) < 8 or head[:2] != b"\2\0":
            return
        size = struct.unpack("<H", head[6:])[0] if head[4:6] not in _LONG else _long(stream)
        value = stream.read(size) if head[2:4] == b"\x10\0" and size < 100 else b""
        if value.rstrip(b"\0 ") == DEFLATED:
            raise InputError(
                "MMREG_E_DICOM_COMPRESSION",
                f"{path} is deflated as a whole, which is not supported. Convert it with dcmconv or "
                "gdcmconv --raw.",
            )
        stream.seek(size - len(value), os.SEEK_CUR)
    raise damaged(path, f"more than {_LONGEST_META} bytes of file meta information")


def _long(stream: BinaryIO) -> int:
    raw = stream.read(4)
    return int(struct.unpack("<I", raw)[0]) if len(raw) == 4 else 0


class _Bounded:
    """A file that is never asked for more bytes than it has: ``read`` allocates what it is asked for."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._size = stream, files.size_of(stream)
        self.tell, self.seek, self.close = stream.tell, stream.seek, stream.close

    def read(self, count: int = -1, /) -> bytes:
        left = max(self._size - self._stream.tell(), 0)
        return self._stream.read(left if count is None or count < 0 else min(count, left))
