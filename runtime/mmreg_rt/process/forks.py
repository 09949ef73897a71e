"""What a forked process must not go on using: threads do not come with it, and locks may be held for ever."""

from __future__ import annotations

import ctypes
import os
import weakref
from typing import Protocol


class Forked(Protocol):
    """What is told that this process is a copy of the one that made it."""

    def after_fork(self) -> None:
        """Let go of threads and locks of the other process."""


_living: weakref.WeakSet[Forked] = weakref.WeakSet()


def watch(made: Forked) -> None:
    """Tell ``made`` when a process is forked, in the copy."""
    _living.add(made)


def abandon(left: object) -> None:
    """Keep an object for ever: its end would wait for threads that are not here."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(left))


def _tell() -> None:
    for made in list(_living):
        made.after_fork()


os.register_at_fork(after_in_child=_tell)
