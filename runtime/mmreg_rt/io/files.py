"""Files as they are on disk: opened only if regular, read within bounds, written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    class ByteStream(Protocol):
        def read(self, count: int, /) -> bytes: ...


CHUNK = 1 << 20
DEFLATE_LIMIT = (
    1032  # one compressed byte never stands for more (zlib technical details, "maximum expansion")
)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A regular file for reading; refused afterwards if it changed meanwhile."""
    try:
        before = os.stat(path)
        _refuse_special(path, before)
        stream = open(path, "rb")  # noqa: SIM115 (closed below; only opening may turn into an InputError)
    except OSError as reason:
        raise _cannot_open(path, reason) from reason
    with stream:
        try:
            yield stream
        except OSError as reason:
            raise InputError(
                "MMREG_E_FILE_READ", f"Cannot read {path}: {reason.strerror}. Check the disk or the network."
            ) from reason
        after = os.fstat(stream.fileno())
    if (before.st_ino, before.st_size, before.st_mtime_ns) != (
        after.st_ino,
        after.st_size,
        after.st_mtime_ns,
    ):
        raise InputError(
            "MMREG_E_FILE_CHANGED",
            f"{path} changed while it was read ({before.st_size} bytes, then {after.st_size}). "
            "Wait until its writer is done and read it again.",
        )


def read_text(path: Path, limit: int) -> str:
    """A small UTF-8 text file, without byte-order mark or NUL bytes, of at most ``limit`` bytes."""
    with opened(path) as stream:
        raw = stream.read(
            min(limit, os.fstat(stream.fileno()).st_size) + 1
        )  # it allocates what it is asked for
    if len(raw) > limit:
        raise InputError(
            "MMREG_E_TEXT_TOO_LONG",
            f"{path} is longer than {limit} bytes, the limit for its kind. Check that it is the file you "
            "mean.",
        )
    if raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise InputError(
            "MMREG_E_TEXT_BOM", f"{path} starts with a byte-order mark. Save it as UTF-8 without BOM."
        )
    try:
        text = raw.decode()
    except UnicodeDecodeError as reason:
        raise InputError(
            "MMREG_E_TEXT_ENCODING",
            f"{path} is not UTF-8 text: byte {raw[reason.start]:#04x} at {reason.start}. Save it as UTF-8.",
        ) from reason
    if "\0" in text:
        raise InputError(
            "MMREG_E_TEXT_ENCODING",
            f"{path} has a NUL byte at {text.index(chr(0))}, so it is not text. Check that it is the file "
            "you mean.",
        )
    return text


class Gunzip:
    """Reads a gzip stream a bounded piece at a time; length and checksum are verified at its end."""

    def __init__(self, stream: BinaryIO, path: Path) -> None:
        self._stream, self._path = stream, path
        self._inflate = zlib.decompressobj(wbits=31)
        self._pending = b""
        self._ended = False

    def read(self, count: int, /) -> bytes:
        """Up to ``count`` bytes, fewer only at the end of the data."""
        pieces: list[bytes] = []
        while count > 0 and not self._at_end():
            piece = self._inflated(min(count, CHUNK))
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)

    def _at_end(self) -> bool:
        if self._ended or not self._inflate.eof:
            return self._ended
        rest = self._inflate.unused_data or self._stream.read(CHUNK)
        while rest and not rest.strip(b"\0"):  # zeros may pad the end
            rest = self._stream.read(CHUNK)
        self._ended = not rest
        if rest and not rest.startswith(b"\x1f\x8b"):
            raise InputError(
                "MMREG_E_FILE_TRAILING",
                f"{self._path} goes on with other bytes after its compressed data. Compress it again.",
            )
        self._inflate, self._pending = zlib.decompressobj(wbits=31), rest  # a further member, if any
        return self._ended

    def _inflated(self, count: int) -> bytes:
        feed = self._inflate.unconsumed_tail or self._pending or self._stream.read(CHUNK)
        self._pending = b""
        if not feed:
            raise InputError(
                "MMREG_E_GZIP_TRUNCATED",
                f"The compressed data of {self._path} ends too early. Copy or download the file again.",
            )
        try:
            return self._inflate.decompress(feed, count)
        except zlib.error as reason:
            raise InputError(
                "MMREG_E_GZIP_CORRUPT",
                f"The compressed data of {self._path} is damaged ({reason}). Copy or download the file "
                "again.",
            ) from reason


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """A new file that appears under ``path`` when the block ends well, and not at all when it does not."""
    partial = path.with_name(f".mmreg-{secrets.token_hex(4)}.partial")  # short: names may have 255 bytes
    try:
        _refuse_case_clash(path)
        stream = open(partial, "xb")  # noqa: SIM115 (closed below; only opening may turn into an InputError)
    except OSError as reason:
        raise _cannot_write(path, reason) from reason
    try:
        with stream:
            yield stream
        os.replace(partial, path)
    except OSError as reason:
        raise _cannot_write(path, reason) from reason
    finally:
        partial.unlink(missing_ok=True)


def _refuse_special(path: Path, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise InputError("MMREG_E_FILE_IS_DIRECTORY", f"{path} is a folder. Give the file inside it.")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(
            "MMREG_E_FILE_NOT_REGULAR",
            f"{path} is a device, pipe or socket, which may never end. Copy its content into a file first.",
        )
    if status.st_size == 0:
        raise InputError("MMREG_E_FILE_EMPTY", f"{path} is empty (0 bytes). Copy or write it again.")


def _cannot_open(path: Path, reason: OSError) -> InputError:
    if reason.errno in (errno.ENOENT, errno.ENOTDIR):
        return InputError(
            "MMREG_E_FILE_MISSING", f"There is no file {path}.{_near_name(path)} Check the path."
        )
    if reason.errno in (errno.EACCES, errno.EPERM):
        return InputError(
            "MMREG_E_FILE_PERMISSION", f"No permission to read {path}. Change its permissions, or copy it."
        )
    if reason.errno == errno.ELOOP:
        return InputError(
            "MMREG_E_FILE_LINK_LOOP", f"{path} is a link that leads to itself. Give the real file."
        )
    return InputError("MMREG_E_FILE_READ", f"Cannot open {path}: {reason.strerror}. Check the path.")


def _cannot_write(path: Path, reason: OSError) -> InputError:
    return InputError(
        "MMREG_E_OUTPUT",
        f"Cannot write {path}: {reason.strerror}; nothing was left behind. Choose an existing folder with "
        "room "
        "and write permission.",
    )


def _names_like(path: Path) -> list[str]:
    wanted = path.name.casefold()
    return [n for n in os.listdir(path.parent) if n != path.name and n.casefold() == wanted]


def _near_name(path: Path) -> str:
    with contextlib.suppress(OSError):
        if near := _names_like(path):
            return f" The folder has {near[0]!r}, which differs in upper and lower case."
    return ""


def _refuse_case_clash(path: Path) -> None:
    if clash := _names_like(path):
        raise InputError(
            "MMREG_E_OUTPUT_CASE",
            f"Cannot write {path}: {clash[0]!r} is there already and differs only in upper and lower case, "
            "which "
            "some disks cannot keep apart. Choose another name.",
        )
