"""Strict conversion of TOML files to frozen dataclasses."""

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
    """Read the tables of a TOML file.

    Args:
        path: The file, at most ``LIMIT_BYTES`` long.
        code: Error code to raise with.

    Raises:
        InputError: The file cannot be read, or is not valid TOML.
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
        raise InputError(code, f"{path} is not valid TOML: {reason}. Correct that line.") from reason


def parse_table(kind: type[Settings], table: dict[str, Any], path: Path, code: str) -> Settings:
    """Convert a table to the dataclass ``kind``, without converting the types of values.

    Args:
        kind: A pydantic-compatible frozen dataclass.
        table: The values by name.
        path: File name for the error message.
        code: Error code to raise with.

    Raises:
        InputError: Values are unknown, missing or invalid; the message names all of them.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        # JSON mode accepts a list for a tuple and is otherwise strict
        settings: Settings = TypeAdapter(kind).validate_json(json.dumps(table, default=str), strict=True)
        return settings
    except ValidationError as reason:
        errors = "; ".join(_describe(error) for error in reason.errors())
        raise InputError(code, f"{path} cannot be used: {errors}. See docs/training.md.") from reason


def _describe(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"]) or "the file"
    if error["type"] == "unexpected_keyword_argument":
        return f"{where}: unknown name"
    if error["type"] in ("missing", "missing_argument"):
        return f"{where}: missing"
    what = str(error["msg"]).removeprefix("Value error, ")
    if isinstance(error["input"], dict):
        return f"{where}: {what}"
    return f"{where}: {what[0].lower()}{what[1:]}; found {json.dumps(error['input'], default=str)[:80]}"
