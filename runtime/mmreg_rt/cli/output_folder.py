"""An output folder: of one run at a time, complete or as it was, and nothing in it lost that is not ours.

Files are written into a folder inside of it and get their places at the end. What an earlier run wrote, and
nobody changed since (``record``), makes room then; anything else that lies where a result would go is refused
before the work, and so is an input that lies there.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import InputError, MmregError
from . import record
from .partial import EARLIER, MARKER, collect, partial_folder
from .record import Record
from .signals import uninterrupted

ALWAYS = ("warped.nii.gz", "transform.nii.gz", "inverse.nii.gz", "affine.tfm", "report.html", "result.json")
RESULT, REASON = ("report.html", "result.json"), ("failure.html", "failure.json")  # page, then record
CLAIM = ".mmreg-partial"
# of all commands: by these names what a killed run left is recognised
KNOWN = (
    *ALWAYS,
    *REASON,
    "labels.nii.gz",
    "points.csv",
    "phantom_mr.nii.gz",
    "phantom_ct.nii.gz",
    "phantom_mr_labels.nii.gz",
    "phantom_ct_labels.nii.gz",
    "benchmark.json",
    "benchmark.svg",
)


class Output:
    """The folder, claimed.

    Attributes:
        folder: As it was given.
        partial: Where to write; ``commit`` gives the files their places.
    """

    def __init__(self, folder: Path, root: Path, partial: Path, inputs: Iterable[Path]) -> None:
        self.folder, self.partial, self._root = folder, partial, root
        self._inputs = frozenset(
            name for name in KNOWN if any(same_file(root / name, path) for path in inputs)
        )
        self._earlier: dict[str, Record] = {}
        self._stamps: dict[str, object] = {}

    def look(self, names: Sequence[str], records: Sequence[str]) -> None:
        """Find what is ours in the folder, and refuse what is in the way of ``names``."""
        for name in records:
            listed = record.read(self._root / name)
            ours = {
                file: facts
                for file, facts in listed.files.items()
                if record.unchanged(self._root / file, facts)
            }
            self._earlier[name] = Record(listed.status, ours)
            self._stamps |= {file: _stamp(self._root / file) for file in ours}
        foreign = [name for name in names if os.path.lexists(self._root / name) and name not in self._stamps]
        if foreign:
            raise InputError(
                "MMREG_E_OUTPUT_FOREIGN",
                f"Results go to {', '.join(names)} in {self.folder}, and {_listed(foreign)} there already, "
                "not written by mmreg or changed since. Nothing was touched. Move it away, or choose another "
                "folder.",
            )
        refuse_case_clash(self._root, names)

    @property
    def explains_in(self) -> tuple[str, str]:
        """Page and record for the reason of a failure: other names where earlier results lie."""
        return REASON if self._earlier[RESULT[1]].status == "ok" else RESULT

    def named(self, error: Exception) -> Exception:
        """The error with the folder itself in place of where the files are written first."""
        return with_places(error, self.partial, self.folder)

    def write_record(self, summary: Mapping[str, Any], name: str) -> dict[str, Any]:
        """Write ``summary`` as the record of what was written; return it with the list."""
        return record.write(summary, self.partial / name, [self.partial / one for one in self._written()])

    def _written(self) -> list[str]:
        return sorted(set(os.listdir(self.partial)) - {MARKER, EARLIER})

    def clear(self) -> None:
        """Remove what was written so far."""
        for path in self.partial.iterdir():
            if path.name == EARLIER:
                path.rmdir()
            elif path.name != MARKER:
                path.unlink()

    def commit(self, last: str) -> None:
        """Give the files their places, ``last`` the last of them; what is ours and of an earlier run goes.

        Raises:
            InputError: It cannot be done; the folder is as it was.
        """
        new = sorted(self._written(), key=lambda name: name == last)
        going = self._going(last)
        moves = [(self._root / name, self.partial / EARLIER / name) for name in going]
        moves += [(self.partial / name, self._root / name) for name in new]
        with uninterrupted():
            self._refuse_changes(new, going)
            try:
                (self.partial / EARLIER).mkdir(exist_ok=True)
                _move_all(moves)
            except OSError as reason:
                raise cannot_write(self.folder, reason) from reason

    def _going(self, last: str) -> list[str]:
        """What makes room, records first: beside earlier results a reason takes the place of a reason "
        "alone."""
        records = [last] if last == REASON[1] else list(self._earlier)
        files = {name: None for one in records for name in (one, *self._earlier[one].files)}
        return [name for name in files if name in self._stamps and name not in self._inputs]

    def _refuse_changes(self, new: Sequence[str], going: Sequence[str]) -> None:
        changed = [name for name in going if _stamp(self._root / name) != self._stamps[name]]
        changed += [n for n in new if n not in going and os.path.lexists(self._root / n)]
        if changed:
            raise InputError(
                "MMREG_E_OUTPUT_CHANGED",
                f"While the work was done somebody else wrote {', '.join(changed)} in {self.folder}. "
                "Nothing was "
                "touched. Run it again, with a folder of its own.",
            )


@contextmanager
def output(
    folder: Path,
    names: Sequence[str],
    inputs: Iterable[Path] = (),
    records: Sequence[str] = (RESULT[1], REASON[1]),
) -> Iterator[Output]:
    """The folder for the results ``names``; it is made where it is missing, and goes again if it stays empty.

    Args:
        folder: As the user gave it.
        names: Of the files that may be written.
        inputs: Files that the run reads.
        records: Files that list what earlier runs of this command wrote.

    Raises:
        InputError: An input or somebody's own file is in the way, another run is at work there, or nothing
            can be written. Nothing was touched.
    """
    root, given = Path(os.path.realpath(folder)), list(inputs)
    _refuse_inputs(folder, root, names, given)
    with _made(folder, root), _claimed(folder, root) as partial:
        found = Output(folder, root, partial, given)
        found.look(names, records)
        yield found


def cannot_write(path: Path, reason: OSError) -> InputError:
    """The error of an output that the system refuses."""
    return InputError(
        "MMREG_E_OUTPUT",
        f"Cannot write {path}: {reason.strerror or reason}; what was there is as it was. Choose a folder "
        "with room and write permission.",
    )


def with_places(error: Exception, partial: Path, folder: Path) -> Exception:
    """The error with ``folder`` in place of ``partial``, where its files are written first."""
    where = f"{partial}{os.sep}"
    if isinstance(error, MmregError) and where in error.args[0]:
        return type(error)(error.code, error.args[0].replace(where, f"{folder}{os.sep}"))
    if isinstance(error, OSError) and str(error.filename).startswith(where):
        return cannot_write(folder / os.path.basename(error.filename), error)
    return error


def refuse_case_clash(folder: Path, names: Iterable[str]) -> None:
    """Refuse results whose names some disks could not keep apart from others that are there.

    Raises:
        InputError: There is such a name.
    """
    wanted, entries = {name.casefold(): name for name in names}, []
    with contextlib.suppress(OSError):
        entries = os.listdir(folder)
    for entry in entries:
        name = wanted.get(entry.casefold(), entry)
        if name != entry and not same_file(folder / name, folder / entry):
            raise InputError(
                "MMREG_E_OUTPUT_CASE",
                f"{entry} in {folder} differs from the result {name} only in upper and lower case, which "
                "some disks cannot keep apart. Rename it, or choose another name.",
            )


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file, by links and names that a disk does not keep apart too."""
    try:
        return os.path.realpath(one) == os.path.realpath(other) or os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


@contextmanager
def _made(folder: Path, root: Path) -> Iterator[None]:
    made: list[Path] = []
    try:
        try:
            for path in reversed([root, *root.parents]):
                if not path.is_dir():
                    path.mkdir(exist_ok=True)
                    made.append(path)
        except OSError as reason:
            raise cannot_write(folder, reason) from reason
        yield
    finally:
        for path in reversed(made):
            with contextlib.suppress(OSError):
                path.rmdir()  # not if there is something in it


@contextmanager
def _claimed(folder: Path, root: Path) -> Iterator[Path]:
    collect(root)
    with contextlib.ExitStack() as stack:
        try:
            partial = stack.enter_context(partial_folder(root, KNOWN, CLAIM))
        except FileExistsError as reason:
            raise InputError(
                "MMREG_E_OUTPUT_BUSY",
                f"Another run of mmreg is writing into {folder}. Wait for it, or choose another folder. If "
                "none is "
                f"running, remove {CLAIM} in it.",
            ) from reason
        except OSError as reason:
            raise cannot_write(folder, reason) from reason
        yield partial


def _refuse_inputs(folder: Path, root: Path, names: Iterable[str], inputs: Iterable[Path]) -> None:
    for path in inputs:
        for name in names:
            if same_file(root / name, path):
                raise InputError(
                    "MMREG_E_OUTPUT_INPUT",
                    f"{path} is read by this run, and its result {name} in {folder} would take its place. "
                    "Nothing "
                    "was touched. Choose another folder.",
                )


def _stamp(path: Path) -> object:
    """What changes when a file is written again."""
    try:
        there = os.lstat(path)
    except OSError:
        return None
    return there.st_ino, there.st_size, there.st_mtime_ns


def _move_all(moves: Sequence[tuple[Path, Path]]) -> None:
    """All renames, or none."""
    done: list[tuple[Path, Path]] = []
    try:
        for source, target in moves:
            os.rename(source, target)
            done.append((source, target))
    except OSError:
        for source, target in reversed(done):
            with contextlib.suppress(OSError):
                os.rename(target, source)
        raise


def _listed(names: Sequence[str]) -> str:
    return f"{names[0]} lies" if len(names) == 1 else f"{', '.join(names)} lie"
