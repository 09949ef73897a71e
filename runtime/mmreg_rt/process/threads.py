"""Threads of this process: how many it may keep busy, and how many the system lets it start."""

from __future__ import annotations

import threading

from . import memory

MAX_THREADS = 1024  # of one registration


def usable() -> int:
    """Return the number that is used by default: the processors of this process.

    They are no more than the time that its control groups grant, as ``docker run --cpus`` sets it.
    """
    import mmreg_rt._native as _native

    return int(_native.usable_processors())


def startable(wanted: int) -> int:
    """Start so many threads, as far as the system gives them, and let them go again.

    Nothing is tried under a limit of the address space, where a thread that ran once keeps 64 MB for good.
    """
    if memory.mappable() is not None:
        return wanted
    end, started = threading.Event(), []
    try:
        for _ in range(wanted):
            thread = threading.Thread(target=end.wait, daemon=True)
            thread.start()
            started.append(thread)
    except (RuntimeError, MemoryError):  # limits of processes, of address space, of the container
        pass
    finally:
        end.set()
    for thread in started:
        thread.join()
    return len(started)
