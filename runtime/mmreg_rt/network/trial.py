"""Trial runs of untrusted networks, in a separate process with limits of time and memory.

The file itself is checked before (``onnx_model.validation``), but it is loaded by libraries of millions of
lines. In a trial they load it and compute the golden pair; if they crash, hang or take too much, only that
process ends. The bytes of the trial are the bytes that are loaded afterwards.

A successful trial is remembered, by its bytes, the library and its version, as long as this process lives.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import errors
from ..errors import BundleError, MmregError
from ..process.interpreter import import_path as _import_path
from ..process.interpreter import python as _python

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..onnx_model.footprint import Footprint

MEMORY_BYTES = 2 << 30  # of Python and a library before they load a network, with a margin
THREAD_BYTES = 64 << 20  # of each thread, for its stack and memory pool
SECONDS, SECONDS_ON_DEVICE = 60.0, 3600.0  # building an engine takes minutes
UNKNOWN_WORK_S = 600.0  # CPU time of a network whose work is not known
SLOW = 5e8  # multiply-adds per second of one slow core
BUSY = 5.0  # limit of wall time over CPU time, on a busy machine
POLL_S = 0.05
MAX_MESSAGE = 4000  # characters of a message of the other process

_CHILD = "import sys; sys.path[:] = {path!r}; from mmreg_rt.network.trial_child import main; main()"
_proven: set[str] = set()
_lock = threading.Lock()


@dataclass(frozen=True)
class Limits:
    """Limits of the process: memory in bytes, 0 for none; CPU time and wall time in s."""

    memory_bytes: int
    cpu_s: float
    wall_s: float

    @classmethod
    def of(cls, footprint: Footprint, model_bytes: int, device: str, threads: int) -> Limits:
        """Return the limits for a network with this footprint, with a margin for what libraries add."""
        if device != "cpu":  # drivers reserve address space at will
            return cls(0, SECONDS_ON_DEVICE, BUSY * SECONDS_ON_DEVICE)
        cpu_s = SECONDS + footprint.work / SLOW
        # convolutions as matrix products hold up to 27 copies of a volume
        network = 32 * footprint.peak_bytes + 8 * model_bytes
        return cls(MEMORY_BYTES + THREAD_BYTES * threads + network, cpu_s, BUSY * cpu_s)

    @classmethod
    def of_size(cls, peak_bytes: int, model_bytes: int, threads: int) -> Limits:
        """Return the limits for a network on the CPU of which only its largest memory is known."""
        memory = MEMORY_BYTES + THREAD_BYTES * threads + peak_bytes + 8 * model_bytes
        return cls(memory, UNKNOWN_WORK_S, BUSY * UNKNOWN_WORK_S)


@dataclass(frozen=True)
class Trial:
    """A trial: a network, the backend that runs it, and its input.

    ``task`` is ``"golden"``: reproduce the golden pair of the bundle; ``"build"``: compile with TensorRT for
    ``extents``; ``"run"``: run on empty images of ``extents``; or ``"deployed"``: the same for the files of a
    deployment, which follow each other in ``model`` with the names and sizes in ``parts``; or ``"memory"``:
    run such files often, and report the memory that they take. ``manifest`` and ``golden`` are the bytes of
    these files, if there is a bundle.
    """

    name: str
    model: bytes
    backend: str
    version: str
    precision: str
    threads: int
    device: str
    task: str = "golden"
    manifest: bytes = b""
    golden: bytes = b""
    stage: int = 0
    extents: tuple[int, ...] = ()
    parts: tuple[tuple[str, int], ...] = ()

    @property
    def key(self) -> str:
        """Key that identifies equal trials."""
        contents = [hashlib.sha256(part).hexdigest() for part in (self.manifest, self.golden, self.model)]
        run = (
            self.task,
            self.extents,
            self.parts,
            self.stage,
            self.backend,
            self.version,
            self.precision,
            self.device,
        )
        return "/".join(map(str, (*contents, *run)))


def prove(trial: Trial, limits: Limits) -> None:
    """Run a trial in another process, unless an equal one has succeeded before.

    Args:
        trial: What to run.
        limits: Limits of the process.

    Raises:
        BundleError: The process crashed or exceeded the limits, or the network was refused there.
    """
    key = trial.key
    with _lock:
        if key in _proven:
            return
    _try(trial, limits)
    with _lock:
        _proven.add(key)


def memory_bytes(trial: Trial, limits: Limits) -> int:
    """Return the memory that a process takes to load and run a network, its library not counted.

    Args:
        trial: What to run; its task is ``"memory"``.
        limits: Limits of the process.

    Raises:
        BundleError: The process crashed or exceeded the limits.
    """
    return int(_try(trial, limits)["memory_bytes"])


def _try(trial: Trial, limits: Limits) -> dict[str, Any]:
    """Run a trial in another process and return its answer."""
    head = {
        "task": trial.task,
        "extents": trial.extents,
        "parts": trial.parts,
        "stage": trial.stage,
        "backend": trial.backend,
        "precision": trial.precision,
        "threads": trial.threads,
        "device": trial.device,
        "limits": asdict(limits),
        "sizes": [len(trial.manifest), len(trial.golden), len(trial.model)],
    }
    head_line = json.dumps(head).encode() + b"\n"
    process = _start(trial, (head_line, trial.manifest, trial.golden, trial.model))
    try:
        answer, ended = _watch(process, limits)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    if ended is None and process.returncode == 0:
        return _checked_answer(answer, trial)
    raise _end(trial, limits, ended or _end_of(process.returncode), process.returncode)


def _start(trial: Trial, sent: Iterable[bytes]) -> subprocess.Popen[bytes]:
    command = [_python(), "-c", _CHILD.format(path=_import_path())]
    try:
        with tempfile.TemporaryFile() as content:  # unnamed; a pipe would have to be fed meanwhile
            content.writelines(sent)
            content.seek(0)
            return subprocess.Popen(
                command,
                stdin=content,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",  # the caller's may be deleted, or have modules of the same names
            )
    except (OSError, ValueError) as reason:
        raise BundleError(
            "MMREG_E_BUNDLE_TRIAL",
            f"The network of {trial.name!r} must be tried in a process of its own, and {command[0]!r} cannot "
            f"be started ({str(reason)[:200]}). Free memory, processes or room for temporary files, or use a "
            "bundle signed by a key that you trust.",
        ) from reason


def _watch(process: subprocess.Popen[bytes], limits: Limits) -> tuple[bytes, str | None]:
    """Wait for the answer; also return "time" or "memory" if a limit was exceeded."""
    until = time.monotonic() + limits.wall_s
    while True:
        try:
            return process.communicate(timeout=POLL_S)[0], None
        except subprocess.TimeoutExpired:
            pass
        if time.monotonic() > until:
            return b"", "time"
        if limits.memory_bytes and _resident_bytes(process.pid) > limits.memory_bytes:
            return b"", "memory"


def _resident_bytes(pid: int) -> int:
    """Return the resident memory of a process, or 0 if the system does not report it."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _end_of(code: int) -> str:
    """Return why a process ended without an answer: by its limits, or by a crash."""
    if code == -getattr(signal, "SIGXCPU", 0):
        return "time"
    if code == -signal.SIGKILL:  # by the kernel, which is out of memory
        return "memory"
    return "crash"


def _end(trial: Trial, limits: Limits, ended: str, code: int) -> BundleError:
    library = f"{trial.backend} {trial.version}".strip()
    what = f"The network of {trial.name!r}, tried by {library} in {trial.precision} in a process of its own,"
    advice = "The network is at fault: do not use it, and ask its author."
    if ended == "time":
        return BundleError(
            "MMREG_E_BUNDLE_TIME",
            f"{what} took more than {limits.cpu_s:.0f} s of processors, or {limits.wall_s:.0f} s in all. "
            f"{advice}",
        )
    if ended == "memory":
        return BundleError(
            "MMREG_E_BUNDLE_MEMORY",
            f"{what} took more than {limits.memory_bytes / 2**30:.1f} GiB, or more than this machine has "
            f"left. {advice}",
        )
    return BundleError("MMREG_E_BUNDLE_CRASH", f"{what} crashed it ({_signal(code)}). {advice}")


def _signal(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"exit {code}"


def _checked_answer(answer: bytes, trial: Trial) -> dict[str, Any]:
    """Return the answer of the other process, or raise the error in it."""
    try:
        report: Any = json.loads(answer)
        kind, code, words = (str(report.get(key, "")) for key in ("kind", "code", "words"))
    except (ValueError, AttributeError):
        raise BundleError(
            "MMREG_E_BUNDLE_CRASH",
            f"The process that tried the network of {trial.name!r} by {trial.backend} ended without an "
            "answer. Do not use it.",
        ) from None
    if not kind:
        return dict(report)
    error = getattr(errors, kind, BundleError)
    if not (isinstance(error, type) and issubclass(error, MmregError)):
        error = BundleError
    raise error(code, words[:MAX_MESSAGE])
