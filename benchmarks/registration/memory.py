"""Memory growth over many registrations, and the peak of one.

Run it as ``python -m benchmarks.registration.memory [RUNS] [SIDE]``; by default 2000 runs of 48^3.
Two figures are printed, since they mean different things: the memory in use is what the program has
allocated and not freed, so growth there is a leak; the resident memory also holds freed pages that the C
library keeps, and moves by steps of some megabytes with the order in which threads allocate.
"""

from __future__ import annotations

import ctypes
import resource
import sys
from pathlib import Path

import numpy as np

from mmreg_rt import Registrar


def resident_kb() -> int:
    """Return the current resident memory of this process in kB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024


class Mallinfo2(ctypes.Structure):
    """Memory of the C library's heap in bytes, as glibc's ``mallinfo2`` fills it."""

    _fields_ = (
        ("arena", ctypes.c_size_t),
        ("ordblks", ctypes.c_size_t),
        ("smblks", ctypes.c_size_t),
        ("hblks", ctypes.c_size_t),
        ("hblkhd", ctypes.c_size_t),
        ("usmblks", ctypes.c_size_t),
        ("fsmblks", ctypes.c_size_t),
        ("uordblks", ctypes.c_size_t),
        ("fordblks", ctypes.c_size_t),
        ("keepcost", ctypes.c_size_t),
    )


def in_use_kb() -> float:
    """Return the memory in kB that the C library has allocated and not freed, mappings included."""
    library = ctypes.CDLL("libc.so.6")
    library.mallinfo2.restype = Mallinfo2
    heap = library.mallinfo2()
    return (heap.uordblks + heap.hblkhd) / 1024


def slope_kb(values: np.ndarray) -> float:
    """Return the growth in kB for each run over the last half of the runs, by least squares."""
    half = values[len(values) // 2 :]
    return float(np.polyfit(np.arange(len(half)), half, 1)[0]) if len(half) > 1 else float("nan")


def main(runs: int = 2000, side: int = 48) -> None:
    """Print the growth over the last half of the runs, and the peak."""
    rng = np.random.default_rng(0)
    ball = np.linalg.norm(np.indices((side,) * 3) - side / 2, axis=0) < side / 3
    pair = [(np.float32(ball * weight + rng.normal(0, 0.1, ball.shape)), np.eye(4)) for weight in (1, -2)]
    registrar, memory_kb = Registrar(threads=2), np.empty((runs, 2))
    for run in range(runs):
        registrar.register(*pair)
        memory_kb[run] = resident_kb(), in_use_kb()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    resident, in_use = (slope_kb(column) for column in memory_kb.T)
    print(
        f"{runs} runs of {side}^3: resident {resident:.2f}, in use {in_use:.3f} kB a run in the last half; "
        f"{int(memory_kb[-1, 0]) >> 10} MB resident, peak {peak} MB"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
