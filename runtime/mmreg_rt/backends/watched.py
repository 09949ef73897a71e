"""Runs of networks that may be stopped: they go on elsewhere while the caller is asked if they are wanted."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Protocol

POLL_S = 0.01  # between two questions
Stop = Callable[[], bool]  # True: what is being computed is not wanted any more


class Stopped(Exception):
    """A run was stopped; its output holds nothing.

    Attributes:
        by: What was raised by asking, or None.
    """

    def __init__(self, by: BaseException | None = None) -> None:
        super().__init__("stopped")
        self.by = by


class Running(Protocol):
    """Work that goes on elsewhere."""

    def wait(self, seconds: float) -> bool:
        """Whether it has ended, after so many seconds at most."""

    def cancel(self) -> None:
        """Let it end soon."""

    def end(self) -> None:
        """Wait for its end, and raise what it raised."""


def watch(running: Running, stop: Stop) -> None:
    """Wait for the end of work, unless ``stop`` says that it is not wanted, or the caller is interrupted.

    Nothing runs any more when this returns or raises.

    Raises:
        Stopped: The work was cancelled.
    """
    try:
        while True:
            if _says(stop):
                raise Stopped
            if running.wait(POLL_S):
                break
    except BaseException:
        running.cancel()
        _wait_for_the_end(running)
        raise
    running.end()


def ask_first(stop: Stop) -> None:
    """For work that cannot be stopped once it has begun.

    Raises:
        Stopped: It is not wanted.
    """
    if _says(stop):
        raise Stopped


def _says(stop: Stop) -> bool:
    try:
        return stop()
    except Exception as error:
        raise Stopped(error) from error


def _wait_for_the_end(running: Running) -> None:
    """Of cancelled work, whatever it raises; who interrupts again waits too, as its buffers are in use."""
    while True:
        with contextlib.suppress(KeyboardInterrupt):
            with contextlib.suppress(Exception):
                running.end()
            return


class InThread:
    """Work in a thread of its own, so that the calling one can ask, and hears signals.

    Args:
        work: What to do.
        cancel: Lets it end soon.

    Raises:
        RuntimeError: The system gives no more threads.
    """

    def __init__(self, work: Callable[[], None], cancel: Callable[[], None]) -> None:
        self.cancel = cancel
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(work,), name="mmreg network")
        self._thread.start()

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self._error = error

    def wait(self, seconds: float) -> bool:
        """Whether it has ended, after so many seconds at most."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def end(self) -> None:
        """Wait for its end, and raise what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
