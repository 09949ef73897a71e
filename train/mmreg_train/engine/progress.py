"""Progress of a run: a bar on a terminal, elsewhere a line every half minute."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

EVERY_S = 30.0


class Progress:
    """Progress of one run; silent on all processes except the first.

    Args:
        steps: Total number of steps.
        done: Steps of earlier runs.
        minutes: Time limit; None has none.
        visible: Whether to write anything.
        what: Description on the bar.
        unit: Name of a step.
    """

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

        self._steps, self._first, self._minutes = steps, done, minutes
        self._since = self._last_line_s = time.perf_counter()
        self._visible, live = visible, visible and sys.stderr.isatty()
        self._bar = tqdm(
            total=steps, initial=done, desc=what, unit=unit, dynamic_ncols=True, disable=not live
        )
        self._live = live

    def update(self, done: int, terms: Mapping[str, float]) -> None:
        """Show the progress after a step."""
        now = time.perf_counter()
        if self._live:
            self._bar.set_postfix_str(_loss(terms), refresh=False)
            self._bar.update(done - self._bar.n)
        elif self._visible and (
            now - self._last_line_s >= EVERY_S or done == self._steps or done == self._first + 1
        ):
            self._last_line_s = now
            click.echo(self.line(done, terms, now - self._since), err=True)

    def count(self) -> None:
        """Advance the bar by one."""
        self._bar.update(1)

    def line(self, done: int, terms: Mapping[str, float], seconds: float) -> str:
        """Return step, loss, steps per second and remaining time."""
        rate = (done - self._first) / max(seconds, 1e-9)
        left = (self._steps - done) / max(rate, 1e-9)
        if self._minutes is not None:
            left = min(left, max(self._minutes * 60 - seconds, 0))
        share = 100 * done / self._steps
        where = f"step {done}/{self._steps} ({share:.0f} %)"
        return f"{where}  {_loss(terms)}  {rate:.3g} steps/s  {format_duration(left)} left"

    def say(self, text: str) -> None:
        """Write a separate line."""
        if self._live:
            self._bar.write(text, file=sys.stderr)
        elif self._visible:
            click.echo(text, err=True)

    def close(self) -> None:
        """Close the bar."""
        self._bar.close()


def _loss(terms: Mapping[str, float]) -> str:
    """Format the loss; there is none before the first point of the curve."""
    return f"loss {terms['total']:.4g}" if "total" in terms else "loss ..."


def format_duration(seconds: float) -> str:
    """Format seconds as ``h:mm:ss``."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
