"""TOML files into frozen dataclasses, strictly: what is unknown, missing or of a wrong type is named."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, TypeVar

from mmreg_rt.errors import InputError
from mmreg_rt.io.files import read_text

LIMIT_BYTES = 1 << 20  # a settings file is a page or two

Settings = TypeVar("Settings")


def read_toml(path: Path, code: str) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        InputError: It cannot be read, or is not TOML (``code``).
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    text = read_text(path, LIMIT_BYTES)
    try:
        table: dict[str, Any] = tomllib.loads(text)
        return table
    except tomllib.TOMLDecodeError as reason:
        raise InputError(code, f"{path} is not TOML: {reason}. Mend that line.") from reason


def validated(kind: type[Settings], table: dict[str, Any], path: Path, code: str) -> Settings:
    """The dataclass ``kind`` made of a table; numbers, words and lists must have the declared types.

    Raises:
        InputError: Names every value that is unknown, missing or wrong (``code``).
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        # as JSON a list may stand for a tuple, and still nothing is converted
        made: Settings = TypeAdapter(kind).validate_json(json.dumps(table, default=str), strict=True)
        return made
    except ValidationError as reason:
        wrong = "; ".join(_sentence(error) for error in reason.errors())
        raise InputError(
            code, f"{path} cannot be used: {wrong}. See docs/training.md for what each means."
        ) from reason


def _sentence(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"]) or "the file"
    if error["type"] == "unexpected_keyword_argument":
        return f"{where}: unknown name"
    if error["type"] in ("missing", "missing_argument"):
        return f"{where}: missing"
    what = str(error["msg"]).removeprefix("Value error, ")
    if isinstance(error["input"], dict):
        return f"{where}: {what}"
    return f"{where}: {what[0].lower()}{what[1:]}; found {json.dumps(error['input'], default=str)[:80]}"
