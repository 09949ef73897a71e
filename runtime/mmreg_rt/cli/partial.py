"""Folders for files that are being written, inside of the folder where they will lie.

Inside, so that a file gets its place by a rename alone, wherever the folder lies: a mount, a link to another
disk, a folder under one that is read-only. Each holds a marker, locked for as long as the run that made it
lives; the lock goes with the process, however it ends, so what a killed run left can be told from what is in
use, and is collected by the next run.
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
except ImportError:  # Windows: no locks, so nothing is ever taken for dead
    fcntl = None  # type: ignore[assignment]

PREFIX, SUFFIX = ".mmreg-", ".partial"
MARKER, EARLIER = "mmreg-partial", "earlier"
FORMAT = "mmreg-partial/1"
MAX_MARKER_BYTES = 1 << 16
_PIECE = re.compile(r"\.mmreg-\w+\.partial", re.ASCII)  # a file that ``io`` was writing


@contextlib.contextmanager
def partial_folder(folder: Path, names: Sequence[str], claim: str | None = None) -> Iterator[Path]:
    """A folder of this run inside ``folder``, which is gone when the block ends.

    Args:
        folder: Where the files will lie; it is there.
        names: Of the files that may be written. What another run left is removed by these names alone.
        claim: Name of the folder, if only one run may have it at a time.

    Raises:
        FileExistsError: Another run, or somebody's own file, has the claim.
        OSError: The folder cannot be made.
    """
    made = Path(tempfile.mkdtemp(prefix=PREFIX, suffix=SUFFIX, dir=folder))
    lock: int | None = None
    try:
        lock = _mark(made, names)
        if claim is not None:
            made = _claimed(made, folder / claim)
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def collect(folder: Path) -> None:
    """Remove what runs that were killed left in ``folder``; what they had moved aside gets its place back."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            if entry.name.startswith(PREFIX) and entry.name.endswith(SUFFIX):
                _collect(Path(entry.path))


def _mark(folder: Path, names: Sequence[str]) -> int:
    """Put the marker into the folder, locked before anybody can see it."""
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


def _claimed(made: Path, wanted: Path) -> Path:
    """Give the folder the name that only one can have: a rename onto a folder with content fails."""
    try:
        os.rename(made, wanted)
    except OSError:
        if not os.path.lexists(wanted):
            raise
        _collect(wanted)
        if os.path.lexists(wanted):
            raise FileExistsError(17, "it is in use", str(wanted)) from None
        os.rename(made, wanted)
    return wanted


def _collect(left: Path) -> None:
    lock = _dead(left)
    if lock is None:
        return
    try:
        _restore(left, _names(lock) or [])
    finally:
        os.close(lock)


def _dead(left: Path) -> int | None:
    """The lock of a folder whose run is no more; None if it lives, or if this is no folder of ours."""
    try:
        if not stat.S_ISDIR(os.lstat(left).st_mode):
            return None
        lock = os.open(left / MARKER, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with contextlib.suppress(OSError, ValueError):
        there = os.fstat(lock)
        if stat.S_ISREG(there.st_mode) and _names(lock) is not None and _try_lock(lock):
            now = os.stat(left / MARKER)
            if (now.st_dev, now.st_ino) == (there.st_dev, there.st_ino):  # and not another run's by now
                return lock
    os.close(lock)
    return None


def _try_lock(lock: int) -> bool:
    """Whether this process has the lock now; also False where the file system knows none."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _names(lock: int) -> list[str] | None:
    """The names in a marker; None if it is not one of ours."""
    try:
        found = json.loads(os.pread(lock, MAX_MARKER_BYTES, 0))
        names = found["names"]
        if found["format"] == FORMAT and all(name == os.path.basename(name) != "" for name in names):
            return [*names]
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    return None


def _restore(left: Path, names: list[str]) -> None:
    """Undo a change of results that was cut short, then remove what is ours."""
    aside = left / EARLIER
    with contextlib.suppress(OSError):
        _undo(left, aside, names)
    ours = {*names, f"{MARKER}.new"}
    for folder in (aside, left):
        with contextlib.suppress(OSError):
            for entry in os.listdir(folder):
                if entry in ours or _PIECE.fullmatch(entry):
                    os.unlink(folder / entry)
    with contextlib.suppress(OSError):
        if aside.exists():
            os.rmdir(aside)
        os.unlink(left / MARKER)
        os.rmdir(left)


def _undo(left: Path, aside: Path, names: list[str]) -> None:
    """New files that have their place already go, so that the earlier ones get it back.

    The record is moved last. Where it has gone the change was complete.
    """
    new = {
        name: facts for entry in os.listdir(left) for name, facts in record.read(left / entry).files.items()
    }
    for name in names:
        place = left.parent / name
        if name in new and not (left / name).exists() and record.unchanged(place, new[name]):
            os.unlink(place)
        if os.path.lexists(aside / name) and not os.path.lexists(place):
            os.rename(aside / name, place)
