"""Early end of a run: on a signal, or when its time limit is reached."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType

import torch
from lightning.fabric import Fabric


class Interrupt:
    """Watches the time limit, SIGTERM and SIGINT; a second SIGINT interrupts immediately.

    Use it as a context manager and query it between steps; all processes get the same answer.

    Args:
        minutes: Time limit; None has none.
        fabric: Of the run.
    """

    def __init__(self, minutes: float | None, fabric: Fabric) -> None:
        self._deadline = None if minutes is None else time.monotonic() + 60 * minutes
        self._fabric = fabric
        self.signal: int | None = None

    def __enter__(self) -> Interrupt:
        # only the main thread of a process may install handlers; elsewhere the caller has to
        self._listens = threading.current_thread() is threading.main_thread()
        if self._listens:
            numbers = signal.SIGTERM, signal.SIGINT
            self._before = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._listens:
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def requested(self) -> bool:
        """Return whether any process got a signal, or the time limit of the first one is reached."""
        late = self._deadline is not None and time.monotonic() >= self._deadline
        here = self.signal is not None or (late and self._fabric.is_global_zero)
        if self._fabric.world_size == 1:
            return here
        flag = torch.tensor(float(here), device=self._fabric.device)
        total = self._fabric.all_reduce(flag, reduce_op="sum")
        return bool(torch.as_tensor(total) > 0)

    def reason(self) -> str:
        """Return ``"interrupt"``, ``"signal"`` or ``"minutes"``."""
        if self.signal is None:
            return "minutes"
        return "interrupt" if self.signal == signal.SIGINT else "signal"

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.signal == number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number
