"""Strict reading of a manifest's JSON: every key is read with its type and range, none is left over.

``manifest`` says why this is not left to pydantic.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from ..errors import BundleError
from .container import NAME

MAX_MM = 1e4


class StrictObject:
    """A JSON object whose values are taken one by one, each with its type; ``done`` refuses other keys."""

    def __init__(self, values: object, where: str) -> None:
        if not isinstance(values, dict):
            self._refuse_type(where, "an object", values)
        self._left, self._where = dict(values), where

    def has(self, key: str) -> bool:
        """Return whether an optional key is present and not yet taken."""
        return key in self._left

    def value(self, key: str, *types: type) -> Any:
        """Take the value of a key, of one of these types; a bool does not count as a number."""
        if key not in self._left:
            raise BundleError(
                "MMREG_E_MANIFEST_KEY",
                f"{self._where} needs the key {key!r}; it is missing. Write bundles with write_bundle.",
            )
        value = self._left.pop(key)
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            self._refuse_type(f"{key!r} in {self._where}", " or ".join(t.__name__ for t in types), value)
        return value

    def text(self, key: str) -> str:
        """Take a text of 1 to 1000 printable characters."""
        text: str = self.value(key, str)
        if not 0 < len(text) <= 1000 or not text.isprintable():
            self.refuse(key, "a text of 1 to 1000 characters on one line", text)
        return text

    def name(self, key: str) -> str:
        """Take a text of letters, digits, ``_``, ``-`` and single dots."""
        text = self.text(key)
        if len(text) > 64 or not NAME.fullmatch(text):
            self.refuse(key, "a name of at most 64 letters, digits, '_', '-' and single dots", text)
        return text

    def whole(self, key: str, low: int, high: int) -> int:
        """Take a whole number from ``low`` to ``high``."""
        number: int = self.value(key, int)
        if not low <= number <= high:
            self.refuse(key, f"a whole number from {low} to {high}", number)
        return number

    def pair_mm(self, key: str) -> tuple[float, float]:
        """Take two lengths above 0, the smaller first."""
        pair: list[Any] = self.value(key, list)
        if len(pair) != 2 or not all(map(is_number, pair)) or not 0 < pair[0] <= pair[1] <= MAX_MM:
            self.refuse(key, f"two numbers above 0 and up to {MAX_MM:g} mm, the smaller first", pair)
        return float(pair[0]), float(pair[1])

    def done(self) -> None:
        """Raise ``BundleError`` if a key was not taken."""
        if self._left:
            raise BundleError(
                "MMREG_E_MANIFEST_KEY",
                f"{self._where} has unknown keys: {', '.join(map(repr, sorted(self._left)))[:200]}. "
                "Remove them, or update mmreg_rt.",
            )

    def refuse(self, key: str, expected: str, value: object) -> NoReturn:
        """Raise ``BundleError`` for a value of the right type that is not valid."""
        raise BundleError(
            "MMREG_E_MANIFEST_VALUE",
            f"{key!r} in {self._where} must be {expected}; found {short_repr(value)}. Correct it.",
        )

    @staticmethod
    def _refuse_type(name: str, expected: str, value: object) -> NoReturn:
        raise BundleError(
            "MMREG_E_MANIFEST_TYPE",
            f"{name} must be {expected}; found {type(value).__name__} {short_repr(value)}. Correct it.",
        )


def is_number(value: object) -> bool:
    """Return whether a JSON value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def json_of(data: bytes) -> object:
    """Parse JSON without duplicate keys and NaN.

    Raises:
        BundleError: The bytes are not such JSON.
    """
    try:
        return json.loads(
            data.decode(), object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as reason:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise BundleError(
            "MMREG_E_MANIFEST_JSON",
            f"The manifest is not valid JSON ({str(reason)[:120]}). Write bundles with write_bundle.",
        ) from reason


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("an object has a key twice")
    return values


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def short_repr(value: object) -> str:
    """Return the start of the value's ``repr``, for messages."""
    try:
        return repr(value)[:120]
    except ValueError:  # a number of thousands of digits
        return "a number too long to show"
