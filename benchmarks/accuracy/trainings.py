"""Trainings as steps of a benchmark: started, resumed, or skipped if complete."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from mmreg_train.engine.checkpoint import LAST, read_checkpoint


def mmreg(*words: object) -> None:
    """Run an mmreg command in a subprocess.

    Raises:
        CalledProcessError: It failed, or was stopped by a signal.
    """
    subprocess.run([sys.executable, "-m", "mmreg_rt", *map(str, words)], check=True)


def train(method: str, run: Path, steps: int, data: Path, threads: int, begin: Sequence[object]) -> None:
    """Train a run until its last step, resuming it if it exists.

    Args:
        method: Its name.
        run: The run folder.
        steps: Steps of all its phases together.
        data: The data description.
        threads: Threads of torch.
        begin: Command-line options of a new run, which a resumed run does not get.

    Raises:
        CalledProcessError: The training failed, or was stopped by a signal: call again to resume.
    """
    last = run / LAST
    if last.is_file() and read_checkpoint(last).step >= steps:
        return
    options = ["--resume", run] if last.is_file() else [*begin, "-o", run]
    mmreg("train", method, *options, "--data", data, "--threads", threads)
