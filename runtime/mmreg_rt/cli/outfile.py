"""One output file: written completely or not at all, and never over a file of the user.

A file that mmreg wrote carries its own hash as an extended attribute. While the hash matches, the file may be
replaced; on a file system without attributes only the user can decide.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ..errors import InputError, MmregError
from .output_folder import cannot_write, refuse_case_clash, same_file, with_places
from .partial import partial_folder, remove_leftovers
from .record import facts
from .signals import uninterrupted

ATTRIBUTE = "user.mmreg.sha256"


@contextmanager
def output_file(path: Path, inputs: Iterable[Path], overwrite: bool) -> Iterator[Path]:
    """Yield a temporary path to write to; move it to ``path`` when the block succeeds.

    Args:
        path: Path as the user gave it.
        inputs: Files that the command reads.
        overwrite: Replace a file that another program wrote.

    Raises:
        InputError: An input or a file of the user is there, or ``path`` cannot be written. Nothing was
            changed.
    """
    target = Path(os.path.realpath(path))
    _refuse_inputs(path, target, inputs)
    if os.path.lexists(target) and not (target.is_file() and (overwrite or _written_by_mmreg(target))):
        raise _existing_file(path, target)
    refuse_case_clash(target.parent, [target.name])
    remove_leftovers(target.parent)
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
    for file in inputs:
        if same_file(file, target):
            raise InputError(
                "MMREG_E_OUTPUT_INPUT",
                f"{path} is an input of this command, and the result would replace it. Nothing was changed. "
                "Choose another name.",
            )


def _existing_file(path: Path, target: Path) -> InputError:
    if not target.is_file():
        return InputError("MMREG_E_OUTPUT_FOREIGN", f"{path} exists and is not a file. Choose another name.")
    return InputError(
        "MMREG_E_OUTPUT_FOREIGN",
        f"{path} exists already, not written by mmreg or changed since. Nothing was changed. Choose another "
        "name, or add --overwrite.",
    )


def _mark(path: Path) -> None:
    with suppress(OSError, AttributeError):  # not every file system has attributes
        os.setxattr(path, ATTRIBUTE, facts(path).sha256.encode())


def _written_by_mmreg(path: Path) -> bool:
    try:
        return os.getxattr(path, ATTRIBUTE) == facts(path).sha256.encode()
    except (OSError, AttributeError):
        return False
