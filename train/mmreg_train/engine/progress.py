"""What a training run is doing: a bar on a terminal, a line every half minute elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

EVERY_S = 30.0


class Progress:
    """One run's progress; silent on all processes but the first."""

    def __init__(
        self,
        steps: int,
        done: int,
        minutes: float | None,
        visible: bool,
        what: str = "training",
        unit: str = "step",
    ) -> None:
        from tqdm import tqdm

        self._steps, self._begin, self._minutes = steps, done, minutes
        self._since = self._shown = time.perf_counter()
        self._visible, live = visible, visible and sys.stderr.isatty()
        self._bar = tqdm(
            total=steps, initial=done, desc=what, unit=unit, dynamic_ncols=True, disable=not live
        )
        self._live = live

    def update(self, done: int, terms: Mapping[str, float]) -> None:
        """After a step."""
        now = time.perf_counter()
        if self._live:
            self._bar.set_postfix_str(_loss(terms), refresh=False)
            self._bar.update(done - self._bar.n)
        elif self._visible and (
            now - self._shown >= EVERY_S or done == self._steps or done == self._begin + 1
        ):
            self._shown = now
            click.echo(self.line(done, terms, now - self._since), err=True)

    def count(self) -> None:
        """One more of what needs no words."""
        self._bar.update(1)

    def line(self, done: int, terms: Mapping[str, float], seconds: float) -> str:
        """Step, loss, steps per second and what is left."""
        rate = (done - self._begin) / max(seconds, 1e-9)
        left = (self._steps - done) / max(rate, 1e-9)
        if self._minutes is not None:
            left = min(left, max(self._minutes * 60 - seconds, 0))
        share = 100 * done / self._steps
        where = f"step {done}/{self._steps} ({share:.0f} %)"
        return f"{where}  {_loss(terms)}  {rate:.3g} steps/s  {clock(left)} left"

    def say(self, text: str) -> None:
        """A line of its own."""
        if self._live:
            self._bar.write(text, file=sys.stderr)
        elif self._visible:
            click.echo(text, err=True)

    def close(self) -> None:
        """End the bar."""
        self._bar.close()


def _loss(terms: Mapping[str, float]) -> str:
    return f"loss {terms['total']:.4g}" if "total" in terms else "loss ..."  # none before the first point


def clock(seconds: float) -> str:
    """``h:mm:ss``."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
