"""What is going on, on standard error: one line, rewritten, on a terminal; a line per stage elsewhere."""

from __future__ import annotations

import sys
import time

from .terminal import is_terminal, say

WORDS = {
    "phantom": "Generating the phantom",
    "read": "Reading",
    "check": "Checking",
    "preprocess": "Preparing",
    "align": "Alignment",
    "network": "Network",
    "deform": "Deformation",
    "finish": "Finishing",
    "score": "Scoring",
    "write": "Writing",
}


class Progress:
    """Called with the name of a stage and how much of it is done, 0 to 1."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet, self._live = quiet, is_terminal(sys.stderr)
        self._stage, self._since = "", time.perf_counter()
        self.seconds: dict[str, float] = {}  # of the stages that are over

    def __call__(self, stage: str, done: float) -> None:
        """Show it."""
        if stage != self._stage:
            self.close()
            self._stage, self._since = stage, time.perf_counter()
            if not (self._live or self._quiet):
                say(f"{WORDS.get(stage, stage)} ...", err=True)
        if self._live and not self._quiet:
            width = round(24 * min(max(done, 0.0), 1.0))
            bar = "█" * width + "░" * (24 - width)
            line = f"\r\x1b[K{WORDS.get(stage, stage):<24}{bar} {self._seconds():5.1f} s"
            say(line, err=True, nl=False)

    def close(self) -> None:
        """End the stage, and its line."""
        if self._stage:
            self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + self._seconds()
        if self._stage and self._live and not self._quiet:
            say(f"\r\x1b[K{WORDS.get(self._stage, self._stage):<24}{self._seconds():6.1f} s", err=True)
        self._stage = ""

    def running(self, stage: str) -> float:
        """Seconds since this stage began, if it is the one that runs."""
        return self._seconds() if stage == self._stage else 0.0

    def _seconds(self) -> float:
        return time.perf_counter() - self._since
