"""A line of a decision log: its format, and what is left of one that was not written to its end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from ..text.json_values import Json

FORMAT = "mmreg-decision/1"
FIRST = "0" * 64  # what the first line carries in place of the hash of the line before
MAX_LINE_BYTES = 1 << 16
_BEGIN = f'{{"format":"{FORMAT}","sequence":'.encode()


def written(sequence: int, previous: str, after_partial_line: bool, facts: Mapping[str, Json]) -> bytes:
    """Return a line without its end."""
    chain = {"format": FORMAT, "sequence": sequence, "previous": previous}
    partial = {"after_partial_line": True} if after_partial_line else {}
    return json.dumps({**chain, **partial, **facts}, separators=(",", ":"), allow_nan=False).encode("ascii")


def sha256_of(line: bytes) -> str:
    """Return the hash that the next line carries."""
    return hashlib.sha256(line).hexdigest()


def read(line: bytes) -> dict[str, Json] | None:
    """Return the content of a line; None if it is not whole."""
    if not line.startswith(_BEGIN) or len(line) > MAX_LINE_BYTES:
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and type(found["sequence"]) is int else None


def may_be_cut(line: bytes) -> bool:
    """Return whether this can be the beginning of a line; a power failure may leave zeros behind it."""
    begin = line.rstrip(b"\0")[: len(_BEGIN)]
    return 0 < len(line) <= MAX_LINE_BYTES and _BEGIN.startswith(begin)
