"""Signals: SIGTERM and SIGHUP end a command as Ctrl-C does, with exit code 128 plus the signal's number."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_NUMBERS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Stopped(KeyboardInterrupt):
    """A signal to end this process."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_code = 128 + number


class _State:
    held = 0
    waiting: int | None = None  # received while held back
    received: int | None = None


@contextmanager
def listening() -> Iterator[type[_State]]:
    """Raise ``Stopped`` in the main thread when one of the signals arrives.

    A signal that is ignored stays ignored, as ``nohup`` needs it. Other threads cannot listen for signals.
    """
    _State.held, _State.waiting, _State.received = 0, None, None
    if threading.current_thread() is not threading.main_thread():
        yield _State
        return
    before = {number: signal.getsignal(number) for number in _NUMBERS}
    ours = [n for n, handler in before.items() if handler in (signal.SIG_DFL, signal.default_int_handler)]
    for number in ours:
        signal.signal(number, _receive)
    try:
        yield _State
    finally:
        for number in ours:
            signal.signal(number, before[number])


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let the block run to its end; raise a signal that arrives meanwhile afterwards."""
    _State.held += 1
    try:
        yield
    finally:
        _State.held -= 1
    if not _State.held and _State.waiting is not None:
        number, _State.waiting = _State.waiting, None
        raise Stopped(number)


def _receive(number: int, _: FrameType | None) -> None:
    _State.received = number
    if _State.held:
        _State.waiting = number
        return
    raise Stopped(number)
