"""Files as they are on disk: opened only if regular, read within bounds, written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    class ByteStream(Protocol):
        def read(self, count: int, /) -> bytes: ...


CHUNK = 1 << 20


@contextlib.contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file for reading, and refuse it afterwards if it changed meanwhile.

    What was opened is checked, not what had the name a moment before: a pipe that takes the place of the
    file neither blocks nor is read.
    """
    try:
        _refuse_special(path, os.stat(path))  # to open a device may already do something
        stream = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 (closed below)
    except OSError as reason:
        raise _cannot_open(path, reason) from reason
    with stream:
        before = os.fstat(stream.fileno())
        _refuse_special(path, before)
        try:
            yield stream
        except OSError as reason:
            raise InputError(
                "MMREG_E_FILE_READ", f"Cannot read {path}: {reason.strerror}. Check the disk or the network."
            ) from reason
        after = os.fstat(stream.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise InputError(
            "MMREG_E_FILE_CHANGED",
            f"{path} changed while it was read ({before.st_size} bytes, then {after.st_size}). "
            "Wait until its writer is done and read it again.",
        )


def size_of(stream: BinaryIO) -> int:
    """Return the size of an open file in bytes."""
    return os.fstat(stream.fileno()).st_size


def _without_waiting(path: str, flags: int) -> int:
    """Open without waiting for the other end of a pipe; to a regular file it makes no difference."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))


def read_text(path: Path, limit: int) -> str:
    """Return a small UTF-8 text file, without byte-order mark or NUL bytes, of at most ``limit`` bytes."""
    with open_regular(path) as stream:
        check_length(stream, path, limit)
        raw = stream.read(size_of(stream) + 1)  # it allocates what it is asked for
    return decoded(raw, path)


def check_length(stream: BinaryIO, path: Path, limit: int) -> None:
    """Refuse a text file of more than ``limit`` bytes before it is read."""
    if size_of(stream) > limit:
        raise InputError(
            "MMREG_E_TEXT_TOO_LONG",
            f"{path} is longer than {limit} bytes, the limit for its kind. Check that it is the file you "
            "mean.",
        )


def decoded(raw: bytes, path: Path, at: int = 0) -> str:
    """Return the bytes at place ``at`` of a UTF-8 text file as text."""
    if at == 0 and raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise InputError(
            "MMREG_E_TEXT_BOM", f"{path} starts with a byte-order mark. Save it as UTF-8 without BOM."
        )
    try:
        text = raw.decode()
    except UnicodeDecodeError as reason:
        raise InputError(
            "MMREG_E_TEXT_ENCODING",
            f"{path} is not UTF-8 text: byte {raw[reason.start]:#04x} at {at + reason.start}. Save it as "
            "UTF-8.",
        ) from reason
    if "\0" in text:
        raise InputError(
            "MMREG_E_TEXT_ENCODING",
            f"{path} has a NUL byte at {at + raw.index(0)}, so it is not text. Check that it is the file "
            "you mean.",
        )
    return text


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
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
