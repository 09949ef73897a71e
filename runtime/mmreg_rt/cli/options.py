"""Options shared by several commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..process.threads import MAX_THREADS

if TYPE_CHECKING:
    from ..io.images import Choice

Command = TypeVar("Command", bound=Callable[..., object])

# whether a file exists and can be read is checked by its reader, which knows more about it than click
FILE = click.Path(path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
MAX_KEY_BYTES = 1 << 14
Extents = tuple[tuple[int, ...], ...]  # the extents of one or more grids
DEFAULT_SIZES = {2: ((256, 256),), 3: ((96, 96, 96),)}  # by dimensions


class Sizes(click.ParamType):  # type: ignore[type-arg]  # generic in new versions of click only
    """A list of sizes: ``96x96x96,160x192x160``."""

    name = "sizes"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Extents:
        """Return tuples of two or three extents."""
        try:
            sizes = tuple(tuple(int(extent) for extent in size.split("x")) for size in str(value).split(","))
        except ValueError:
            sizes = ()
        if not sizes or any(len(size) not in (2, 3) or min(size) < 1 for size in sizes):
            self.fail(f"{value!r} is not a list of sizes such as 96x96x96,160x192x160.", param, ctx)
        return sizes


class Outside(click.ParamType):  # type: ignore[type-arg]
    """A number, or ``nan``."""

    name = "value"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        """Return the number."""
        from ..errors import InputError
        from ..geometry import checked_outside

        try:
            return checked_outside(float(value))
        except (ValueError, InputError):
            self.fail(f"{value!r} is neither nan nor a number in the range of float32.", param, ctx)


def outside_option(command: Command) -> Command:
    """Add ``--outside``, the value of a warped image outside its source."""
    return click.option(
        "--outside",
        type=Outside(),
        help="Value of voxels that come from outside the image: a number or nan. Default: the lowest value "
        "of the image, which is air in CT.",
    )(command)


def _remember(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
    ctx.meta["json"] = value
    return value


def json_option(command: Command) -> Command:
    """Add ``--json``: the result, or the reason of a failure, as JSON on standard output."""
    return click.option(
        "--json", "as_json", is_flag=True, callback=_remember, is_eager=True, help="Print the result as JSON."
    )(command)


def public_key_option(command: Command) -> Command:
    """Add ``--public-key``; ``read_key`` reads the file."""
    return click.option(
        "--public-key",
        "key_file",
        type=FILE,
        help="File with an Ed25519 public key, PEM or 32 raw bytes. The bundle must be signed by it, and "
        "then skips the trial in a separate process.",
    )(command)


def read_key(key_file: Path | None) -> bytes | None:
    """Read a key file, unchecked: the signature check validates the key."""
    if key_file is None:
        return None
    from ..io.files import check_length, open_regular

    with open_regular(key_file) as stream:
        check_length(stream, key_file, MAX_KEY_BYTES)
        return stream.read(MAX_KEY_BYTES)


def threads_option(command: Command) -> Command:
    """Add ``--threads``, which does not change the result."""
    return click.option(
        "--threads",
        type=click.IntRange(1, MAX_THREADS),
        help="Number of threads. Default: all that this process may use.",
    )(command)


class Spacing(click.ParamType):  # type: ignore[type-arg]
    """The size of a pixel in mm, one number or ``XxY``."""

    name = "mm"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float]:
        """Return the spacing along x and y."""
        if isinstance(value, tuple):
            return value  # a value that was converted before
        try:
            sizes = [float(size) for size in str(value).split("x")]
        except ValueError:
            sizes = []
        if len(sizes) not in (1, 2) or not all(0 < size < float("inf") for size in sizes):
            self.fail(f"{value!r} is not a spacing in mm, such as 0.5 or 0.5x0.7 (x, then y).", param, ctx)
        return sizes[0], sizes[-1]


# What may be left open by a file, as arguments of ``Choice``
_READING = (
    ("frame", click.IntRange(min=0), "Frame of a series (4-D), counted from 0; for each file that is one."),
    (
        "spacing",
        Spacing(),
        "Size of the pixels of a picture (PNG, TIFF, JPEG) in mm: 0.5, or 0.5x0.7.",
    ),
    (
        "series",
        str,
        "Series of a folder of DICOM with several: its number in the list of the error.",
    ),
)


def reading_options(command: Command) -> Command:
    """Add the options that choose what to read of files that leave it open; ``choice_of`` collects them."""
    for name, kind, text in reversed(_READING):
        command = click.option(f"--{name}", type=kind, help=text)(command)
    command = click.option("--grey", is_flag=True, help="Read colour pictures as their luminance.")(command)
    return prefer_option(command)


def reading_options_of_pairs(command: Command) -> Command:
    """Add the same for a command with two scans, whose options for one of them go before the general ones."""
    for scan in ("moving", "fixed"):
        for name, kind, _ in reversed(_READING):
            text = f"Like --{name}, for the {scan} scan only."
            command = click.option(f"--{scan}-{name}", type=kind, help=text)(command)
    return reading_options(command)


def choice_of(options: dict[str, Any], scan: str | None = None) -> Choice:
    """Return what the options choose, for one of two scans or for every file."""
    from ..io.images import Choice

    def chosen(name: str) -> Any:
        own = options.get(f"{scan}_{name}")
        return options[name] if own is None else own

    return Choice(chosen("frame"), options["prefer"], chosen("spacing"), options["grey"], chosen("series"))


def prefer_option(command: Command) -> Command:
    """Add ``--prefer``, which applies to each file whose two forms disagree."""
    return click.option(
        "--prefer",
        type=click.Choice(("sform", "qform")),
        help="Form to use where the sform and the qform of a header disagree.",
    )(command)
