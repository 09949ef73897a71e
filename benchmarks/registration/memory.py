"""Memory growth over many registrations, and the peak of one.

Run it as ``python -m benchmarks.registration.memory [RUNS] [SIDE]``; by default 2000 runs of 48^3.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import numpy as np

from mmreg_rt import Registrar


def resident_kb() -> int:
    """Return the current resident memory of this process in kB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024


def main(runs: int = 2000, side: int = 48) -> None:
    """Print the growth over the last half of the runs, and the peak."""
    rng = np.random.default_rng(0)
    ball = np.linalg.norm(np.indices((side,) * 3) - side / 2, axis=0) < side / 3
    pair = [(np.float32(ball * weight + rng.normal(0, 0.1, ball.shape)), np.eye(4)) for weight in (1, -2)]
    registrar, resident = Registrar(threads=2), []
    for _ in range(runs):
        registrar.register(*pair)
        resident.append(resident_kb())
    half = resident[len(resident) // 2 :]
    slope = np.polyfit(np.arange(len(half)), half, 1)[0] if len(half) > 1 else float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(
        f"{runs} runs of {side}^3: {slope:.2f} kB a run in the last half, {half[-1] >> 10} MB, peak {peak} MB"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
