"""Compressed streams, read a bounded piece at a time: gzip (RFC 1952), and zlib (RFC 1950)."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, BinaryIO

from ..errors import InputError
from .files import CHUNK

if TYPE_CHECKING:
    from pathlib import Path

# One compressed byte never expands to more (zlib technical details, "maximum expansion").
DEFLATE_LIMIT = 1032
MAX_EMPTY_MEMBERS = 1000  # in a row; block-wise writers end a file with one
GZIP, ZLIB = 31, 15  # wbits of zlib: header and checksum, the largest window
_FIRST_PIECE = 1 << 9
_NOT_ZERO = re.compile(rb"[^\0]")


class Gunzip:
    """A gzip stream, read a bounded piece at a time; length and checksum are verified at its end.

    A stream may have many members. At the end of one, zlib copies the bytes that follow it. So a member is
    fed few bytes first, then twice as many each time: all copies together are no longer than the file.
    """

    def __init__(self, stream: BinaryIO, path: Path, wbits: int = GZIP) -> None:
        self._stream, self._path, self._wbits = stream, path, wbits
        self._chunk, self._at = b"", 0  # bytes read from the file, and how many of them were used
        self._empty_members = 0
        self._start_member()

    def read(self, count: int, /) -> bytes:
        """Return ``count`` bytes, fewer only at the end of the data."""
        pieces: list[bytes] = []
        while count > 0 and not self._at_end():
            piece = self._inflated(min(count, CHUNK))
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)

    def _start_member(self) -> None:
        self._inflate = zlib.decompressobj(self._wbits)
        self._piece, self._unpacked = _FIRST_PIECE, 0

    def _at_end(self) -> bool:
        if not self._inflate.eof:
            return False
        if not self._skip_zeros():
            return True
        if self._wbits == ZLIB or self._chunk[self._at] != 0x1F:  # the first byte of a member
            raise InputError(
                "MMREG_E_FILE_TRAILING",
                f"{self._path} has other bytes after its compressed data. Compress it again.",
            )
        self._count_empty()
        self._start_member()
        return False

    def _skip_zeros(self) -> bool:
        """Skip zeros, which may pad the end, and return whether another byte follows."""
        while self._next_byte() is not None:
            match = _NOT_ZERO.search(self._chunk, self._at)
            self._at = match.start() if match else len(self._chunk)
            if match:
                return True
        return False

    def _next_byte(self) -> int | None:
        """Return the next byte without consuming it, reading a chunk if needed; None at the end."""
        if self._at == len(self._chunk):
            self._chunk, self._at = self._stream.read(CHUNK), 0
        return self._chunk[self._at] if self._chunk else None

    def _count_empty(self) -> None:
        self._empty_members = 0 if self._unpacked else self._empty_members + 1
        if self._empty_members > MAX_EMPTY_MEMBERS:
            raise InputError(
                "MMREG_E_GZIP_CORRUPT",
                f"The compressed data of {self._path} has more than {MAX_EMPTY_MEMBERS} empty members in a "
                "row. Compress it again.",
            )

    def _inflated(self, count: int) -> bytes:
        feed = self._inflate.unconsumed_tail or self._next_piece()
        try:
            out = self._inflate.decompress(feed, count)
        except zlib.error as reason:
            raise InputError(
                "MMREG_E_GZIP_CORRUPT",
                f"The compressed data of {self._path} is damaged ({reason}). Copy or download it again.",
            ) from reason
        self._at -= len(self._inflate.unused_data)  # they belong to the next member
        self._unpacked += len(out)
        return out

    def _next_piece(self) -> bytes:
        if self._next_byte() is None:
            raise InputError(
                "MMREG_E_GZIP_TRUNCATED",
                f"The compressed data of {self._path} ends too early. Copy or download it again.",
            )
        feed = self._chunk[self._at : self._at + self._piece]
        self._at += len(feed)
        self._piece = min(2 * self._piece, CHUNK)
        return feed
