"""When a run ends before its last step: a signal, or its minutes are over."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType

import torch
from lightning.fabric import Fabric


class Stop:
    """Watches the clock and SIGTERM and SIGINT; a second SIGINT interrupts at once.

    Use it as a context; asked between steps, it gives the same answer on all processes.
    """

    def __init__(self, minutes: float | None, fabric: Fabric) -> None:
        self._deadline = None if minutes is None else time.monotonic() + 60 * minutes
        self._fabric = fabric
        self.signal: int | None = None

    def __enter__(self) -> Stop:
        # only the main thread of a process may listen; elsewhere the caller has to
        self._listens = threading.current_thread() is threading.main_thread()
        if self._listens:
            self._before = {of: signal.signal(of, self._note) for of in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._listens:
            for of, handler in self._before.items():
                signal.signal(of, handler)

    def asked(self) -> bool:
        """Whether any process was asked to stop, or the first one's time is over."""
        late = self._deadline is not None and time.monotonic() >= self._deadline
        mine = self.signal is not None or (late and self._fabric.is_global_zero)
        if self._fabric.world_size == 1:
            return mine
        flag = torch.tensor(float(mine), device=self._fabric.device)
        total = self._fabric.all_reduce(flag, reduce_op="sum")
        return bool(torch.as_tensor(total) > 0)

    def reason(self) -> str:
        """``"interrupt"``, ``"signal"`` or ``"minutes"``."""
        if self.signal is None:
            return "minutes"
        return "interrupt" if self.signal == signal.SIGINT else "signal"

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.signal == number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number
