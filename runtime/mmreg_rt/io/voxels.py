"""Voxels of a file: a block of bytes whose size its header states, read in pieces and checked.

Nothing is allocated for a block that the file cannot hold, and a compressed file is unpacked no further than
one piece beyond its block.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from ..errors import InputError
from . import files
from .gunzip import DEFLATE_LIMIT

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Block:
    """The voxels of a file, as its header states them."""

    start: int  # bytes before them
    count: int  # bytes of them
    stated: str  # shape and type in the words of the header, for messages


def check_room(block: Block, path: Path, size: int, compressed: bool, tail: bool = False) -> None:
    """Raise for a block that a file of ``size`` bytes cannot hold, before anything is allocated for it.

    Args:
        block: The voxels that the header states.
        path: The file, for messages.
        size: Its size in bytes.
        compressed: Whether it is unpacked on reading.
        tail: Whether other bytes may follow the voxels.

    Raises:
        InputError: The file is too short or too long.
    """
    needed = block.start + block.count
    most = size * DEFLATE_LIMIT if compressed else size
    if needed > most:
        raise too_short(block, path, f"its {size} bytes can hold at most {most}")
    if not compressed and not tail and needed < size:
        raise too_long(block, path)


def check_written(stream: BinaryIO, block: Block, path: Path) -> None:
    """Raise for a sparse file whose voxels were never written, as an interrupted download leaves it."""
    if not hasattr(os, "SEEK_DATA") or block.count < files.CHUNK:
        return
    file = stream.fileno()
    here = os.lseek(file, 0, os.SEEK_CUR)  # where the buffered stream expects it
    size = os.fstat(file).st_blksize  # the last block of the header also holds the first voxels
    try:
        os.lseek(file, -(-block.start // size) * size, os.SEEK_DATA)
    except OSError as reason:
        if reason.errno == errno.ENXIO:  # nothing but a hole from there to the end
            raise InputError(
                "MMREG_E_FILE_TRUNCATED",
                f"The {block.count} bytes of voxels of {path} were never written: their space in the "
                "file is empty. Copy or download it again.",
            ) from reason
    finally:
        os.lseek(file, here, os.SEEK_SET)


def read(source: files.ByteStream, block: Block, path: Path) -> bytearray:
    """Read the block from a stream that stands at its start, and check that nothing else follows.

    Raises:
        InputError: The stream is shorter or longer, or its compressed data are damaged.
    """
    voxels = exactly(source, block, path)
    check_end(source, block, path)
    return voxels


def exactly(source: files.ByteStream, block: Block, path: Path) -> bytearray:
    """Read the block, whatever follows; raise ``InputError`` if the stream is shorter."""
    voxels = bytearray()
    while len(voxels) < block.count:
        piece = source.read(min(4 * files.CHUNK, block.count - len(voxels)))
        if not piece:
            raise too_short(block, path, f"found {block.start + len(voxels)}")
        voxels += piece
    return voxels


def check_end(source: files.ByteStream, block: Block, path: Path, most: int = 0) -> None:
    """Raise ``InputError`` if more than ``most`` bytes follow; this verifies the checksum of a gzip file."""
    while piece := source.read(min(files.CHUNK, most + 1)):
        most -= len(piece)
        if most < 0:
            raise too_long(block, path)


def too_short(block: Block, path: Path, found: str) -> InputError:
    """Return the error of a file that ends before its last voxel."""
    return InputError(
        "MMREG_E_FILE_TRUNCATED",
        f"The header of {path} ({block.stated}) needs {block.start + block.count} bytes; {found}. Copy or "
        "download it again.",
    )


def too_long(block: Block, path: Path) -> InputError:
    """Return the error of a file that goes on after its last voxel."""
    return InputError(
        "MMREG_E_FILE_TRAILING",
        f"{path} has more than the {block.count} bytes of its voxels ({block.stated}). Repair the header, or "
        "write the file again.",
    )
