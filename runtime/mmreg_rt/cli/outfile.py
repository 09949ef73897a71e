"""One file that a command writes: whole or not at all, and never in the place of somebody else's.

A file that mmreg wrote carries its own hash as an extended attribute. As long as it fits, the file may be
replaced; a disk that keeps no attributes says nothing, and then the user has to.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ..errors import InputError, MmregError
from .output_folder import cannot_write, refuse_case_clash, same_file, with_places
from .partial import collect, partial_folder
from .record import facts
from .signals import uninterrupted

ATTRIBUTE = "user.mmreg.sha256"


@contextmanager
def output_file(path: Path, inputs: Iterable[Path], overwrite: bool) -> Iterator[Path]:
    """Where to write the file, which gets its place when the block ends well.

    Args:
        path: As the user gave it.
        inputs: Files that the command reads.
        overwrite: Replace whatever file is there.

    Raises:
        InputError: An input or somebody's own file is there, or nothing can be written. Nothing was touched.
    """
    target = Path(os.path.realpath(path))
    _refuse_inputs(path, target, inputs)
    if os.path.lexists(target) and not (target.is_file() and (overwrite or _is_ours(target))):
        raise _in_the_way(path, target)
    refuse_case_clash(target.parent, [target.name])
    collect(target.parent)
    with _partial(path, target) as partial:
        try:
            yield partial / target.name
        except MmregError as error:
            raise with_places(error, partial, path.parent) from error
        try:
            _mark(partial / target.name)
            with uninterrupted():
                os.replace(partial / target.name, target)
        except OSError as reason:
            raise cannot_write(path, reason) from reason


@contextmanager
def _partial(path: Path, target: Path) -> Iterator[Path]:
    with ExitStack() as stack:
        try:
            partial = stack.enter_context(partial_folder(target.parent, [target.name]))
        except OSError as reason:
            raise cannot_write(path, reason) from reason
        yield partial


def _refuse_inputs(path: Path, target: Path, inputs: Iterable[Path]) -> None:
    for given in inputs:
        if same_file(given, target):
            raise InputError(
                "MMREG_E_OUTPUT_INPUT",
                f"{path} is read by this command, and its result would take its place. Nothing was "
                "touched. Choose another name.",
            )


def _in_the_way(path: Path, target: Path) -> InputError:
    if not target.is_file():
        return InputError("MMREG_E_OUTPUT_FOREIGN", f"{path} is there and is no file. Choose another name.")
    return InputError(
        "MMREG_E_OUTPUT_FOREIGN",
        f"{path} is there already, not written by mmreg or changed since. Nothing was touched. Choose "
        "another name, "
        "or say --overwrite.",
    )


def _mark(path: Path) -> None:
    with suppress(OSError, AttributeError):  # not every disk has attributes, nor every system
        os.setxattr(path, ATTRIBUTE, facts(path).sha256.encode())


def _is_ours(path: Path) -> bool:
    try:
        return os.getxattr(path, ATTRIBUTE) == facts(path).sha256.encode()
    except (OSError, AttributeError):
        return False
