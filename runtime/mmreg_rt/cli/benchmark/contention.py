"""Contention while a case is timed: busy processes, and filters on the same device."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np

from ...backends.session import usable_threads

# Runs until its standard input ends, which is when the parent closes it or has ended.
BUSY = """
import select, sys
print("busy", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    sum(range(50_000))
"""
TIMEOUT_S = 5.0
FILTERS_AHEAD = 4  # queued at once, so that the device does not wait for the host


@dataclass(frozen=True)
class Contention:
    """The competing work."""

    processes: int
    filters: bool  # on the device


@contextmanager
def under_contention(device: str, size: tuple[int, ...]) -> Iterator[Contention]:
    """Run as many busy processes as there are usable CPUs, and on a device filters of a volume of this size.

    Raises:
        DeviceError: The device has too little memory for the filters, or they failed.
    """
    on_device = device != "cpu"
    contention = Contention(usable_threads(0), on_device)
    with ExitStack() as ends:
        if on_device:
            ends.enter_context(_filters(device, size))
        ends.enter_context(busy_processes(contention.processes))
        yield contention


@contextmanager
def busy_processes(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run ``count`` processes that only compute; all are running when the block begins."""
    with ExitStack() as ends:
        processes = []
        for _ in range(count):
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", BUSY],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # a keyboard interrupt reaches them too
            )
            ends.callback(_end, process)
            processes.append(process)
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        yield processes


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        process.wait(TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


@contextmanager
def _filters(device: str, size: tuple[int, ...]) -> Iterator[None]:
    """Filter a volume repeatedly, in a thread and a queue of its own."""
    import mmreg_rt._native as _native

    queue = _native.DeviceQueue(device)
    noise = np.random.default_rng(2).random((1, *(1,) * (3 - len(size)), *size), np.float32)
    source, target = queue.allocate(noise.nbytes), queue.allocate(noise.nbytes)
    queue.upload(source, noise)
    volume, filtered = (queue.array(memory, noise.shape) for memory in (source, target))
    over, errors, last = threading.Event(), [], np.empty(4, np.uint8)

    def work() -> None:
        try:
            while not over.is_set():
                for _ in range(FILTERS_AHEAD):
                    _native.gaussian(volume, (2.0, 2.0, 2.0), out=filtered, target=queue)
                queue.download(last, target)  # waits
        except Exception as error:  # of the device: raised in the thread that measures
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if errors:
        raise errors[0]
