"""The files of a bundle on disk: a folder, or a zip without compression, read within bounds.

A name is plain (``NAME``): there are no folders, so no path can lead outside. Every size is known before a
byte is read. Links, pipes and devices are not followed. Only this module reads the zip, which has nothing
that two programs could read in two ways: entries follow each other from the first byte, the central directory
repeats the header of each, and nothing else is in the file (APPNOTE.TXT 6.3, sections 4.3.7, 4.3.12 and
4.3.16). ``zipfile`` of the standard library accepts what this module refuses: bytes before and between
entries, and directories that contradict the entries.
"""

from __future__ import annotations

import os
import re
import stat
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from ..errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
MAX_NAME, MAX_FILES = 100, 32
MAX_BUNDLE_BYTES = (1 << 31) - 1

_LOCAL, _CENTRAL, _END = struct.Struct("<4s5H3I2H"), struct.Struct("<4s6H3I5H2I"), struct.Struct("<4s4H2IH")
_STORED, _UTF8 = 0, 1 << 11


class BundleFiles(Protocol):
    """The files of a folder or of a zip."""

    path: Path
    sizes: Mapping[str, int]  # of each file, in bytes

    def read(self, name: str) -> bytes:
        """Return the whole file, which must have the size in ``sizes``."""


def bundle_files(path: Path) -> BundleFiles:
    """List the files of the bundle at ``path``, without reading them.

    Raises:
        BundleError: There is no bundle, or it has files that are not allowed.
    """
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            return FolderFiles(path)
        if stat.S_ISREG(mode):
            return ZipFiles(path)
    except OSError as reason:
        raise _unreadable(path, reason) from reason
    raise BundleError(
        "MMREG_E_BUNDLE_KIND",
        f"A bundle must be a folder or a zip; {path} is a device, pipe or socket. Give a file.",
    )


class FolderFiles:
    """The files of a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        sizes: dict[str, int] = {}
        with os.scandir(path) as entries:
            for entry in entries:
                _check_name(entry.name, sizes, path)
                status = entry.stat(follow_symlinks=False)
                if not stat.S_ISREG(status.st_mode):
                    raise _not_plain(entry.name, path)
                sizes[entry.name] = status.st_size
        _check_total(sizes.values(), path)
        self.sizes: Mapping[str, int] = sizes

    def read(self, name: str) -> bytes:
        """Return the whole file, which must have the size in ``sizes``."""
        try:
            folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                stream = _open_regular(self.path / name, folder)
            finally:
                os.close(folder)
            with stream:
                return _exactly(stream, self.sizes[name], name, self.path)
        except OSError as reason:
            raise _unreadable(self.path / name, reason) from reason


@dataclass(frozen=True)
class _Entry:
    start: int
    size: int
    checksum: int


class ZipFiles:
    """The files of a zip without compression."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with _open_regular(path) as stream:
            self._entries = _zip_entries(stream, path)
        self.sizes: Mapping[str, int] = {name: entry.size for name, entry in self._entries.items()}

    def read(self, name: str) -> bytes:
        """Return the whole file, which must have the size in ``sizes``."""
        entry = self._entries[name]
        try:
            with _open_regular(self.path) as stream:
                stream.seek(entry.start)
                data = stream.read(entry.size)
        except OSError as reason:
            raise _unreadable(self.path, reason) from reason
        if len(data) != entry.size or zlib.crc32(data) != entry.checksum:
            raise BundleError(
                "MMREG_E_BUNDLE_ZIP",
                f"{name} in {self.path} is damaged: its checksum differs from that in the zip. Copy the "
                "bundle again.",
            )
        return data


def _open_regular(path: Path, folder: int | None = None) -> BinaryIO:
    """Open a regular file; a pipe or device put in its place is refused and does not block."""
    name = path if folder is None else path.name
    follow = 0 if folder is None else os.O_NOFOLLOW
    file = os.open(name, os.O_RDONLY | os.O_NONBLOCK | follow, dir_fd=folder)
    stream = open(file, "rb")  # noqa: SIM115 (the caller closes it)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        stream.close()
        raise _not_plain(path.name, path.parent)
    return stream


def _zip_entries(stream: BinaryIO, path: Path) -> dict[str, _Entry]:
    """Read the central directory, comparing each entry with the header before its data."""
    total = os.fstat(stream.fileno()).st_size
    if total > MAX_BUNDLE_BYTES:
        raise _too_large(total, path)
    count, size, at = _zip_end(stream, total, path)
    listed = _exactly_at(stream, at, size, path)
    entries: dict[str, _Entry] = {}
    place = expected = 0
    for _ in range(count):
        if len(listed) - place < _CENTRAL.size:
            raise _bad_zip("its central directory is cut off", path)
        fields = _CENTRAL.unpack_from(listed, place)
        if fields[0] != b"PK\x01\x02":
            raise _bad_zip("its central directory is damaged", path)
        name_length, offset = fields[10], fields[16]
        name = _decoded(listed[place + _CENTRAL.size : place + _CENTRAL.size + name_length], path)
        place += _CENTRAL.size + name_length
        _check_entry(name, fields, entries, path)
        if offset != expected:
            raise _bad_zip(f"{name} does not follow the entry before it", path)
        start = _local_end(stream, offset, name, fields, path)
        entries[name] = _Entry(start, fields[9], fields[7])
        expected = start + fields[9]
    if place != len(listed) or expected != at:
        raise _bad_zip("it has more bytes than its files take", path)
    return entries


def _zip_end(stream: BinaryIO, total: int, path: Path) -> tuple[int, int, int]:
    """Return number of files, and size and offset of the central directory, from the end record."""
    if total < _END.size:
        raise _bad_zip(f"it has only {total} bytes", path)
    end = _END.unpack(_exactly_at(stream, total - _END.size, _END.size, path))
    signature, disk, first_disk, here, count, size, at, comment = end
    if signature != b"PK\x05\x06" or comment:
        raise _bad_zip("it does not end like a zip without a comment", path)
    if disk or first_disk or here != count or at + size != total - _END.size:
        raise _bad_zip("the record at its end does not fit the file", path)
    if count > MAX_FILES or size > count * (_CENTRAL.size + MAX_NAME):
        raise BundleError(
            "MMREG_E_BUNDLE_TOO_LARGE",
            f"A bundle may have {MAX_FILES} files with names of up to {MAX_NAME} characters; {path} lists "
            f"{count} in {size} bytes. Remove the others.",
        )
    return count, size, at


def _check_entry(name: str, fields: tuple[int, ...], known: Mapping[str, object], path: Path) -> None:
    """Raise unless an entry is a plain file, stored without compression."""
    _check_name(name, known, path)
    flags, method, packed, size, extra, comment, disk = (fields[i] for i in (3, 4, 8, 9, 11, 12, 13))
    if method != _STORED or packed != size:
        raise BundleError(
            "MMREG_E_BUNDLE_COMPRESSED",
            f"{name} in {path} is compressed; files of a bundle must not be. Write the bundle with "
            "write_bundle.",
        )
    mode = fields[15] >> 16
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise _not_plain(name, path)
    if flags & ~_UTF8 or extra or comment or disk:
        raise _bad_zip(f"{name} is encrypted, streamed or has extra fields", path)


def _local_end(stream: BinaryIO, offset: int, name: str, fields: tuple[int, ...], path: Path) -> int:
    """Return where the data of an entry begin; its local header must agree with the directory."""
    size = _LOCAL.size + len(name)
    header = _exactly_at(stream, offset, size, path)
    local = _LOCAL.unpack_from(header)
    same = (b"PK\x03\x04", *fields[2:10], len(name), 0)
    if local != same or header[_LOCAL.size :] != name.encode():
        raise _bad_zip(f"the two headers of {name} differ", path)
    return offset + size


def _check_name(name: str, known: Mapping[str, object], path: Path) -> None:
    if len(name) > MAX_NAME or not NAME.fullmatch(name):
        raise BundleError(
            "MMREG_E_BUNDLE_NAME",
            f"A file in {path} is named {name[:120]!r}; names in a bundle must consist of letters, digits, "
            "'_', '-' and single dots, without folders. Rename it.",
        )
    clash = next((other for other in known if other.casefold() == name.casefold()), None)
    if clash is not None:
        raise BundleError(
            "MMREG_E_BUNDLE_DUPLICATE",
            f"{path} has the two files {clash!r} and {name!r}, which some disks cannot keep apart. Remove "
            "one.",
        )
    if len(known) >= MAX_FILES:
        raise BundleError(
            "MMREG_E_BUNDLE_TOO_LARGE",
            f"A bundle may have {MAX_FILES} files; {path} has more. Remove the others.",
        )


def _check_total(sizes: Iterable[int], path: Path) -> None:
    total = sum(sizes)
    if total > MAX_BUNDLE_BYTES:
        raise _too_large(total, path)


def _exactly_at(stream: BinaryIO, at: int, size: int, path: Path) -> bytes:
    stream.seek(at)
    data = stream.read(size)
    if len(data) != size:
        raise _bad_zip("it is cut off", path)
    return data


def _exactly(stream: BinaryIO, size: int, name: str, path: Path) -> bytes:
    current = os.fstat(stream.fileno()).st_size
    data = stream.read(size) if current == size else b""
    if current != size or len(data) != size:
        raise BundleError(
            "MMREG_E_BUNDLE_SIZE",
            f"{name} in {path} had {size} bytes when the bundle was opened and has {current} now. Open the "
            "bundle again when its writer has finished.",
        )
    return data


def _decoded(name: bytes, path: Path) -> str:
    try:
        return name.decode("ascii")
    except UnicodeDecodeError as reason:
        raise BundleError(
            "MMREG_E_BUNDLE_NAME", f"A file in {path} is named {name[:120]!r}; use plain letters. Rename it."
        ) from reason


def _unreadable(path: Path, reason: OSError) -> BundleError:
    if isinstance(reason, FileNotFoundError | NotADirectoryError):
        return BundleError("MMREG_E_BUNDLE_MISSING", f"There is no bundle file {path}. Check the path.")
    return BundleError(
        "MMREG_E_BUNDLE_READ", f"Cannot read {path}: {reason.strerror}. Check its permissions and the disk."
    )


def _not_plain(name: str, path: Path) -> BundleError:
    return BundleError(
        "MMREG_E_BUNDLE_LINK",
        f"{name} in {path} is a link, folder or device; a bundle may only have plain files. Replace it by "
        "the file itself.",
    )


def _too_large(total: int, path: Path) -> BundleError:
    return BundleError(
        "MMREG_E_BUNDLE_TOO_LARGE",
        f"A bundle may have {MAX_BUNDLE_BYTES} bytes; {path} has {total}. Leave out a precision.",
    )


def _bad_zip(fault: str, path: Path) -> BundleError:
    return BundleError(
        "MMREG_E_BUNDLE_ZIP",
        f"{path} is not a valid bundle archive: {fault}. Copy it again, or write it with write_bundle.",
    )
