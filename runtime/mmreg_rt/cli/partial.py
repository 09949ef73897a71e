"""Temporary folders for files that are being written, inside the output folder.

Inside, so that a rename moves a file to its place wherever the output folder is: a mount, a link to another
disk, a folder under a read-only one. Each holds a marker, locked while the run that made it lives. The lock
ends with the process, however it ends, so the next run can distinguish leftovers of a killed run from folders
in use, and removes them.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import record

try:
    import fcntl
except ImportError:  # Windows: no locks, so no folder is ever taken for abandoned
    fcntl = None  # type: ignore[assignment]

PREFIX, SUFFIX = ".mmreg-", ".partial"
MARKER, EARLIER = "mmreg-partial", "earlier"
FORMAT = "mmreg-partial/1"
MAX_MARKER_BYTES = 1 << 16
_PIECE = re.compile(r"\.mmreg-\w+\.partial", re.ASCII)  # a temporary file of ``io``


@contextlib.contextmanager
def partial_folder(folder: Path, names: Sequence[str], claim: str | None = None) -> Iterator[Path]:
    """Create a folder of this run inside ``folder``, and remove it when the block ends.

    Args:
        folder: Existing folder in which the files will end up.
        names: Names of the files that may be written. Leftovers are removed by these names alone.
        claim: Name of the temporary folder, if only one run may have it at a time.

    Raises:
        FileExistsError: Another run, or a file of the user, has that name.
        OSError: The folder cannot be created.
    """
    created = Path(tempfile.mkdtemp(prefix=PREFIX, suffix=SUFFIX, dir=folder))
    lock: int | None = None
    try:
        lock = _mark(created, names)
        if claim is not None:
            created = _claim(created, folder / claim)
        yield created
    finally:
        shutil.rmtree(created, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def remove_leftovers(folder: Path) -> None:
    """Remove leftovers of killed runs from ``folder``, and restore the files they had moved aside."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            if entry.name.startswith(PREFIX) and entry.name.endswith(SUFFIX):
                _clean_up(Path(entry.path))


def _mark(folder: Path, names: Sequence[str]) -> int:
    """Create the marker in the folder, locked before another process can see it."""
    fresh = folder / f"{MARKER}.new"
    lock = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        _try_lock(lock)
        os.write(lock, json.dumps({"format": FORMAT, "pid": os.getpid(), "names": [*names]}).encode())
        os.rename(fresh, folder / MARKER)
    except BaseException:
        os.close(lock)
        raise
    return lock


def _claim(created: Path, target: Path) -> Path:
    """Rename the folder to the exclusive name: a rename onto a folder with content fails."""
    try:
        os.rename(created, target)
    except OSError:
        if not os.path.lexists(target):
            raise
        _clean_up(target)
        if os.path.lexists(target):
            raise FileExistsError(17, "it is in use", str(target)) from None
        os.rename(created, target)
    return target


def _clean_up(left: Path) -> None:
    lock = _abandoned_lock(left)
    if lock is None:
        return
    try:
        _restore(left, _names(lock) or [])
    finally:
        os.close(lock)


def _abandoned_lock(left: Path) -> int | None:
    """Return the lock of a folder whose run has ended; None if it is running, or not a folder of mmreg."""
    try:
        if not stat.S_ISDIR(os.lstat(left).st_mode):
            return None
        lock = os.open(left / MARKER, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with contextlib.suppress(OSError, ValueError):
        status = os.fstat(lock)
        if stat.S_ISREG(status.st_mode) and _names(lock) is not None and _try_lock(lock):
            now = os.stat(left / MARKER)
            if (now.st_dev, now.st_ino) == (status.st_dev, status.st_ino):  # not replaced meanwhile
                return lock
    os.close(lock)
    return None


def _try_lock(lock: int) -> bool:
    """Try to lock; return False if another process has the lock or the file system has no locks."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _names(lock: int) -> list[str] | None:
    """Return the names in a marker, or None if mmreg did not write it."""
    try:
        content = json.loads(os.pread(lock, MAX_MARKER_BYTES, 0))
        names = content["names"]
        if content["format"] == FORMAT and all(name == os.path.basename(name) != "" for name in names):
            return [*names]
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    return None


def _restore(left: Path, names: list[str]) -> None:
    """Undo an interrupted replacement of results, then remove the files of mmreg."""
    aside = left / EARLIER
    with contextlib.suppress(OSError):
        _undo(left, aside, names)
    ours = {*names, f"{MARKER}.new"}
    for folder in (aside, left):
        with contextlib.suppress(OSError):
            for entry in os.listdir(folder):
                if entry in ours or _PIECE.fullmatch(entry):
                    _remove(folder / entry)
    with contextlib.suppress(OSError):
        if aside.exists():
            os.rmdir(aside)
        os.unlink(left / MARKER)
        os.rmdir(left)


def _remove(path: Path) -> None:
    """Remove a file, or a folder with its files."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _undo(left: Path, aside: Path, names: list[str]) -> None:
    """Remove new files that are already in place, and restore the earlier ones.

    The record is moved last: where it has been moved, the replacement was complete.
    """
    new = {
        name: facts for entry in os.listdir(left) for name, facts in record.read(left / entry).files.items()
    }
    for name in names:
        place = left.parent / name
        if name in new and not (left / name).exists() and record.unchanged(place, new[name]):
            _remove(place)
        if os.path.lexists(aside / name) and not os.path.lexists(place):
            os.rename(aside / name, place)
