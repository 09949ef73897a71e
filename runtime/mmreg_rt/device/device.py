"""The CUDA device of a registrar: its memory, its stream, and the room that a pair needs."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence

from .. import arguments
from ..errors import BackendUnavailableError, DeviceError, InputError

KINDS = ("cuda", "cuda_on_host")  # the second is the same operations compiled for the host, for tests

# Peak memory of the solver's queue, measured over pairs of unequal size (tests/solver/test_device.py checks
# it): the deformation works on the fixed grid, the inverse is computed on the moving one.
BYTES_PER_FIXED_VOXEL, BYTES_PER_MOVING_VOXEL, BYTES_PER_NETWORK_VOXEL = 184, 48, 64
# The pattern search for the verdict takes more, on grids that it does not halve first.
BYTES_PER_SEARCHED_VOXEL, MOST_SEARCHED_VOXELS = 330, 700_000
BYTES_AT_LEAST = 1 << 20


class Device:
    """A device and a queue on it, for one registration at a time; ``lock`` guards it.

    Args:
        name: ``"cuda"`` or ``"cuda:N"``.
        limit_bytes: Most memory that a registration may take; None allows all that is free.
        stream: The caller's stream to work on; see ``stream_handle``. None creates one.

    Raises:
        BackendUnavailableError: There is no such device, or it cannot be used. There is no fallback.
        DeviceError: The stream belongs to another device.
        InputError: The limit is not a positive whole number.
    """

    def __init__(self, name: str, limit_bytes: int | None = None, stream: object = None) -> None:
        import mmreg_rt._native as _native

        kind, _, number = name.partition(":")
        if kind not in KINDS or (":" in name and not (number.isdecimal() and len(number) < 4)):
            raise BackendUnavailableError(
                "MMREG_E_DEVICE", f"device must be 'cpu', 'cuda' or 'cuda:N'; got {name!r}. Use device='cpu'."
            )
        if limit_bytes is not None:
            limit_bytes = arguments.whole(
                limit_bytes, "memory_limit_bytes", 1, 1 << 63, "MMREG_E_MEMORY_LIMIT"
            )
        self.name, self.limit_bytes = name, limit_bytes
        handle = None if stream is None else stream_handle(stream)
        self.queue = _native.DeviceQueue(name, handle, stream)
        if handle is not None:
            self.queue.wait_for(handle)  # a stream of another device is refused here, not later
        self.lock = threading.Lock()

    def check_room(self, fixed: Sequence[int], moving: Sequence[int], network: Sequence[int] | None) -> None:
        """Raise unless a pair fits into device memory, before anything runs.

        Args:
            fixed: Shape of the fixed scan.
            moving: Shape of the moving scan.
            network: Shape of the grid on which a network runs; None without one.

        Raises:
            DeviceError: It does not fit; the message says how much is needed and free.
        """
        import mmreg_rt._native as _native

        needed = needed_bytes(fixed, moving, network)
        free = _native.device_facts(self.name)["free_bytes"] + self.queue.kept_bytes
        room = free if self.limit_bytes is None else min(free, self.limit_bytes)
        if needed > room:
            why = (
                "are allowed by memory_limit_bytes"
                if room == self.limit_bytes
                else f"are free on {self.name}"
            )
            raise DeviceError(
                "MMREG_E_DEVICE_MEMORY",
                f"Scans of {_size(fixed)} and {_size(moving)} voxels need about {needed >> 20} MB of device "
                f"memory, and {room >> 20} MB {why}. Resample them to a coarser grid, or use device='cpu'.",
            )


def stream_handle(stream: object) -> int:
    """Return the handle of a CUDA stream: a number, or a stream of torch, CuPy, PyCUDA or cuda-core.

    Raises:
        InputError: It is not a stream, or is the default stream, which is shared.
    """
    handle: object = stream
    if hasattr(stream, "__cuda_stream__"):  # cuda-core, and others that follow it: (version, handle)
        handle = int(stream.__cuda_stream__()[1])
    else:
        for name in ("cuda_stream", "ptr", "handle"):  # torch, CuPy, PyCUDA
            handle = getattr(stream, name, handle)
    if not isinstance(handle, int) or isinstance(handle, bool) or handle <= 2:
        raise InputError(
            "MMREG_E_STREAM",
            "stream must be a CUDA stream other than the default: a handle, or a stream of torch, CuPy, "
            f"PyCUDA or cuda-core; got {stream!r}. Create one: the default cannot be captured in a graph.",
        )
    return handle


def needed_bytes(fixed: Sequence[int], moving: Sequence[int], network: Sequence[int] | None = None) -> int:
    """Return the most device memory that a registration takes, without the library of a network."""
    voxels = math.prod(fixed)
    return (
        max(BYTES_PER_FIXED_VOXEL * voxels, BYTES_PER_SEARCHED_VOXEL * min(voxels, MOST_SEARCHED_VOXELS))
        + BYTES_PER_MOVING_VOXEL * math.prod(moving)
        + (0 if network is None else BYTES_PER_NETWORK_VOXEL * math.prod(network))
        + BYTES_AT_LEAST
    )


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
