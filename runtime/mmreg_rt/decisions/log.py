"""Writes lines to a decision log.

A line is written by one system call while the file is locked, so several processes may share a log. A process
or machine that stops in the middle of a line leaves a part of it. That part stays: the next line carries its
hash and is marked ``after_partial_line``. Lines survive the end of the process; a power failure may take the
last ones.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..errors import DecisionLogError
from ..text.json_values import Json
from . import line as lines

LOCK_S = 5.0  # how long another process may hold the log
_RETRY_S = 0.001
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe without a reader is an error at once


class Log:
    """Appends to one file.

    Args:
        path: The file; it is created if it is not there.

    Raises:
        DecisionLogError: It cannot be written, or does not end like a decision log.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._bytes = path, 0
        with self._opened(os.O_CREAT) as file:
            self._end(file)

    def append(self, facts: Mapping[str, Json]) -> None:
        """Write one line.

        Raises:
            DecisionLogError: It could not be written; then nothing of it is left in the file.
        """
        with self._opened() as file:
            sequence, last, newline = self._end(file)
            partial = bool(last) and lines.read(last) is None
            previous = lines.sha256_of(last) if sequence else lines.FIRST
            line = lines.written(sequence + 1, previous, partial, facts)
            self._write(file, b"\n" * (not newline) + line + b"\n")

    @contextmanager
    def _opened(self, flags: int = 0) -> Iterator[int]:
        """Open and lock the file; that it is opened for each line makes forks and threads safe."""
        try:
            file = os.open(self.path, _FLAGS | flags, 0o644)
            try:
                if not stat.S_ISREG(os.fstat(file).st_mode):
                    raise OSError(errno.EINVAL, "It is no regular file")
                self._lock(file)
                yield file
            finally:
                os.close(file)
        except OSError as reason:
            raise DecisionLogError(
                "MMREG_E_LOG_WRITE",
                f"The decision log {self.path} cannot be written: {reason.strerror}. Free some space, or "
                "choose another file.",
            ) from reason

    def _lock(self, file: int) -> None:
        until = time.monotonic() + LOCK_S
        while True:
            try:
                return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as reason:
                if time.monotonic() > until:
                    raise DecisionLogError(
                        "MMREG_E_LOG_LOCKED",
                        f"Another process has held the decision log {self.path} for {LOCK_S:.0f} s. End it, "
                        "or give each process a log of its own.",
                    ) from reason
            time.sleep(_RETRY_S)

    def _end(self, file: int) -> tuple[int, bytes, bool]:
        """Return the number of lines, the last one, and whether it has ended."""
        size = os.fstat(file).st_size
        if size < self._bytes:
            raise DecisionLogError(
                "MMREG_E_LOG_SHORTER",
                f"The decision log {self.path} has {size} bytes; it had {self._bytes} before. Lines were "
                "removed: keep the file, and start another log.",
            )
        self._bytes = size
        start = max(0, size - 4 * lines.MAX_LINE_BYTES)
        tail = os.pread(file, size - start, start)
        newline = not tail or tail.endswith(b"\n")
        found = tail.split(b"\n")[: -1 if newline else None]
        for cut, line in enumerate(reversed(found)):
            content = lines.read(line)
            if content is not None:
                return int(str(content["sequence"])) + cut, found[-1], newline
            if not lines.may_be_cut(line):
                break
        else:
            if start == 0:  # no line, or none that is whole
                return len(found), found[-1] if found else b"", newline
        raise DecisionLogError(
            "MMREG_E_LOG_FORMAT",
            f"{self.path} does not end with a line of a decision log. Give the path of a log, or of a new "
            "file.",
        )

    def _write(self, file: int, data: bytes) -> None:
        try:
            count = os.write(file, data)
        except OSError:
            os.ftruncate(file, self._bytes)
            raise
        if count < len(data):
            os.ftruncate(file, self._bytes)
            raise DecisionLogError(
                "MMREG_E_LOG_WRITE",
                f"The disk took {count} of {len(data)} bytes of a line of the decision log {self.path}. Free "
                "some space.",
            )
        self._bytes += count
