"""Commands that need an extra say which, before they begin."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from ..errors import BackendUnavailableError


def refuse_missing(work: str, needed: Sequence[str], *extras: str) -> None:
    """Refuse where libraries are missing; nothing is imported to find out.

    Args:
        work: What needs them, to begin a sentence.
        needed: Names of the modules.
        extras: Of this distribution, which bring them.

    Raises:
        BackendUnavailableError: Names all of them.
    """
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        named = ("extra " if len(extras) == 1 else "extras ") + " and ".join(f"`{extra}`" for extra in extras)
        raise BackendUnavailableError(
            "MMREG_E_EXTRA_MISSING",
            f"{work} needs {', '.join(missing)}, which this environment does not have. Install the {named}: "
            f"pip install 'mmreg-rt[{','.join(extras)}]'.",
        )
