"""Libraries that only some formats need, imported when a file of such a format is read or written."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import BackendUnavailableError

if TYPE_CHECKING:
    from pathlib import Path


def library(name: str, extra: str, path: Path) -> Any:
    """Import a library that a file needs.

    Args:
        name: Name of the module.
        extra: Extra of this distribution that installs it.
        path: The file, for the message.

    Raises:
        BackendUnavailableError: It is not installed.
    """
    try:
        return import_module(name)
    except ImportError as reason:
        raise BackendUnavailableError(
            "MMREG_E_EXTRA_MISSING",
            f"{path} needs {name}, not installed in this environment. Install the extra `{extra}`: "
            f"pip install 'mmreg-rt[{extra}]'.",
        ) from reason
