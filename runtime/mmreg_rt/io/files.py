"""Files on disk: only regular files are opened, reads are bounded, and writes are atomic."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..errors import InputError

if TYPE_CHECKING:
    import gzip
    from collections.abc import Iterator
    from typing import Protocol

    class ByteStream(Protocol):
        """A stream that can be read."""

        def read(self, count: int, /) -> bytes: ...


CHUNK = 1 << 20


@contextlib.contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file for reading; raise at the end if it changed meanwhile.

    The opened file itself is checked, not only its name: a pipe put in its place neither blocks nor is read.

    Raises:
        InputError: The file is missing, special, empty or unreadable, or it changed.
    """
    try:
        _refuse_special(path, os.stat(path))  # opening a device can already have an effect
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
            "Wait until its writer has finished and read it again.",
        )


def size_of(stream: BinaryIO) -> int:
    """Return the size of an open file in bytes."""
    return os.fstat(stream.fileno()).st_size


def _without_waiting(path: str, flags: int) -> int:
    """Open without blocking on the other end of a pipe; regular files are not affected."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))


def read_text(path: Path, limit: int) -> str:
    """Read a UTF-8 text file of at most ``limit`` bytes, without byte-order mark or NUL bytes.

    Raises:
        InputError: It is longer, or is not such a file.
    """
    with open_regular(path) as stream:
        check_length(stream, path, limit)
        raw = stream.read(size_of(stream) + 1)  # read allocates as many bytes as it is asked for
    return decoded(raw, path)


def check_length(stream: BinaryIO, path: Path, limit: int) -> None:
    """Raise ``InputError`` for a text file of more than ``limit`` bytes, before it is read."""
    if size_of(stream) > limit:
        raise InputError(
            "MMREG_E_TEXT_TOO_LONG",
            f"{path} is longer than {limit} bytes, the limit for such files. Check that it is the right "
            "file.",
        )


def decoded(raw: bytes, path: Path, at: int = 0) -> str:
    """Decode bytes from offset ``at`` of a UTF-8 text file."""
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
            f"{path} has a NUL byte at {at + raw.index(0)}, so it is not text. Check that it is the right "
            "file.",
        )
    return text


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a new file that appears under ``path`` when the block succeeds, and not at all if it raises.

    Raises:
        InputError: The file cannot be written.
    """
    partial = path.with_name(f".mmreg-{secrets.token_hex(4)}.partial")  # short: names may have 255 bytes
    try:
        _refuse_case_clash(path)
        stream = open(partial, "xb")  # noqa: SIM115 (closed below; only errors of opening are caught)
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


def write_all(stream: BinaryIO | gzip.GzipFile, *parts: bytes | memoryview) -> None:
    """Write the parts one after another, in pieces, so that a signal is not kept waiting."""
    for part in parts:
        view = memoryview(part)
        for at in range(0, len(view), CHUNK):
            stream.write(view[at : at + CHUNK])


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Create a folder that appears under ``path`` when the block succeeds, and not at all if it raises.

    Raises:
        InputError: There is something of that name, or it cannot be written.
    """
    partial = path.with_name(f".mmreg-{secrets.token_hex(4)}.partial")  # short: names may have 255 bytes
    try:
        if os.path.lexists(path):
            raise FileExistsError(17, "it exists already", str(path))
        partial.mkdir()
        yield partial
        partial.rename(path)
    except OSError as reason:
        raise InputError(
            "MMREG_E_OUTPUT",
            f"Cannot write {path}: {reason.strerror}; no partial folder remains. Choose another name, in a "
            "folder with free space and write permission.",
        ) from reason
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _refuse_special(path: Path, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise InputError("MMREG_E_FILE_IS_DIRECTORY", f"{path} is a folder. Give the file inside it.")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(
            "MMREG_E_FILE_NOT_REGULAR",
            f"{path} is a device, pipe or socket, which may never end. Copy its content to a file first.",
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
        f"Cannot write {path}: {reason.strerror}; no partial file remains. Choose an existing folder with "
        "free space and write permission.",
    )


def _names_like(path: Path) -> list[str]:
    folded = path.name.casefold()
    return [n for n in os.listdir(path.parent) if n != path.name and n.casefold() == folded]


def _near_name(path: Path) -> str:
    with contextlib.suppress(OSError):
        if near := _names_like(path):
            return f" The folder has {near[0]!r}, which differs in upper and lower case."
    return ""


def _refuse_case_clash(path: Path) -> None:
    if clash := _names_like(path):
        raise InputError(
            "MMREG_E_OUTPUT_CASE",
            f"Cannot write {path}: {clash[0]!r} exists and differs only in upper and lower case, which some "
            "disks cannot keep apart. Choose another name.",
        )
