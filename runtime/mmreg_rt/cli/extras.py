"""Check that the extras a command needs are installed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from ..errors import BackendUnavailableError


def refuse_missing(work: str, needed: Sequence[str], *extras: str) -> None:
    """Raise unless the libraries are installed, without importing them.

    Args:
        work: Name of the work that needs them, at the start of a sentence.
        needed: Names of the modules.
        extras: Extras of this distribution that install them.

    Raises:
        BackendUnavailableError: Modules are missing; the message names all of them.
    """
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        named = ("extra " if len(extras) == 1 else "extras ") + " and ".join(f"`{extra}`" for extra in extras)
        raise BackendUnavailableError(
            "MMREG_E_EXTRA_MISSING",
            f"{work} needs {', '.join(missing)}, not installed in this environment. Install the {named}: "
            f"pip install 'mmreg-rt[{','.join(extras)}]'.",
        )
