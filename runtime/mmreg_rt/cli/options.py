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
MOST_KEY_BYTES = 1 << 14
DEFAULT_SIZES = {2: ((256, 256),), 3: ((96, 96, 96),)}  # by dimensions


class Sizes(click.ParamType):  # type: ignore[type-arg]  # generic in new versions of click only
    """``96x96x96,160x192x160``."""

    name = "sizes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Tuples of two or three extents."""
        try:
            sizes = tuple(tuple(int(extent) for extent in size.split("x")) for size in str(value).split(","))
        except ValueError:
            sizes = ()
        if not sizes or any(len(size) not in (2, 3) or min(size) < 1 for size in sizes):
            self.fail(f"{value!r} is no list of sizes such as 96x96x96,160x192x160.", param, ctx)
        return sizes


class Outside(click.ParamType):  # type: ignore[type-arg]
    """A number, or ``nan``."""

    name = "value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number."""
        from ..errors import InputError
        from ..geometry import checked_outside

        try:
            return checked_outside(float(value))
        except (ValueError, InputError):
            self.fail(f"{value!r} is no number that float32 holds, nor nan.", param, ctx)


def outside_option(command: Command) -> Command:
    """``--outside``: of a warped image."""
    return click.option(
        "--outside",
        type=Outside(),
        help="Value where an image would come from outside of the scan: a number or nan; by default the "
        "lowest of the scan, the air of a CT.",
    )(command)


def _remember(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
    ctx.meta["json"] = value
    return value


def json_option(command: Command) -> Command:
    """``--json``: the result for programs, on standard output; also of an error."""
    return click.option(
        "--json", "as_json", is_flag=True, callback=_remember, is_eager=True, help="Print the result as JSON."
    )(command)


def public_key_option(command: Command) -> Command:
    """``--public-key``: of a bundle; ``public_key`` reads it."""
    return click.option(
        "--public-key",
        "key_file",
        type=FILE,
        help="File with an Ed25519 key, PEM or 32 raw bytes: the bundle must be signed with its private key, "
        "and is then not tried in a process of its own first.",
    )(command)


def public_key(key_file: Path | None) -> bytes | None:
    """The key in a file, as it is; what is wrong with it is said by who uses it."""
    if key_file is None:
        return None
    from ..io.files import check_length, open_regular

    with open_regular(key_file) as stream:
        check_length(stream, key_file, MOST_KEY_BYTES)
        return stream.read(MOST_KEY_BYTES)


def threads_option(command: Command) -> Command:
    """``--threads``: does not change a bit of the result."""
    return click.option(
        "--threads", type=click.IntRange(1, 1024), help="Threads to use; by default all this process may."
    )(command)


def frame_option(command: Command) -> Command:
    """``--frame``: of every file that is a series; others have one image and no choice."""
    return click.option(
        "--frame",
        type=click.IntRange(min=0),
        help="Which image of a series (4-D), from 0; of each file that is one.",
    )(command)


def prefer_option(command: Command) -> Command:
    """``--prefer``: of every file whose two forms disagree."""
    return click.option(
        "--prefer",
        type=click.Choice(("sform", "qform")),
        help="Which one to believe where the sform and the qform of a header disagree.",
    )(command)
