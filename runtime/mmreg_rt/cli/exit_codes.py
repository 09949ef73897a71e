"""From errors to exit codes and one clear line; the table is in ``mmreg_rt.cli``."""

from __future__ import annotations

import os
from typing import IO, Any

import click

from ..errors import (
    BackendUnavailableError,
    BundleError,
    CancelledError,
    DeviceError,
    InputError,
    MmregError,
    OutOfMemoryError,
    RegistrationError,
    TrainingError,
    TransformError,
)
from ..process.memory import translate_error
from ..text.printable import printable
from .terminal import as_json as to_json
from .terminal import say
from .words import for_shell

OK, BUG, USAGE, INPUT, MODEL, DEVICE, DEADLINE, LOW_CONFIDENCE, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 7, 130

_BY_KIND: tuple[tuple[type[MmregError], int], ...] = (
    (InputError, INPUT),
    (TransformError, INPUT),
    (BundleError, MODEL),
    (BackendUnavailableError, DEVICE),
    (DeviceError, DEVICE),
    (OutOfMemoryError, INPUT),
    (RegistrationError, LOW_CONFIDENCE),
    (TrainingError, LOW_CONFIDENCE),
    (CancelledError, INTERRUPTED),
)


def exit_code(error: BaseException) -> int:
    """The exit code of an error."""
    if isinstance(error, MmregError):
        if error.code.startswith("MMREG_E_MODEL"):
            return MODEL
        return next((code for kind, code in _BY_KIND if isinstance(error, kind)), BUG)
    return INPUT if isinstance(error, OSError) else BUG


def describe(error: BaseException) -> str:
    """The error in words of the shell, on one line that a terminal shows as it is."""
    if isinstance(error, MmregError):
        return f"{message(error)} [{error.code}]"
    return message(error)


def message(error: BaseException) -> str:
    """The same without its code."""
    if isinstance(error, MmregError):
        return printable(for_shell(error.args[0]))
    if isinstance(error, OSError):
        return printable(f"{_name(error.filename)}: {error.strerror or error}")
    return printable(
        f"a bug in mmreg, {type(error).__name__}: {error}. Run it again as `mmreg --debug ...` and report it."
    )


def _name(path: object) -> str:
    return os.fsdecode(path) if isinstance(path, str | bytes) else "a file"


class Refusal(click.ClickException):
    """An error on its way to the terminal; with ``--json`` it is also written to standard output."""

    def __init__(self, error: Exception, as_json: bool, summary: dict[str, Any] | None = None) -> None:
        error = translate_error(error)
        super().__init__(describe(error))
        self.exit_code = exit_code(error)  # type: ignore[misc]
        self._json = (summary or _summary(error)) if as_json else None

    def show(self, file: IO[Any] | None = None) -> None:  # noqa: ARG002
        """One line on standard error."""
        if self._json is not None:
            say(to_json(self._json))
        say(f"Error: {self.message}", err=True)


def _summary(error: BaseException) -> dict[str, Any]:
    code = error.code if isinstance(error, MmregError) else "MMREG_E_INTERNAL"
    found = {"code": code, "kind": type(error).__name__, "message": message(error)}
    return {"status": "error", "error": found}
