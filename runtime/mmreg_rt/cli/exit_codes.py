"""Exit codes, and errors as one clear line.

``EXITS`` is the only table of exit codes: ``mmreg --help`` and ``docs/exit_codes.md`` are made from it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import IO, NamedTuple

import click

from ..errors import (
    BackendUnavailableError,
    BundleError,
    CancelledError,
    DecisionLogError,
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
from .terminal import print_message
from .words import for_shell

OK, BUG, USAGE, INPUT, MODEL, DEVICE, DEADLINE, LOW_CONFIDENCE, DIVERGED = range(9)
INTERRUPTED, BY_SIGHUP, BY_SIGTERM = 130, 129, 143


class Exit(NamedTuple):
    """Meaning of an exit code: in short for the help, and the remainder for the page."""

    meaning: str
    details: str = ""


EXITS: dict[int, Exit] = {
    OK: Exit("success", "A registration has the verdict `pass` or `review`."),
    BUG: Exit("a bug in mmreg", "Run the command again as `mmreg --debug ...` and report the traceback."),
    USAGE: Exit("invalid command line"),
    INPUT: Exit(
        "unusable input or path",
        "A file is missing, damaged or not writable, the scans do not overlap, or memory does not suffice.",
    ),
    MODEL: Exit("unusable model"),
    DEVICE: Exit(
        "device, backend or extra not available",
        "Also: `mmreg doctor` found a target or backend that computes wrongly.",
    ),
    DEADLINE: Exit(
        "deadline reached", "The best finished stage is written, and marked `degraded` in the result."
    ),
    LOW_CONFIDENCE: Exit("verdict fail, or no result", "A result with the verdict `fail` is written."),
    DIVERGED: Exit("training diverged", "The checkpoints before it remain."),
    BY_SIGHUP: Exit("ended by SIGHUP"),
    INTERRUPTED: Exit("interrupted", "By Ctrl-C, or by the caller."),
    BY_SIGTERM: Exit("ended by SIGTERM"),
}

_BY_KIND: tuple[tuple[type[MmregError], int], ...] = (
    (InputError, INPUT),
    (TransformError, INPUT),
    (BundleError, MODEL),
    (BackendUnavailableError, DEVICE),
    (DeviceError, DEVICE),
    (OutOfMemoryError, INPUT),
    (RegistrationError, LOW_CONFIDENCE),
    (TrainingError, DIVERGED),
    (DecisionLogError, INPUT),
    (CancelledError, INTERRUPTED),
)
FAILURE_FORMAT = "mmreg-failure/1"  # of any command but those that register, which have a report


def help_text() -> str:
    """Return the table as the end of ``mmreg --help``."""
    return "\b\nExit codes:\n" + "\n".join(f"  {code:<4} {exit_.meaning}" for code, exit_ in EXITS.items())


def page() -> str:
    """Return the table as a page of the documentation."""
    rows = [f"| {code} | {exit_.meaning} | {exit_.details} |" for code, exit_ in EXITS.items()]
    return "\n".join(
        [
            "# Exit codes",
            "",
            "Generated from the table in `runtime/mmreg_rt/cli/exit_codes.py`; a test keeps it current.",
            "",
            "| code | meaning | details |",
            "| --- | --- | --- |",
            *rows,
            "",
            "With `--json` the reason of a failure is also printed to standard output: an object with "
            "`format`,",
            '`"status": "failed"` and `error` (`code`, `kind`, `message`). Error codes never change their',
            "meaning; [bad inputs](bad_inputs.md) lists those of files, scans, transforms and bundles.",
            "",
        ]
    )


def exit_code_for(error: BaseException) -> int:
    """Return the exit code of an error."""
    if isinstance(error, MmregError):
        if error.code.startswith("MMREG_E_MODEL"):
            return MODEL
        return next((code for kind, code in _BY_KIND if isinstance(error, kind)), BUG)
    return INPUT if isinstance(error, OSError) else BUG


def describe(error: BaseException) -> str:
    """Return the error with its code, in the terms of the shell, as one line that is safe to print."""
    if isinstance(error, MmregError):
        return f"{message(error)} [{error.code}]"
    return message(error)


def message(error: BaseException) -> str:
    """Return the error as ``describe`` does, without its code."""
    if isinstance(error, MmregError):
        return printable(for_shell(error.args[0]))
    if isinstance(error, OSError):
        return printable(f"{_name(error.filename)}: {error.strerror or error}")
    return printable(
        f"a bug in mmreg, {type(error).__name__}: {error}. Run the command again as `mmreg --debug ...` and "
        "report it."
    )


def _name(path: object) -> str:
    return os.fsdecode(path) if isinstance(path, str | bytes) else "a file"


class CommandError(click.ClickException):
    """An error on its way to the terminal; with ``--json`` also to standard output."""

    def __init__(
        self, error: Exception, as_json: bool = False, summary: Mapping[str, object] | None = None
    ) -> None:
        error = translate_error(error)
        super().__init__(describe(error))
        self.exit_code = exit_code_for(error)  # type: ignore[misc]
        self._json = (summary or _summary(error)) if as_json else None

    def show(self, file: IO[str] | None = None) -> None:  # noqa: ARG002
        """Print one line to standard error."""
        if self._json is not None:
            print_message(to_json(self._json))
        print_message(f"Error: {self.message}", err=True)


def _summary(error: BaseException) -> dict[str, object]:
    code = error.code if isinstance(error, MmregError) else "MMREG_E_INTERNAL"
    return failure(code, type(error).__name__, message(error))


def failure(code: str, kind: str, text: str) -> dict[str, object]:
    """Return what ``--json`` prints of a command that failed."""
    return {
        "format": FAILURE_FORMAT,
        "status": "failed",
        "error": {"code": code, "kind": kind, "message": text},
    }
