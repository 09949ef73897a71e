"""Strict reading of a manifest's JSON: every key asked for by type and range, none left over.

``manifest`` says why this is not left to pydantic.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from ..errors import BundleError
from .container import NAME

MAX_MM = 1e4


class Keys:
    """Takes the values of a JSON object one by one, each of a known type; what is left over is refused."""

    def __init__(self, values: object, where: str) -> None:
        if not isinstance(values, dict):
            self._refuse_type(where, "an object", values)
        self._left, self._where = dict(values), where

    def has(self, key: str) -> bool:
        """Whether a key that may be left out is there, and has not been taken."""
        return key in self._left

    def value(self, key: str, *types: type) -> Any:
        """The value of a key; a bool is no number."""
        if key not in self._left:
            raise BundleError(
                "MMREG_E_MANIFEST_KEY",
                f"{self._where} needs the key {key!r}; it is missing. Write bundles with write_bundle.",
            )
        found = self._left.pop(key)
        if not isinstance(found, types) or (isinstance(found, bool) and bool not in types):
            self._refuse_type(f"{key!r} in {self._where}", " or ".join(t.__name__ for t in types), found)
        return found

    def text(self, key: str) -> str:
        """A text of 1 to 1000 characters that can be printed."""
        text: str = self.value(key, str)
        if not 0 < len(text) <= 1000 or not text.isprintable():
            self.refuse(key, "a text of 1 to 1000 characters in one line", text)
        return text

    def name(self, key: str) -> str:
        """A text of letters, digits, ``_``, ``-`` and single dots."""
        text = self.text(key)
        if len(text) > 64 or not NAME.fullmatch(text):
            self.refuse(key, "a name of at most 64 letters, digits, '_', '-' and single dots", text)
        return text

    def whole(self, key: str, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``."""
        number: int = self.value(key, int)
        if not low <= number <= high:
            self.refuse(key, f"a whole number from {low} to {high}", number)
        return number

    def pair_mm(self, key: str) -> tuple[float, float]:
        """Two lengths above 0, the smaller first."""
        pair: list[Any] = self.value(key, list)
        if len(pair) != 2 or not all(map(is_number, pair)) or not 0 < pair[0] <= pair[1] <= MAX_MM:
            self.refuse(key, f"two numbers above 0 and up to {MAX_MM:g} mm, the smaller first", pair)
        return float(pair[0]), float(pair[1])

    def done(self) -> None:
        """Refuse keys that nobody asked for."""
        if self._left:
            raise BundleError(
                "MMREG_E_MANIFEST_KEY",
                f"{self._where} has unknown keys: {', '.join(map(repr, sorted(self._left)))[:200]}. "
                "Remove them, or update mmreg_rt.",
            )

    def refuse(self, key: str, wanted: str, found: object) -> NoReturn:
        """A value of the right type that cannot be."""
        raise BundleError(
            "MMREG_E_MANIFEST_VALUE",
            f"{key!r} in {self._where} must be {wanted}; found {shown(found)}. Correct it.",
        )

    @staticmethod
    def _refuse_type(what: str, wanted: str, found: object) -> NoReturn:
        raise BundleError(
            "MMREG_E_MANIFEST_TYPE",
            f"{what} must be {wanted}; found {type(found).__name__} {shown(found)}. Correct it.",
        )


def is_number(value: object) -> bool:
    """Whether a JSON value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def json_of(data: bytes) -> object:
    """The value that these bytes are the JSON of; no key twice in an object, no NaN.

    Raises:
        BundleError: They are no such JSON.
    """
    try:
        return json.loads(
            data.decode(), object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as reason:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise BundleError(
            "MMREG_E_MANIFEST_JSON",
            f"The manifest is no JSON that can be read ({str(reason)[:120]}). Write bundles with "
            "write_bundle.",
        ) from reason


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return made


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def shown(value: object) -> str:
    """The start of how Python writes the value, for the words of an error."""
    try:
        return repr(value)[:120]
    except ValueError:  # a number of thousands of digits
        return "a number too long to show"
