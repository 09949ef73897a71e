"""Decimal numbers in text files, checked in a time that grows with their length and no faster."""

from __future__ import annotations

import re

# No two parts match the same digits, so a word that is no number is refused after one way back through it.
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def number(word: str) -> float | None:
    """Return the value of a number with a decimal point, or None if ``word`` is none.

    Infinity, NaN, hexadecimal numbers and underscores, which ``float`` takes, are refused. A number too large
    for float64 is infinite.
    """
    return float(word) if _NUMBER.fullmatch(word) else None
