"""Pictures as PNG files: 8-bit indices into a palette of up to 256 colours.

Written with zlib, because an imaging library would be a dependency for these few lines.
"""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def encode(
    indices: NDArray[np.uint8],  # (h, w)
    palette: NDArray[np.uint8],  # (up to 256, 3), red green blue
) -> bytes:
    """Encode a PNG file (ISO/IEC 15948) of colour type 3."""
    height, width = indices.shape
    rows = np.zeros((height, 1 + width), np.uint8)  # each row starts with its filter: 0, none
    rows[:, 1:] = indices
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = (
        (b"IHDR", header),
        (b"PLTE", palette.tobytes()),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in parts)


def data_uri(indices: NDArray[np.uint8], palette: NDArray[np.uint8]) -> str:
    """Return the picture as a ``data:`` address, which needs no file and no network."""
    return "data:image/png;base64," + b64encode(encode(indices, palette)).decode()


def ramp(anchors: Sequence[tuple[int, int, int]], count: int = 256) -> NDArray[np.uint8]:
    """Return a palette evenly spaced through the colours ``anchors`` (n, 3)."""
    place = np.linspace(0, len(anchors) - 1, count)
    columns = [np.interp(place, np.arange(len(anchors)), channel) for channel in zip(*anchors, strict=True)]
    return np.asarray(np.rint(np.stack(columns, 1)), np.uint8)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
