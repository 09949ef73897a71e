"""Values of ``deployment.txt``: how each kind is written, and parsers that accept nothing else."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

MAX_NUMBER = 1e30
MAX_VOXELS = 1 << 29
_WORD = re.compile(r"[A-Za-z0-9._+-]{1,100}")
_WHOLE = re.compile(r"0|[1-9][0-9]{0,9}")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?")
_HEX = re.compile(r"[0-9a-f]{64}")
Parse = Callable[[str], Any]  # raises ValueError with the accepted values


def as_text(value: Any) -> str:
    """Return a value as text, numbers with all their digits."""
    if isinstance(value, tuple):
        return " ".join(map(as_text, value))
    return repr(value) if isinstance(value, float) else str(value)


def word(text: str) -> str:
    """Parse a word."""
    if not _WORD.fullmatch(text):
        raise ValueError("a word of letters, digits and . _ + -")
    return text


def sha256(text: str) -> str:
    """Parse a SHA-256 in hexadecimal digits."""
    if not _HEX.fullmatch(text):
        raise ValueError("64 hexadecimal digits")
    return text


def one_of(*words: str) -> Parse:
    """Return the parser of one of these words."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return text

    return parse


def whole(low: int, high: int) -> Parse:
    """Return the parser of a whole number from ``low`` to ``high``."""

    def parse(text: str) -> int:
        if not _WHOLE.fullmatch(text) or not low <= int(text) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)

    return parse


def number(text: str) -> float:
    """Parse a number."""
    match = _NUMBER.fullmatch(text) if len(text) <= 32 else None
    value = float(text) if match else math.inf
    too_small = value == 0 and bool(re.search("[1-9]", text.partition("e")[0]))
    if not abs(value) <= MAX_NUMBER or too_small:
        raise ValueError(f"a number of at most {MAX_NUMBER:g}, in at most 32 characters")
    return value


def between(low: float, high: float) -> Parse:
    """Return the parser of a number from ``low`` to ``high``."""

    def parse(text: str) -> float:
        if not low <= (value := number(text)) <= high:
            raise ValueError(f"a number from {low:g} to {high:g}")
        return value

    return parse


def numbers(count: int) -> Parse:
    """Return the parser of ``count`` numbers."""

    def parse(text: str) -> tuple[float, ...]:
        values = tuple(map(number, text.split(" ")))
        if len(values) != count:
            raise ValueError(f"{count} numbers")
        return values

    return parse


def several(one: Parse, most: int) -> Parse:
    """Return the parser of 1 to ``most`` values that ``one`` parses."""

    def parse(text: str) -> tuple[Any, ...]:
        texts = text.split(" ")
        if len(texts) > most:
            raise ValueError(f"at most {most} values")
        return tuple(map(one, texts))

    return parse


def shape(text: str) -> tuple[int, ...]:
    """Parse the extents of an array along three axes."""
    extents = tuple(map(whole(1, MAX_VOXELS), text.split(" ")))
    if len(extents) != 3 or math.prod(extents) > MAX_VOXELS:
        raise ValueError(f"three whole numbers, of a product of at most {MAX_VOXELS}")
    return extents
