"""The files of a bundle as they are on disk: a folder, or a zip without compression, read within bounds.

A name is plain (``NAME``): there are no folders, so nothing can lie outside. Every size is known before a
byte is read. Links, pipes and devices are not followed. The zip is read by this module alone, and has
nothing that two programs could read in two ways: entries lie one after the other from the first byte on,
the list at the end repeats what stands before each of them, and nothing else is in the file (APPNOTE.TXT
6.3, sections 4.3.7, 4.3.12 and 4.3.16). ``zipfile`` of the standard library accepts what this module refuses:
bytes before and between entries, and lists that contradict the entries.
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
    """What a folder and a zip have in common."""

    path: Path
    sizes: Mapping[str, int]  # of each file, in bytes

    def read(self, name: str) -> bytes:
        """The whole file, of the size that was announced."""


def bundle_files(path: Path) -> BundleFiles:
    """The files of the bundle at ``path``; none is read yet.

    Raises:
        BundleError: There is no bundle, or one with files that may not be in it.
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
        f"A bundle is a folder or a zip; {path} is a device, pipe or socket. Give a file.",
    )


class FolderFiles:
    """The files of a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        sizes: dict[str, int] = {}
        with os.scandir(path) as found:
            for entry in found:
                _check_name(entry.name, sizes, path)
                status = entry.stat(follow_symlinks=False)
                if not stat.S_ISREG(status.st_mode):
                    raise _not_plain(entry.name, path)
                sizes[entry.name] = status.st_size
        _check_total(sizes.values(), path)
        self.sizes: Mapping[str, int] = sizes

    def read(self, name: str) -> bytes:
        """The whole file, of the size that was announced."""
        try:
            folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                stream = _opened(self.path / name, folder)
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
        with _opened(path) as stream:
            self._entries = _zip_entries(stream, path)
        self.sizes: Mapping[str, int] = {name: entry.size for name, entry in self._entries.items()}

    def read(self, name: str) -> bytes:
        """The whole file, of the size that was announced."""
        entry = self._entries[name]
        try:
            with _opened(self.path) as stream:
                stream.seek(entry.start)
                data = stream.read(entry.size)
        except OSError as reason:
            raise _unreadable(self.path, reason) from reason
        if len(data) != entry.size or zlib.crc32(data) != entry.checksum:
            raise BundleError(
                "MMREG_E_BUNDLE_ZIP",
                f"{name} in {self.path} is damaged: it does not have the checksum of the zip. Copy "
                "the bundle again.",
            )
        return data


def _opened(path: Path, folder: int | None = None) -> BinaryIO:
    """Open a regular file; a pipe or device that was put in its place is refused, and does not block."""
    name = path if folder is None else path.name
    follow = 0 if folder is None else os.O_NOFOLLOW
    file = os.open(name, os.O_RDONLY | os.O_NONBLOCK | follow, dir_fd=folder)
    stream = open(file, "rb")  # noqa: SIM115 (the caller closes it)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        stream.close()
        raise _not_plain(path.name, path.parent)
    return stream


def _zip_entries(stream: BinaryIO, path: Path) -> dict[str, _Entry]:
    """What the list at the end names, each compared with what stands before its data."""
    total = os.fstat(stream.fileno()).st_size
    if total > MAX_BUNDLE_BYTES:
        raise _too_large(total, path)
    count, size, at = _zip_end(stream, total, path)
    listed = _exactly_at(stream, at, size, path)
    entries: dict[str, _Entry] = {}
    place = expected = 0
    for _ in range(count):
        if len(listed) - place < _CENTRAL.size:
            raise _bad_zip("the list of its files is cut off", path)
        fields = _CENTRAL.unpack_from(listed, place)
        if fields[0] != b"PK\x01\x02":
            raise _bad_zip("the list of its files is damaged", path)
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
    """Number of files, and length and place of their list, from the record that ends a zip."""
    if total < _END.size:
        raise _bad_zip(f"it has only {total} bytes", path)
    end = _END.unpack(_exactly_at(stream, total - _END.size, _END.size, path))
    signature, disk, first_disk, here, count, size, at, comment = end
    if signature != b"PK\x05\x06" or comment:
        raise _bad_zip("it does not end as a zip without a comment does", path)
    if disk or first_disk or here != count or at + size != total - _END.size:
        raise _bad_zip("the record at its end does not fit the file", path)
    if count > MAX_FILES or size > count * (_CENTRAL.size + MAX_NAME):
        raise BundleError(
            "MMREG_E_BUNDLE_TOO_LARGE",
            f"A bundle has at most {MAX_FILES} files with names of at most {MAX_NAME} characters; "
            f"{path} lists {count} in {size} bytes. Leave out what does not belong to it.",
        )
    return count, size, at


def _check_entry(name: str, fields: tuple[int, ...], known: Mapping[str, object], path: Path) -> None:
    """Refuse an entry that is more than a plain file, stored as it is."""
    _check_name(name, known, path)
    flags, method, packed, size, extra, comment, disk = (fields[i] for i in (3, 4, 8, 9, 11, 12, 13))
    if method != _STORED or packed != size:
        raise BundleError(
            "MMREG_E_BUNDLE_COMPRESSED",
            f"{name} in {path} is compressed; files of a bundle are stored as they are. Write the "
            "bundle with write_bundle.",
        )
    mode = fields[15] >> 16
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise _not_plain(name, path)
    if flags & ~_UTF8 or extra or comment or disk:
        raise _bad_zip(f"{name} is encrypted, streamed or has extra fields", path)


def _local_end(stream: BinaryIO, offset: int, name: str, fields: tuple[int, ...], path: Path) -> int:
    """Where the data of an entry begin, if what stands before them says the same as the list."""
    size = _LOCAL.size + len(name)
    header = _exactly_at(stream, offset, size, path)
    local = _LOCAL.unpack_from(header)
    same = (b"PK\x03\x04", *fields[2:10], len(name), 0)
    if local != same or header[_LOCAL.size :] != name.encode():
        raise _bad_zip(f"{name} is listed otherwise than it is stored", path)
    return offset + size


def _check_name(name: str, known: Mapping[str, object], path: Path) -> None:
    if len(name) > MAX_NAME or not NAME.fullmatch(name):
        raise BundleError(
            "MMREG_E_BUNDLE_NAME",
            f"A file in {path} is named {name[:120]!r}; names in a bundle are of letters, digits, "
            "'_', '-' and single dots, without folders. Rename it.",
        )
    clash = next((other for other in known if other.casefold() == name.casefold()), None)
    if clash is not None:
        raise BundleError(
            "MMREG_E_BUNDLE_DUPLICATE",
            f"{path} has the two files {clash!r} and {name!r}, which some disks cannot keep apart. "
            "Leave out one.",
        )
    if len(known) >= MAX_FILES:
        raise BundleError(
            "MMREG_E_BUNDLE_TOO_LARGE",
            f"A bundle has at most {MAX_FILES} files; {path} has more. Leave out what does not belong to it.",
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
    found = os.fstat(stream.fileno()).st_size
    data = stream.read(size) if found == size else b""
    if found != size or len(data) != size:
        raise BundleError(
            "MMREG_E_BUNDLE_SIZE",
            f"{name} in {path} had {size} bytes when the bundle was opened and has {found} now. Open "
            "it again when its writer is done.",
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
        f"{name} in {path} is a link, folder or device; a bundle has plain files only. Put the file "
        "itself there.",
    )


def _too_large(total: int, path: Path) -> BundleError:
    return BundleError(
        "MMREG_E_BUNDLE_TOO_LARGE",
        f"A bundle has at most {MAX_BUNDLE_BYTES} bytes; {path} has {total}. Leave out a precision.",
    )


def _bad_zip(found: str, path: Path) -> BundleError:
    return BundleError(
        "MMREG_E_BUNDLE_ZIP",
        f"{path} is no zip as bundles are written, or is damaged: {found}. Copy it again, or write it with "
        "write_bundle.",
    )
