"""The lines of ``deployment.txt``: ``key = value``, each character of them accounted for."""

from __future__ import annotations

import hashlib
import re

from ..errors import BundleError

MAX_BYTES, MAX_LINES, MAX_LINE = 64 << 10, 200, 1024
CHECKSUM = "checksum"
_LINE = re.compile(r"(?P<key>[a-z0-9_]{1,40}) = (?P<value>[!-~]+(?: [!-~]+)*)")

Lines = list[tuple[str, str]]  # keys and values, in their order


def encoded(lines: Lines) -> bytes:
    """Return the bytes of a manifest with these keys and values, and its checksum as the last line."""
    body = "".join(f"{key} = {value}\n" for key, value in lines).encode("ascii")
    return body + f"{CHECKSUM} = {hashlib.sha256(body).hexdigest()}\n".encode()


def parsed(raw: bytes) -> Lines:
    """Return keys and values of all lines, the checksum last.

    Raises:
        BundleError: The bytes are too many, or a line is not well-formed.
    """
    check_length(raw, raw.count(b"\n"))
    *whole, rest = raw.split(b"\n")
    lines = [_line(number, line) for number, line in enumerate(whole, 1)]
    if rest or not lines or lines[-1][0] != CHECKSUM:
        raise _refusal(
            len(lines) + bool(rest), f"to be the last, begin with '{CHECKSUM} = ' and end with a newline"
        )
    return lines


def check_length(raw: bytes, lines: int = 0) -> None:
    """Raise ``BundleError`` if a manifest has too many bytes or lines."""
    if len(raw) > MAX_BYTES or lines > MAX_LINES:
        raise BundleError(
            "MMREG_E_DEPLOYMENT_TOO_LARGE",
            f"deployment.txt may have {MAX_BYTES} bytes and {MAX_LINES} lines; this one has more. Write the "
            "folder again with `mmreg deploy`.",
        )


def check_sum(raw: bytes, lines: Lines) -> None:
    """Raise ``BundleError`` unless the last line has the checksum of all bytes before it."""
    body = raw[: raw.rfind(b"\n", 0, len(raw) - 1) + 1]
    if hashlib.sha256(body).hexdigest() != lines[-1][1]:
        raise BundleError(
            "MMREG_E_DEPLOYMENT_FILE_HASH",
            "deployment.txt does not have the checksum of its last line. It was damaged or changed: copy the "
            "folder again from its source.",
        )


def _line(number: int, line: bytes) -> tuple[str, str]:
    text = line.decode("latin1")
    match = _LINE.fullmatch(text) if len(line) <= MAX_LINE else None
    if match is None:
        raise _refusal(number, "to be 'key = value' in ASCII, with single spaces")
    return match["key"], match["value"]


def _refusal(number: int, expected: str) -> BundleError:
    return BundleError(
        "MMREG_E_DEPLOYMENT_LINE",
        f"Line {number} of deployment.txt needs {expected}, in at most {MAX_LINE} bytes; found otherwise. "
        "The file was damaged or changed: copy the folder again from its source.",
    )
