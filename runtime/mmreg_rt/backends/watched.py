"""Network runs that can be cancelled: they run elsewhere while the calling thread polls a stop function."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Protocol

POLL_S = 0.01  # between two polls
Stop = Callable[[], bool]  # True: cancel the run


class Stopped(Exception):
    """A run was cancelled; its output is not valid.

    Attributes:
        by: The exception that the stop function raised, or None.
    """

    def __init__(self, by: BaseException | None = None) -> None:
        super().__init__("stopped")
        self.by = by


class Running(Protocol):
    """Work that runs elsewhere."""

    def wait(self, seconds: float) -> bool:
        """Wait up to ``seconds`` and return whether it has ended."""

    def cancel(self) -> None:
        """Ask it to end soon."""

    def end(self) -> None:
        """Wait for its end, and raise the exception that it raised."""


def watch(running: Running, stop: Stop) -> None:
    """Wait for ``running`` to end; cancel it if ``stop`` returns True or the caller is interrupted.

    Nothing runs any more when this returns or raises.

    Raises:
        Stopped: The work was cancelled.
    """
    try:
        while True:
            if _requested(stop):
                raise Stopped
            if running.wait(POLL_S):
                break
    except BaseException:
        running.cancel()
        _wait_for_the_end(running)
        raise
    running.end()


def ask_first(stop: Stop) -> None:
    """Call ``stop`` before work that cannot be cancelled once it has begun.

    Raises:
        Stopped: ``stop`` returned True, or raised.
    """
    if _requested(stop):
        raise Stopped


def _requested(stop: Stop) -> bool:
    try:
        return stop()
    except Exception as error:
        raise Stopped(error) from error


def _wait_for_the_end(running: Running) -> None:
    """Wait for cancelled work, ignoring further interrupts: its buffers are in use until it ends."""
    while True:
        with contextlib.suppress(KeyboardInterrupt):
            with contextlib.suppress(Exception):
                running.end()
            return


class InThread:
    """Work in a separate thread, so that the calling thread can poll and receives signals.

    Args:
        work: The function to run.
        cancel: Makes ``work`` end soon.

    Raises:
        RuntimeError: The system cannot start another thread.
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
        """Wait up to ``seconds`` and return whether it has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def end(self) -> None:
        """Wait for its end, and raise the exception that it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
