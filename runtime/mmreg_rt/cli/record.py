"""The list of the files of a run in its ``result.json``, which proves that mmreg wrote them unchanged.

``files`` has size and SHA-256 of every other file; ``sha256`` is that of the record itself, with 64 zeros in
its place. A file that is not listed, or not as listed, belongs to the user.
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
from typing import NamedTuple, TypeVar

from .terminal import as_json

MAX_RECORD_BYTES = 1 << 24
CHUNK = 1 << 20
Document = TypeVar("Document", bound=Mapping[str, object])
_ZEROS = "0" * 64
_DIGEST = re.compile("[0-9a-f]{64}")


class Facts(NamedTuple):
    """Size and hash of one file."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Record:
    """The content of a record; empty where there is none, or where it was changed."""

    status: str = ""
    files: Mapping[str, Facts] = field(default_factory=dict)


def write(summary: Document, path: Path, others: Iterable[Path]) -> Document:
    """Write ``summary`` to ``path`` with the list of the other files; return the content."""
    files = {other.name: facts(other)._asdict() for other in others}
    text = as_json({**summary, "files": files, "sha256": _ZEROS}) + "\n"
    before, _, after = text.rpartition(_ZEROS)
    sealed = before + hashlib.sha256(text.encode()).hexdigest() + after
    path.write_text(sealed, "utf-8")
    written: Document = json.loads(sealed)
    return written


def read(path: Path) -> Record:
    """Read the record at ``path``; the record is one of its own files."""
    try:
        raw = _content(path)
        content = json.loads(raw)
        digest, files = content["sha256"], content["files"]
        before, _, after = raw.rpartition(digest.encode())
        if hashlib.sha256(before + _ZEROS.encode() + after).hexdigest() != digest:
            return Record()
        listed = {name: Facts(int(one["bytes"]), str(one["sha256"])) for name, one in files.items()}
        status = str(content["status"]) if "status" in content else ""
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Record()
    if not all(
        name == os.path.basename(name) and _DIGEST.fullmatch(one.sha256) for name, one in listed.items()
    ):
        return Record()
    return Record(status, {**listed, path.name: Facts(len(raw), hashlib.sha256(raw).hexdigest())})


def unchanged(path: Path, expected: Facts) -> bool:
    """Return whether ``path`` is a regular file or a folder, not a link, with exactly this content."""
    try:
        status = os.lstat(path)
        if stat.S_ISDIR(status.st_mode):
            return _of_files(path) and facts(path) == expected
        return stat.S_ISREG(status.st_mode) and status.st_size == expected.bytes and facts(path) == expected
    except OSError:
        return False


def _of_files(folder: Path) -> bool:
    return all(entry.is_file(follow_symlinks=False) for entry in os.scandir(folder))


def facts(path: Path) -> Facts:
    """Return size and hash of a file, or of the names and contents of all files of a folder."""
    digest, count = hashlib.sha256(), 0
    if path.is_dir():
        for inner in sorted(path.iterdir()):
            one = facts(inner)
            digest.update(f"{len(inner.name)} {inner.name} {one.bytes} {one.sha256}\n".encode())
            count += one.bytes
        return Facts(count, digest.hexdigest())
    with open(path, "rb") as stream:
        while piece := stream.read(CHUNK):
            digest.update(piece)
            count += len(piece)
    return Facts(count, digest.hexdigest())


def _content(path: Path) -> bytes:
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_RECORD_BYTES:
            raise ValueError
        return stream.read(MAX_RECORD_BYTES + 1)
