"""Decimal numbers in text files, checked in linear time."""

from __future__ import annotations

import re

# No two parts match the same digits, so a word that is not a number is refused after one backtrack.
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def number(word: str) -> float | None:
    """Return the value of a number with a decimal point, or None if ``word`` is not one.

    Infinity, NaN, hexadecimal numbers and underscores, which ``float`` accepts, are refused. A number too
    large for float64 becomes infinite.
    """
    return float(word) if _NUMBER.fullmatch(word) else None
