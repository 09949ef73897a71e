"""Room for NumPy's linear algebra, checked before it is needed.

OpenBLAS, which NumPy brings, asks again and again for memory that a limit of the address space denies, and
interrupts the process where a thread cannot start. Neither ends in an error that Python sees, so both are
looked at first. What it has once taken it keeps.
"""

from __future__ import annotations

import os
import sys

from ..errors import BackendUnavailableError, OutOfMemoryError
from . import memory, threads

# measured by /proc/self/statm around `import numpy`, rounded up
NUMPY_BYTES = 88 << 20
THREAD_BYTES = 40 << 20  # of each further thread: its stack and its scratch memory
SCRATCH_BYTES = 34 << 20  # taken by the first product or determinant
MOST_THREADS = 64  # OpenBLAS as NumPy builds it

_held = False


def prefer_one_thread() -> None:
    """Ask OpenBLAS for no thread of its own, unless the user asked for some: 4 x 4 matrices need none."""
    if "numpy" not in sys.modules:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def check() -> None:
    """Refuse to load NumPy where it would not come back.

    Raises:
        OutOfMemoryError: The limit of the address space leaves too little.
        BackendUnavailableError: The threads that it would start cannot be started.
    """
    if "numpy" not in sys.modules:
        _check_room(NUMPY_BYTES + SCRATCH_BYTES + THREAD_BYTES * (_threads() - 1))
        _check_threads()
    hold_scratch()


def hold_scratch() -> None:
    """Let OpenBLAS take its memory now, where the address space is limited.

    Raises:
        OutOfMemoryError: There is no room for it.
    """
    global _held  # what it takes belongs to the process
    if _held or memory.mappable() is None:
        return
    import numpy as np

    _check_room(SCRATCH_BYTES)
    np.linalg.det(np.eye(2))
    _held = True


def _check_room(needed: int) -> None:
    room = memory.mappable()
    if room is None or room >= needed:
        return
    fewer = ", or set OPENBLAS_NUM_THREADS=1" if _threads() > 1 else ""
    raise OutOfMemoryError(
        "MMREG_E_MEMORY",
        f"NumPy needs about {needed >> 20} MB of address space, and {max(0, int(room)) >> 20} MB are left. "
        f"Raise the limit (ulimit -v){fewer}.",
    )


def _check_threads() -> None:
    wanted = _threads() - 1
    found = threads.startable(wanted)
    if found < wanted:
        raise BackendUnavailableError(
            "MMREG_E_PROCESSES",
            f"NumPy would start {wanted} threads, and the system gives {found}. Set OPENBLAS_NUM_THREADS=1, "
            "or raise the limit of processes (ulimit -u, pids.max).",
        )


def _threads() -> int:
    """Threads of OpenBLAS, by its own rules."""
    for name in ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS"):
        asked = os.environ.get(name, "")
        if asked.isdecimal() and int(asked) > 0:
            return min(int(asked), _processors(), MOST_THREADS)
    return min(_processors(), MOST_THREADS)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
