"""Conversion of values to JSON types."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

from .printable import valid_unicode


def plain(value: Any) -> Any:
    """Convert ``value`` to JSON types; NaN and infinity become ``None``, text becomes valid Unicode."""
    if isinstance(value, Mapping):
        return {valid_unicode(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple) or _is_numpy(value, "ndarray"):
        return [plain(item) for item in value]
    if _is_numpy(value, "generic"):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int) else valid_unicode(str(value))


def _is_numpy(value: Any, kind: str) -> bool:
    """Return whether ``value`` is of a NumPy type, without importing NumPy."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, getattr(numpy, kind))
