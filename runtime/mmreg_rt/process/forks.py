"""Cleanup after a fork: the child process has no threads, and its locks may be held for ever."""

from __future__ import annotations

import ctypes
import os
import weakref
from typing import Protocol


class Forked(Protocol):
    """An object that must be notified in a forked process."""

    def after_fork(self) -> None:
        """Drop threads and locks that belong to the parent process."""


_living: weakref.WeakSet[Forked] = weakref.WeakSet()


def watch(instance: Forked) -> None:
    """Call ``instance.after_fork`` in every child process that is forked."""
    _living.add(instance)


def abandon(instance: object) -> None:
    """Keep an object for ever, as its destructor would wait for threads that do not exist here."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(instance))


def _notify() -> None:
    for instance in list(_living):
        instance.after_fork()


os.register_at_fork(after_in_child=_notify)
