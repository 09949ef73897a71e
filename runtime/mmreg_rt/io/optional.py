"""Libraries of the extras, imported when a file needs them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..errors import BackendUnavailableError


def library(module: str, extra: str, work: str) -> Any:
    """Import a library.

    Args:
        module: Name of the module.
        extra: Extra of this distribution that installs it.
        work: Name of the work that needs it, at the start of a sentence.

    Raises:
        BackendUnavailableError: It is not installed; the message names the extra.
    """
    try:
        return import_module(module)
    except ImportError as reason:
        raise BackendUnavailableError(
            "MMREG_E_EXTRA_MISSING",
            f"{work} needs {module.partition('.')[0]}, not installed in this environment. Install the extra "
            f"`{extra}`: pip install 'mmreg-rt[{extra}]'.",
        ) from reason
