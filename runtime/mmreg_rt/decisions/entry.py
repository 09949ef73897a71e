"""What a decision log says of one registration."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from ..errors import DecisionLogError, InputError, MmregError
from ..text.json_values import plain
from .log import Log

if TYPE_CHECKING:
    from ..geometry import Grid
    from ..network import Network
    from ..results import RegistrationSummary

    Result = TypeVar("Result", bound=RegistrationSummary)

OK, DEGRADED = 0, 1  # as MMREG_OK and MMREG_DEGRADED of the C library


class Entry:
    """The line of a registration that runs."""

    def __init__(self, start: str, network: Network | None, judged: bool) -> None:
        self.start, self.network, self.judged = start, network, judged
        self.grids: tuple[Grid, ...] = ()
        self.result: RegistrationSummary | None = None
        self.begin = time.perf_counter()

    def returns(self, result: Result) -> Result:
        """Take the result of the registration, and return it."""
        self.result = result
        return result


class Decisions:
    """The decision log of a registrar.

    Args:
        path: The log; None writes none.

    Raises:
        DecisionLogError: The log cannot be written, or does not end like a decision log.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self._log = None
        if path is not None:
            from ..report.input import versions

            self._log, self._versions = Log(Path(path)), versions()

    @contextmanager
    def entry(self, start: str, network: Network | None, judged: bool = True) -> Iterator[Entry]:
        """Write a line about the registration in this context, whatever its outcome.

        Args:
            start: Where it starts: ``"headers"``, or ``"last"`` for the transform of the call before.
            network: The network that runs; None is the solver alone.
            judged: All figures that the verdict rests on were requested.

        Raises:
            DecisionLogError: The line could not be written. ``registration`` is the result, and the error of
                a registration that failed is its cause.
        """
        entry = Entry(start, network, judged)
        try:
            yield entry
        except BaseException as error:
            self._append(entry, error)
            raise
        self._append(entry, None)

    def check_plan(self) -> None:
        """Raise if there is a log, since a plan would not write it.

        Raises:
            InputError: There is a log.
        """
        if self._log is not None:
            raise InputError(
                "MMREG_E_PLAN_LOG",
                "A plan writes no decision log, and this registrar has one. Use a session, or a registrar "
                "without decision_log.",
            )

    def _append(self, entry: Entry, error: BaseException | None) -> None:
        if self._log is None:
            return
        elapsed_ms = 1e3 * (time.perf_counter() - entry.begin)
        try:
            self._log.append(
                {
                    "wall": datetime.now(timezone.utc).isoformat(),
                    "monotonic_ns": time.monotonic_ns(),
                    "process": os.getpid(),
                    "elapsed_ms": round(elapsed_ms, 3),
                    "library": self._versions["mmreg_rt"],
                    "cpu_target": self._versions["cpu target"],
                    **_model(entry.network),
                    "start": entry.start,
                    "grids_sha256": _hash_of(entry.grids),
                    **(_failure(error) if error is not None else _outcome(entry)),
                }
            )
        except DecisionLogError as failure:
            failure.registration = entry.result
            raise failure from error


def _model(network: Network | None) -> dict[str, Any]:
    if network is None:
        return {"engine": None, "model_sha256": None}
    return {"engine": dict(network.runtime_info), "model_sha256": network.sha256}


def _hash_of(grids: tuple[Grid, ...]) -> str | None:
    """Return the SHA-256 of shape and affine, ``<i8`` and ``<f8``, of the fixed and of the moving grid."""
    if not grids:
        return None
    hashed = hashlib.sha256()
    for grid in grids:
        hashed.update(np.array(grid.shape, "<i8").tobytes() + grid.affine.astype("<f8").tobytes())
    return hashed.hexdigest()


def _outcome(entry: Entry) -> dict[str, Any]:
    from ..report.quality import figures, verdict
    from ..results import Registration

    result = entry.result
    assert result is not None
    judged = entry.judged and isinstance(result, Registration)
    measured = {name: value for name, value in asdict(result.quality).items() if name != "evidence"}
    return {
        "status": DEGRADED if result.degraded else OK,
        "code": None,
        "degraded": result.degraded,
        "finished": result.finished,
        "tracked": result.tracked,
        "verdict": verdict(figures(cast("Registration", result))) if judged else None,
        "figures": plain(measured),
    }


def _failure(error: BaseException) -> dict[str, Any]:
    """Return the outcome of a registration that failed, without its message, which may name files."""
    return {
        "status": error.status if isinstance(error, MmregError) else MmregError.status,
        "code": error.code if isinstance(error, MmregError) else "MMREG_E_INTERNAL",
        "degraded": None,
        "finished": None,
        "tracked": None,
        "verdict": None,
        "figures": None,
    }
