"""Host memory: a check that a pair fits, before any work is done, and the errors if it does not.

Only pairs that certainly do not fit are refused: estimates are the least memory that a registration was seen
to take, and the available memory is what the limits of the process, of its container (cgroup v2) and of the
machine leave, including all that can be reclaimed.
"""

from __future__ import annotations

import contextlib
import errno
import math
import resource
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import OutOfMemoryError

# The least that the solver took in addition to the two scans, by benchmarks/registration/memory.py.
BYTES_PER_FIXED_VOXEL, BYTES_PER_MOVING_VOXEL, BYTES_OF_ALIGNMENT = 180, 30, 44
CGROUP = Path("/sys/fs/cgroup")
STRICT = "2"  # vm.overcommit_memory: no more address space than there is memory
# messages of the C library when a shared library does not fit
NOT_LOADED = ("failed to map segment", "cannot create shared object descriptor", "out of memory")


def needed_bytes(fixed: Sequence[int], moving: Sequence[int], deform: bool = True) -> int:
    """Return the memory that a registration of scans of these shapes takes at least."""
    per_fixed = BYTES_PER_FIXED_VOXEL if deform else BYTES_OF_ALIGNMENT
    return per_fixed * math.prod(fixed) + BYTES_PER_MOVING_VOXEL * math.prod(moving)


def check_room(fixed: Sequence[int], moving: Sequence[int], deform: bool = True) -> None:
    """Raise if a pair certainly does not fit into memory.

    Raises:
        OutOfMemoryError: It does not; the message says how much is needed and available.
    """
    needed = needed_bytes(fixed, moving, deform)
    room, where = min(rooms(), default=(math.inf, ""))
    if needed > room:
        raise shortage(fixed, moving, deform, f"and {int(room) >> 20} MB are left {where}")


def shortage(
    fixed: Sequence[int], moving: Sequence[int], deform: bool = True, available: str = "and there was less"
) -> OutOfMemoryError:
    """Return the error for a pair that does not fit into memory."""
    less = ", or leave the deformation out (deform=False)" if deform else ""
    return OutOfMemoryError(
        "MMREG_E_MEMORY",
        f"Scans of {_size(fixed)} and {_size(moving)} voxels need about "
        f"{needed_bytes(fixed, moving, deform) >> 20} MB of memory, {available}. Crop them, resample them to "
        f"a coarser grid{less}.",
    )


def rooms() -> list[tuple[float, str]]:
    """Return the bytes that each limit leaves to this process, and the limit in words."""
    return [*_address_space(), *_promised(), *_container(), *_machine()]


def mappable() -> float | None:
    """Return the bytes of address space that are left, or None if it is not limited."""
    return min((room for room, _ in (*_address_space(), *_promised())), default=None)


def translate_error(error: Exception) -> Exception:
    """Return an ``OutOfMemoryError`` for a library's error about memory, else ``error`` itself."""
    if isinstance(error, OutOfMemoryError) or not _is_shortage(error):
        return error
    room, where = min(rooms(), default=(math.inf, ""))
    left = f": {max(0, int(room)) >> 20} MB are left {where}" if room < math.inf else ""
    return OutOfMemoryError(
        "MMREG_E_MEMORY",
        f"There is not enough memory{left}. Crop the scans, resample them to a coarser grid, or "
        "raise the limit.",
    )


@contextlib.contextmanager
def translate_shortage() -> Iterator[None]:
    """Raise ``OutOfMemoryError`` in place of a library's error about memory."""
    try:
        yield
    except Exception as error:
        ours = translate_error(error)
        if ours is error:
            raise
        raise ours from error


def _is_shortage(error: BaseException | None) -> bool:
    if error is None or isinstance(error, MemoryError):
        return error is not None
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    if isinstance(error, ImportError) and any(words in str(error) for words in NOT_LOADED):
        return True
    # the errors of Python when an import or a codec runs out of memory
    return isinstance(error, ImportError | SystemError) and _is_shortage(error.__cause__ or error.__context__)


def _address_space() -> list[tuple[float, str]]:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return []
    pages = _text(Path("/proc/self/statm")).split()
    used = int(pages[0]) * resource.getpagesize() if pages else 0
    return [(limit - used, "of the address space of this process (ulimit -v)")]


def _promised() -> list[tuple[float, str]]:
    """Return what the machine can still commit, if it commits no more than it has."""
    facts = _table(Path("/proc/meminfo"))
    if _text(Path("/proc/sys/vm/overcommit_memory")).strip() != STRICT or "CommitLimit:" not in facts:
        return []
    left = (facts["CommitLimit:"] - facts.get("Committed_AS:", 0)) << 10
    return [(left, "to promise on this machine (vm.overcommit_memory=2)")]


def _container() -> list[tuple[float, str]]:
    """Return what the control groups of this process leave, from its own up to the root."""
    own = next((line[3:] for line in _text(Path("/proc/self/cgroup")).splitlines() if line[:3] == "0::"), "/")
    groups = CGROUP / own.strip("/")
    return [
        (room, "under the memory limit of the container (memory.max)")
        for group in (groups, *groups.parents)
        if group.is_relative_to(CGROUP) and (room := _room_of(group)) is not None
    ]


def _room_of(group: Path) -> float | None:
    limit, used = _text(group / "memory.max").strip(), _text(group / "memory.current").strip()
    if not (limit.isdecimal() and used.isdecimal()):
        return None
    kept = _table(group / "memory.stat")
    swap, swapped = _text(group / "memory.swap.max").strip(), _text(group / "memory.swap.current").strip()
    more = _swap_free() if swap == "max" else int(swap or 0) - int(swapped or 0)
    return int(limit) - int(used) + kept.get("file", 0) + kept.get("slab_reclaimable", 0) + max(0, more)


def _machine() -> list[tuple[float, str]]:
    facts = _table(Path("/proc/meminfo"))
    if "MemAvailable:" not in facts:
        return []
    return [((facts["MemAvailable:"] << 10) + _swap_free(), "on this machine")]


def _swap_free() -> int:
    return _table(Path("/proc/meminfo")).get("SwapFree:", 0) << 10


def _table(path: Path) -> dict[str, int]:
    rows = (line.split() for line in _text(path).splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdecimal()}


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
