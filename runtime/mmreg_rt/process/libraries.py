"""Checks that NumPy's linear algebra has the memory and threads it needs, before it is loaded.

OpenBLAS, which comes with NumPy, retries for ever if a limit of the address space denies it memory, and
interrupts the process if a thread cannot start. Python sees an error in neither case, so both are checked
first. OpenBLAS keeps the memory that it has once taken.
"""

from __future__ import annotations

import os
import sys

from ..errors import BackendUnavailableError, OutOfMemoryError
from . import memory, threads

# measured with /proc/self/statm around `import numpy`, rounded up
NUMPY_BYTES = 88 << 20
THREAD_BYTES = 40 << 20  # of each additional thread: stack and scratch memory
SCRATCH_BYTES = 34 << 20  # taken by the first product or determinant
MOST_THREADS = 64  # limit of OpenBLAS as NumPy builds it

_held = False


def prefer_one_thread() -> None:
    """Make OpenBLAS use one thread, unless the user has set a number: 4 x 4 matrices need no more."""
    if "numpy" not in sys.modules:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def check() -> None:
    """Raise if loading NumPy would hang or crash.

    Raises:
        OutOfMemoryError: The limit of the address space leaves too little memory.
        BackendUnavailableError: The threads of OpenBLAS cannot be started.
    """
    if "numpy" not in sys.modules:
        _check_room(NUMPY_BYTES + SCRATCH_BYTES + THREAD_BYTES * (_threads() - 1))
        _check_threads()
    hold_scratch()


def hold_scratch() -> None:
    """Make OpenBLAS allocate its memory now, if the address space is limited.

    Raises:
        OutOfMemoryError: There is not enough memory.
    """
    global _held  # the memory belongs to the process
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
    needed = _threads() - 1
    available = threads.startable(needed)
    if available < needed:
        raise BackendUnavailableError(
            "MMREG_E_PROCESSES",
            f"NumPy would start {needed} threads, but the system allows {available}. Set "
            "OPENBLAS_NUM_THREADS=1, or raise the limit of processes (ulimit -u, pids.max).",
        )


def _threads() -> int:
    """Return the number of threads of OpenBLAS, by its own rules."""
    for name in ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name, "")
        if value.isdecimal() and int(value) > 0:
            return min(int(value), _processors(), MOST_THREADS)
    return min(_processors(), MOST_THREADS)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
