"""The warnings of transforms, for a command to tell in its own way."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import OutsideWarning


@contextmanager
def heard() -> Iterator[list[str]]:
    """A list that gets the text of each ``OutsideWarning`` of the block; other warnings are shown as ever."""
    found: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", OutsideWarning)
        yield found
    for warning in caught:
        if issubclass(warning.category, OutsideWarning):
            found.append(str(warning.message))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
