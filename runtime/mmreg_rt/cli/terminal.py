"""What the commands write to standard output and standard error.

A log may lie on a full disk, and a terminal may be closed, while the work goes on: a message that cannot be
written does not end it. The result itself, such as JSON on standard output, is never lost in silence.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from typing import IO

import click

from ..errors import InputError
from ..text.json_values import plain


def prepare() -> None:
    """Make the three standard streams safe to use, however this process was started.

    A closed stream would give its number to the next file that is opened, and what a library prints would
    go into that file. Characters that the terminal's encoding lacks are written as escapes.
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


def is_terminal(stream: IO[str] | None) -> bool:
    """Return whether the stream is a terminal."""
    try:
        return stream is not None and stream.isatty()
    except (OSError, ValueError):
        return False


def print_message(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print a message for people; continue if it cannot be written."""
    with contextlib.suppress(OSError, ValueError):
        _write(text, err, nl)


def print_result(text: str) -> None:
    """Print the result of a command to standard output.

    Raises:
        InputError: It cannot be written. A reader that has gone away, as in ``mmreg inspect x | head -1``,
            is no error.
    """
    try:
        _write(text, err=False, nl=True)
    except (OSError, ValueError) as reason:
        if getattr(reason, "errno", 0) != errno.EPIPE:
            raise InputError(
                "MMREG_E_STDOUT",
                f"Cannot write to standard output: {getattr(reason, 'strerror', reason)}. Redirect it to "
                "another place.",
            ) from reason


def print_json(value: object) -> None:
    """Print ``value`` as JSON to standard output; see ``print_result``."""
    print_result(as_json(value))


def as_json(value: object) -> str:
    """Return strict JSON: numbers that JSON lacks are ``null``, text is valid Unicode."""
    return json.dumps(plain(value), indent=2, allow_nan=False)


def _write(text: str, err: bool, nl: bool) -> None:
    stream = sys.stderr if err else sys.stdout
    if stream is None:
        return
    try:
        click.echo(text, file=stream, nl=nl)
    except OSError:
        _discard(stream)
        raise


def _discard(stream: IO[str]) -> None:
    """Redirect the stream to the null device, so that its buffer does not fail again when Python ends."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
