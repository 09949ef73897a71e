"""The list of what a run wrote, in its ``result.json``: proof that a file is the program's own, unchanged.

``files`` has size and SHA-256 of every other file; ``sha256`` is that of the record itself, with 64 zeros in
its place. A file that is not listed, or not as listed, belongs to somebody else.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from .terminal import as_json

MAX_RECORD_BYTES = 1 << 24
CHUNK = 1 << 20
_ZEROS = "0" * 64
_DIGEST = re.compile("[0-9a-f]{64}")


class Facts(NamedTuple):
    """Of one file."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Record:
    """What a record says; empty where there is none, or where it was changed."""

    status: str = ""
    files: Mapping[str, Facts] = field(default_factory=dict)


def write(summary: Mapping[str, Any], path: Path, others: Iterable[Path]) -> dict[str, Any]:
    """Write ``summary`` as ``path`` with the list of the other files; return what was written."""
    files = {other.name: facts(other)._asdict() for other in others}
    text = as_json({**summary, "files": files, "sha256": _ZEROS}) + "\n"
    before, _, after = text.rpartition(_ZEROS)
    sealed = before + hashlib.sha256(text.encode()).hexdigest() + after
    path.write_text(sealed, "utf-8")
    return json.loads(sealed)  # type: ignore[no-any-return]


def read(path: Path) -> Record:
    """The record at ``path``, which is among its own files."""
    try:
        raw = _content(path)
        found = json.loads(raw)
        digest, files = found["sha256"], found["files"]
        before, _, after = raw.rpartition(digest.encode())
        if hashlib.sha256(before + _ZEROS.encode() + after).hexdigest() != digest:
            return Record()
        listed = {name: Facts(int(one["bytes"]), str(one["sha256"])) for name, one in files.items()}
        status = str(found["status"]) if "status" in found else ""
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Record()
    if not all(
        name == os.path.basename(name) and _DIGEST.fullmatch(one.sha256) for name, one in listed.items()
    ):
        return Record()
    return Record(status, {**listed, path.name: Facts(len(raw), hashlib.sha256(raw).hexdigest())})


def unchanged(path: Path, expected: Facts) -> bool:
    """Whether ``path`` is a regular file with just this content; a link is not."""
    try:
        there = os.lstat(path)
        return stat.S_ISREG(there.st_mode) and there.st_size == expected.bytes and facts(path) == expected
    except OSError:
        return False


def facts(path: Path) -> Facts:
    """Size and hash of a file."""
    digest, count = hashlib.sha256(), 0
    with open(path, "rb") as stream:
        while piece := stream.read(CHUNK):
            digest.update(piece)
            count += len(piece)
    return Facts(count, digest.hexdigest())


def _content(path: Path) -> bytes:
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as stream:
        there = os.fstat(stream.fileno())
        if not stat.S_ISREG(there.st_mode) or there.st_size > MAX_RECORD_BYTES:
            raise ValueError
        return stream.read(MAX_RECORD_BYTES + 1)
