"""The command ``mmreg``: one file per command, imported when it is needed."""

from __future__ import annotations

from .group import main

__all__ = ["main"]
