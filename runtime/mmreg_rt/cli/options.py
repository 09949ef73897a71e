"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

# that a file exists and can be read is said by the reader, with more than click knows about it
FILE = click.Path(path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)


def _remember(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
    ctx.meta["json"] = value
    return value


def json_option(command: Command) -> Command:
    """``--json``: the result for programs, on standard output; also of an error."""
    return click.option(
        "--json", "as_json", is_flag=True, callback=_remember, is_eager=True, help="Print the result as JSON."
    )(command)


def threads_option(command: Command) -> Command:
    """``--threads``: does not change a bit of the result."""
    return click.option(
        "--threads", type=click.IntRange(1, 4096), help="Threads to use; by default all this process may."
    )(command)
