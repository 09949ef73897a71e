"""The check of a decision log from its first line to its last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import DecisionLogError
from . import line as lines


@dataclass(frozen=True)
class Check:
    """A log whose chain holds.

    Attributes:
        lines: Number of lines, partial ones included.
        partial_lines: How many of them were not written to their end.
        last_sha256: Hash of the last line. Only a copy of it elsewhere shows that later lines were cut off.
    """

    lines: int
    partial_lines: int
    last_sha256: str


def check_log(path: Path) -> Check:
    """Check the chain of a decision log.

    Raises:
        DecisionLogError: The chain breaks; the message says at which line. Or the file cannot be read.
    """
    number, partial_lines, previous, partial = 0, 0, lines.FIRST, False
    try:
        with path.open("rb") as file:
            for number, line in enumerate(_split(file), 1):
                fault = _fault(line, number, previous, partial)
                if fault:
                    raise DecisionLogError(
                        "MMREG_E_LOG_CHAIN",
                        f"The decision log {path} breaks at line {number}: {fault}. Only the lines before it "
                        "can be trusted.",
                    )
                previous, partial = lines.sha256_of(line), lines.read(line) is None
                partial_lines += partial
    except OSError as reason:
        raise DecisionLogError(
            "MMREG_E_LOG_READ", f"The decision log {path} cannot be read: {reason.strerror}. Check its path."
        ) from reason
    return Check(number, partial_lines, previous)


def _split(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(2 * lines.MAX_LINE_BYTES):
        yield line.removesuffix(b"\n")


def _fault(line: bytes, number: int, previous: str, after_partial: bool) -> str | None:
    """Return what is wrong with a line that follows one with this hash."""
    found = lines.read(line)
    if found is None:
        return None if lines.may_be_cut(line) else "it is no line of a decision log"
    if found.get("previous") != previous:
        return (
            "it does not carry the hash of the line before, so one of both was changed, or lines are missing"
        )
    if found["sequence"] != number:
        return f"its sequence number is {found['sequence']}"
    if after_partial != (found.get("after_partial_line") is True):
        whole = (
            "is not whole, and this one does not say so"
            if after_partial
            else "is whole, and this one denies it"
        )
        return f"the line before {whole}"
    return None
