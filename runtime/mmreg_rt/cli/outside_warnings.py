"""Warnings of transforms, collected for a command to print."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import OutsideWarning


@contextmanager
def collected() -> Iterator[list[str]]:
    """Collect the text of each ``OutsideWarning`` of the block in a list; show other warnings as usual."""
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", OutsideWarning)
        yield texts
    for warning in caught:
        if issubclass(warning.category, OutsideWarning):
            texts.append(str(warning.message))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
