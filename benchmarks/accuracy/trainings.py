"""A training as one step of a benchmark: begun, gone on with, or left alone where it is complete."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from mmreg_train.engine.checkpoint import LAST, read_checkpoint


def mmreg(*words: object) -> None:
    """A command of the package, in a process of its own.

    Raises:
        CalledProcessError: It failed, or a signal stopped it.
    """
    subprocess.run([sys.executable, "-m", "mmreg_rt", *map(str, words)], check=True)


def train(method: str, run: Path, steps: int, data: Path, threads: int, begin: Sequence[object]) -> None:
    """Bring the run of a folder to its last step.

    Args:
        method: Its name.
        run: The folder.
        steps: Of all its phases together.
        data: The description.
        threads: Of torch.
        begin: Words of the command that a new run has and one that goes on has not.

    Raises:
        CalledProcessError: The training failed, or a signal stopped it: call again to go on.
    """
    last = run / LAST
    if last.is_file() and read_checkpoint(last).step >= steps:
        return
    asked = ["--resume", run] if last.is_file() else [*begin, "-o", run]
    mmreg("train", method, *asked, "--data", data, "--threads", threads)
