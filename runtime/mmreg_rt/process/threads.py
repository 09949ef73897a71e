"""Threads of this process: how many processors it may use, and how many threads it can start."""

from __future__ import annotations

import threading

from . import memory

MAX_THREADS = 1024  # of one registration


def usable() -> int:
    """Return the default number of threads: the processors that this process may use.

    They are limited by the CPU time of its control groups, as ``docker run --cpus`` sets it.
    """
    import mmreg_rt._native as _native

    return int(_native.usable_processors())


def startable(count: int) -> int:
    """Return how many of ``count`` threads the system lets this process start, by starting them briefly.

    With a limit of the address space none is started, because each would keep 64 MB of it; ``count`` is
    returned.
    """
    if memory.mappable() is not None:
        return count
    end, started = threading.Event(), []
    try:
        for _ in range(count):
            thread = threading.Thread(target=end.wait, daemon=True)
            thread.start()
            started.append(thread)
    except (RuntimeError, MemoryError):  # a limit of processes, of memory, or of the container
        pass
    finally:
        end.set()
    for thread in started:
        thread.join()
    return len(started)


def shortage(used: int | None, requested: int | None) -> tuple[str, ...]:
    """Return a warning if the system gave fewer threads than requested, else nothing.

    Args:
        used: Threads that ran; None on a device.
        requested: Threads that were requested; None is ``usable()``.
    """
    expected = requested or usable()
    if used is None or used >= expected:
        return ()
    return (
        f"{used} of {expected} threads were used: the system gives no more (limits of processes, of address "
        "space or of the container)",
    )
