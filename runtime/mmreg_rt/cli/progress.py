"""Progress on standard error: one line that is rewritten on a terminal, a line per stage elsewhere.

``click.progressbar`` has no stages, shows no time elapsed, and raises if the terminal has been closed, so
around it this class would not be shorter.
"""

from __future__ import annotations

import sys
import time

from .terminal import is_terminal, print_message

WORDS = {
    "phantom": "Generating the phantom",
    "read": "Reading",
    "check": "Checking",
    "align": "Alignment",
    "first pass": "First pass",
    "network": "Network",
    "deform": "Deformation",
    "finish": "Finishing",
    "score": "Scoring",
    "write": "Writing",
}


class Progress:
    """A progress display, called with the name of a stage and the share of it that is done, 0 to 1."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet, self._live = quiet, is_terminal(sys.stderr)
        self._stage, self._since = "", time.perf_counter()
        self.seconds: dict[str, float] = {}  # of finished stages

    def __call__(self, stage: str, done: float) -> None:
        """Show the stage."""
        if stage != self._stage:
            self.close()
            self._stage, self._since = stage, time.perf_counter()
            if not (self._live or self._quiet):
                print_message(f"{WORDS.get(stage, stage)} ...", err=True)
        if self._live and not self._quiet:
            width = round(24 * min(max(done, 0.0), 1.0))
            bar = "█" * width + "░" * (24 - width)
            line = f"\r\x1b[K{WORDS.get(stage, stage):<24}{bar} {self._seconds():5.1f} s"
            print_message(line, err=True, nl=False)

    def close(self) -> None:
        """End the stage and its line."""
        if self._stage:
            self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + self._seconds()
        if self._stage and self._live and not self._quiet:
            print_message(
                f"\r\x1b[K{WORDS.get(self._stage, self._stage):<24}{self._seconds():6.1f} s", err=True
            )
        self._stage = ""

    def elapsed(self, stage: str) -> float:
        """Return the seconds since this stage began, or 0 if it is not running."""
        return self._seconds() if stage == self._stage else 0.0

    def _seconds(self) -> float:
        return time.perf_counter() - self._since
