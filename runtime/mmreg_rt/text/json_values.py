"""Conversion of values to JSON types."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from .printable import valid_unicode

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | float | bool | None"


def plain(value: object) -> Any:
    """Convert ``value`` to JSON types; NaN and infinity become ``None``, text becomes valid Unicode."""
    if isinstance(value, Mapping):
        return {valid_unicode(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    numpy = sys.modules.get("numpy")  # without importing it
    if numpy is not None and isinstance(value, numpy.ndarray | numpy.generic):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int) else valid_unicode(str(value))
