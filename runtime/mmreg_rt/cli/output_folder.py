"""An output folder: used by one run at a time, complete or unchanged, without loss of files of the user.

Files are written into a temporary folder inside it and moved to their places at the end. They replace the
unchanged files of an earlier run (``record``). Any other file in the place of a result is refused before the
work, and so is an input.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError, MmregError
from ..io.endings import RESULTS
from . import record
from .partial import EARLIER, MARKER, partial_folder, remove_leftovers
from .record import Document, Record
from .signals import uninterrupted

ALWAYS = ("warped.nii.gz", "transform.nii.gz", "inverse.nii.gz", "affine.tfm", "report.html", "result.json")
RESULT, REASON = ("report.html", "result.json"), ("failure.html", "failure.json")  # page, then record
CLAIM = ".mmreg-partial"
# of all commands: leftovers of a killed run are recognised by these names
KNOWN = (
    *ALWAYS,
    *REASON,
    *(f"{name}{ending}" for name in ("warped", "labels") for ending in RESULTS),
    "warped",  # a folder of DICOM
    "points.csv",
    "phantom_mr.nii.gz",
    "phantom_ct.nii.gz",
    "phantom_mr_labels.nii.gz",
    "phantom_ct_labels.nii.gz",
    "benchmark.json",
    "benchmark.svg",
)


class Output:
    """A claimed output folder.

    Attributes:
        folder: Path as the user gave it.
        partial: Where to write; ``commit`` moves the files to their places.
    """

    def __init__(self, folder: Path, root: Path, partial: Path, inputs: Iterable[Path]) -> None:
        self.folder, self.partial, self._root = folder, partial, root
        self._inputs = frozenset(
            name for name in KNOWN if any(same_file(root / name, path) for path in inputs)
        )
        self._earlier: dict[str, Record] = {}
        self._stamps: dict[str, object] = {}

    def check(self, names: Sequence[str], records: Sequence[str]) -> None:
        """Find the files of earlier runs, and raise if other files are in the place of ``names``."""
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
                f"{_existing(foreign)} already in {self.folder}, not written by mmreg or changed since. "
                "Nothing was changed. Move it away, or choose another folder for the results.",
            )
        refuse_case_clash(self._root, names)

    @property
    def failure_files(self) -> tuple[str, str]:
        """Page and record for the reason of a failure; not those of earlier results."""
        return REASON if self._earlier[RESULT[1]].status == "ok" else RESULT

    def with_user_paths(self, error: Exception) -> Exception:
        """Replace the temporary folder by the output folder in the message of an error."""
        return with_places(error, self.partial, self.folder)

    def write_record(self, summary: Document, name: str) -> Document:
        """Write ``summary`` as the record of the written files; return it with their list."""
        return record.write(summary, self.partial / name, [self.partial / file for file in self._written()])

    def _written(self) -> list[str]:
        return sorted(set(os.listdir(self.partial)) - {MARKER, EARLIER})

    def clear(self) -> None:
        """Remove the files written so far."""
        for path in self.partial.iterdir():
            if path.name == EARLIER:
                path.rmdir()
            elif path.is_dir():
                shutil.rmtree(path)
            elif path.name != MARKER:
                path.unlink()

    def commit(self, last: str) -> None:
        """Move the files to their places, ``last`` after all others, and remove those of an earlier run.

        Raises:
            InputError: A file cannot be moved; the folder is unchanged.
        """
        new = sorted(self._written(), key=lambda name: name == last)
        replaced = self._replaced(last)
        moves = [(self._root / name, self.partial / EARLIER / name) for name in replaced]
        moves += [(self.partial / name, self._root / name) for name in new]
        with uninterrupted():
            self._refuse_changes(new, replaced)
            try:
                (self.partial / EARLIER).mkdir(exist_ok=True)
                _move_all(moves)
            except OSError as reason:
                raise cannot_write(self.folder, reason) from reason

    def _replaced(self, last: str) -> list[str]:
        """List the files to replace, records first. Beside results, a reason only replaces a reason."""
        records = [last] if last == REASON[1] else list(self._earlier)
        files = {name: None for listing in records for name in (listing, *self._earlier[listing].files)}
        return [name for name in files if name in self._stamps and name not in self._inputs]

    def _refuse_changes(self, new: Sequence[str], replaced: Sequence[str]) -> None:
        changed = [name for name in replaced if _stamp(self._root / name) != self._stamps[name]]
        changed += [n for n in new if n not in replaced and os.path.lexists(self._root / n)]
        if changed:
            raise InputError(
                "MMREG_E_OUTPUT_CHANGED",
                f"Another program wrote {', '.join(changed)} in {self.folder} during this run. Nothing was "
                "changed. Run the command again with a folder of its own.",
            )


@contextmanager
def output(
    folder: Path,
    names: Sequence[str],
    inputs: Iterable[Path] = (),
    records: Sequence[str] = (RESULT[1], REASON[1]),
) -> Iterator[Output]:
    """Claim a folder for the results ``names``; create it if missing, and remove it if it stays empty.

    Args:
        folder: Path as the user gave it.
        names: Names of the files that may be written.
        inputs: Files that the run reads.
        records: Files that list the files of earlier runs of this command.

    Raises:
        InputError: An input or a file of the user is in the place of a result, another run is writing there,
            or the folder is not writable. Nothing was changed.
    """
    root, inputs = Path(os.path.realpath(folder)), list(inputs)
    _refuse_inputs(folder, root, names, inputs)
    with _existing_folder(folder, root), _claimed(folder, root) as partial:
        place = Output(folder, root, partial, inputs)
        place.check(names, records)
        yield place


def cannot_write(path: Path, reason: OSError) -> InputError:
    """Return the error of an output that the system refuses."""
    return InputError(
        "MMREG_E_OUTPUT",
        f"Cannot write {path}: {reason.strerror or reason}. Existing files are unchanged. Choose a folder "
        "with free space and write permission.",
    )


def with_places(error: Exception, partial: Path, folder: Path) -> Exception:
    """Replace ``partial``, where files are written first, by ``folder`` in an error."""
    where = f"{partial}{os.sep}"
    if isinstance(error, MmregError) and where in error.args[0]:
        return type(error)(error.code, error.args[0].replace(where, f"{folder}{os.sep}"))
    if isinstance(error, OSError) and str(error.filename).startswith(where):
        return cannot_write(folder / os.path.basename(error.filename), error)
    return error


def refuse_case_clash(folder: Path, names: Iterable[str]) -> None:
    """Refuse results whose names differ from existing files only in case.

    Raises:
        InputError: There is such a file.
    """
    results, entries = {name.casefold(): name for name in names}, []
    with contextlib.suppress(OSError):
        entries = os.listdir(folder)
    for entry in entries:
        name = results.get(entry.casefold(), entry)
        if name != entry and not same_file(folder / name, folder / entry):
            raise InputError(
                "MMREG_E_OUTPUT_CASE",
                f"{entry} in {folder} differs from the result {name} only in upper and lower case, which "
                "some file systems do not distinguish. Rename it, or choose another name.",
            )


def same_file(one: Path, other: Path) -> bool:
    """Return whether two paths lead to one file, including through links."""
    try:
        return os.path.realpath(one) == os.path.realpath(other) or os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


@contextmanager
def _existing_folder(folder: Path, root: Path) -> Iterator[None]:
    created: list[Path] = []
    try:
        try:
            for path in reversed([root, *root.parents]):
                if not path.is_dir():
                    path.mkdir(exist_ok=True)
                    created.append(path)
        except OSError as reason:
            raise cannot_write(folder, reason) from reason
        yield
    finally:
        for path in reversed(created):
            with contextlib.suppress(OSError):
                path.rmdir()  # fails unless empty


@contextmanager
def _claimed(folder: Path, root: Path) -> Iterator[Path]:
    remove_leftovers(root)
    with contextlib.ExitStack() as stack:
        try:
            partial = stack.enter_context(partial_folder(root, KNOWN, CLAIM))
        except FileExistsError as reason:
            raise InputError(
                "MMREG_E_OUTPUT_BUSY",
                f"Another run of mmreg is writing to {folder}. Wait for it, or choose another folder. If "
                f"none is running, remove {CLAIM} in it.",
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
                    f"{path} is an input of this run, and the result {name} in {folder} would replace it. "
                    "Nothing was changed. Choose another folder.",
                )


def _stamp(path: Path) -> object:
    """Return values that change when a file is written again."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _move_all(moves: Sequence[tuple[Path, Path]]) -> None:
    """Do all renames or none."""
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


def _existing(names: Sequence[str]) -> str:
    return f"{names[0]} exists" if len(names) == 1 else f"{', '.join(names)} exist"
