"""What the commands write to standard output and standard error.

A log may lie on a full disk, and a terminal may be closed, while the work goes on: nothing that is merely
told ends it. What a command was run for, such as JSON on standard output, is not lost in silence.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from typing import IO, Any

import click

from ..errors import InputError
from ..text.json_values import plain


def prepare() -> None:
    """Make the three standard streams safe to use, whatever this process was started with.

    A closed one would give its number to the next file that is opened, and what a library prints would go
    into that file. Characters that the terminal's encoding lacks are written as escapes.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def is_terminal(stream: IO[Any] | None) -> bool:
    """Whether somebody may be looking."""
    try:
        return stream is not None and stream.isatty()
    except (OSError, ValueError):
        return False


def say(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Tell people something; that it cannot be written is no reason to stop."""
    with contextlib.suppress(OSError, ValueError):
        _write(text, err, nl)


def give(text: str) -> None:
    """Write what the command was run for to standard output.

    Raises:
        InputError: It cannot be written. A reader that has gone away, as in ``mmreg inspect x | head -1``,
            has seen what it wanted.
    """
    try:
        _write(text, err=False, nl=True)
    except (OSError, ValueError) as reason:
        if getattr(reason, "errno", 0) != errno.EPIPE:
            raise InputError(
                "MMREG_E_STDOUT",
                f"Cannot write to standard output: {getattr(reason, 'strerror', reason)}. Send it elsewhere.",
            ) from reason


def give_json(value: Any) -> None:
    """Write ``value`` as JSON to standard output; see ``give``."""
    give(as_json(value))


def as_json(value: Any) -> str:
    """JSON that every reader takes: numbers that JSON lacks are ``null``, text is valid Unicode."""
    return json.dumps(plain(value), indent=2, allow_nan=False)


def _write(text: str, err: bool, nl: bool) -> None:
    stream = sys.stderr if err else sys.stdout
    if stream is None:
        return
    try:
        click.echo(text, file=stream, nl=nl)
    except OSError:
        _let_go(stream)
        raise


def _let_go(stream: IO[Any]) -> None:
    """Point the stream at nothing: what it still holds must not fail once more when Python ends."""
    with contextlib.suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
