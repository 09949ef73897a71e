"""The interpreter for a process of its own, in which libraries read what may crash them."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def python() -> str:
    """Return the Python interpreter, for a program that embeds Python that of its installation."""
    name = Path(sys.executable or "").name.lower()
    if name.startswith(("python", "pypy")):
        return sys.executable
    return str(Path(sys.exec_prefix, "bin", f"python{sys.version_info[0]}"))


def import_path() -> list[str]:
    """Return ``sys.path`` with absolute paths, as the other process has another working directory."""
    try:
        here = Path.cwd()
    except OSError:  # it was removed
        return [each for each in sys.path if os.path.isabs(each)]
    return [str(here / each) for each in sys.path]
