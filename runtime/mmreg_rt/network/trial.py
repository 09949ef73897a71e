"""The first run of a network from elsewhere: in a process of its own, with limits of time and memory.

What can be checked of a file is checked before (``onnx_check``); what the libraries make of it is their code,
of millions of lines. Here they load it and compute the golden pair, and if they crash, hang or take too much,
the process that ends is not the caller's. The bytes that were tried are the bytes that are loaded afterwards.

A trial is remembered by what was tried, the library and its version for as long as this process lives, and
nowhere else.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import errors
from ..errors import BundleError, MmregError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..onnx_model.footprint import Footprint

MEMORY_BYTES = 2 << 30  # of Python and a library before they have seen a network, and room
THREAD_BYTES = 64 << 20  # of each thread, for its stack and its pool
SECONDS, SECONDS_ON_DEVICE = 60.0, 3600.0  # building an engine takes minutes
SLOW = 5e8  # multiply-adds in a second of one slow core
BUSY = 5.0  # how many times longer than its CPU time it may take, where others work too
POLL_S = 0.05
MOST_WORDS = 4000  # of what the other process says

_CHILD = "import sys; sys.path[:] = {path!r}; from mmreg_rt.network.trial_child import main; main()"
_proven: set[str] = set()
_lock = threading.Lock()


@dataclass(frozen=True)
class Limits:
    """What the process may take: memory in bytes, 0 for any; CPU time and time in seconds."""

    memory_bytes: int
    cpu_s: float
    wall_s: float

    @classmethod
    def of(cls, found: Footprint, model_bytes: int, device: str, threads: int) -> Limits:
        """For a network that takes this much on its golden pair, with room for how libraries work."""
        if device != "cpu":  # drivers reserve address space as they like
            return cls(0, SECONDS_ON_DEVICE, BUSY * SECONDS_ON_DEVICE)
        cpu_s = SECONDS + found.work / SLOW
        # convolutions by matrices hold up to 27 copies of a volume
        network = 32 * found.peak_bytes + 8 * model_bytes
        return cls(MEMORY_BYTES + THREAD_BYTES * threads + network, cpu_s, BUSY * cpu_s)


@dataclass(frozen=True)
class Trial:
    """What is tried: a network, who runs it, and on what.

    ``task`` is ``"golden"``: the golden pair of the bundle must come out right; ``"build"``: TensorRT
    compiles it for ``extents``; or ``"run"``: it runs on empty images of ``extents``. ``manifest`` and
    ``golden`` are the bytes of these files of the bundle, where there is one.
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

    @property
    def key(self) -> str:
        """The same for the same trial."""
        contents = [hashlib.sha256(part).hexdigest() for part in (self.manifest, self.golden, self.model)]
        run = (self.task, self.extents, self.stage, self.backend, self.version, self.precision, self.device)
        return "/".join(map(str, (*contents, *run)))


def prove(trial: Trial, limits: Limits) -> None:
    """Load the network and compute the golden pair elsewhere, unless this process has seen that it works.

    Raises:
        BundleError: The process crashed, or took more than the limits; or the network is refused as it would
            be here.
    """
    key = trial.key
    with _lock:
        if key in _proven:
            return
    _try(trial, limits)
    with _lock:
        _proven.add(key)


def _try(trial: Trial, limits: Limits) -> None:
    head = {
        "task": trial.task,
        "extents": trial.extents,
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
        said, ended = _watch(process, limits)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    if ended is None and process.returncode == 0:
        _raise_what_was_said(said, trial)
        return
    raise _end(trial, limits, ended or _end_of(process.returncode), process.returncode)


def _start(trial: Trial, sent: Iterable[bytes]) -> subprocess.Popen[bytes]:
    command = [_python(), "-c", _CHILD.format(path=_import_path())]
    try:
        with tempfile.TemporaryFile() as content:  # without a name; a pipe would have to be fed meanwhile
            content.writelines(sent)
            content.seek(0)
            return subprocess.Popen(
                command,
                stdin=content,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",  # that of the caller may be gone, or have modules of the same names
            )
    except (OSError, ValueError) as reason:
        raise BundleError(
            "MMREG_E_BUNDLE_TRIAL",
            f"The network of {trial.name!r} must be tried in a process of its own, and {command[0]!r} cannot "
            f"be started ({str(reason)[:200]}). Free memory, processes or room for temporary files, or use a "
            "bundle signed by a key that you trust.",
        ) from reason


def _python() -> str:
    """The interpreter; in a program that embeds one, that of its installation."""
    name = Path(sys.executable or "").name.lower()
    if name.startswith(("python", "pypy")):
        return sys.executable
    return str(Path(sys.exec_prefix, "bin", f"python{sys.version_info[0]}"))


def _import_path() -> list[str]:
    """Where modules come from, without what depends on the working folder of the other process."""
    try:
        here = Path.cwd()
    except OSError:  # it was removed
        return [each for each in sys.path if os.path.isabs(each)]
    return [str(here / each) for each in sys.path]


def _watch(process: subprocess.Popen[bytes], limits: Limits) -> tuple[bytes, str | None]:
    """Wait for the answer; and "time" or "memory" if the process must be ended for it."""
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
    """Memory of a process, where the system says it; else 0."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _end_of(code: int) -> str:
    """Why a process ended that said nothing: by its limits, or by a crash."""
    if code == -getattr(signal, "SIGXCPU", 0):
        return "time"
    if code == -signal.SIGKILL:  # by the kernel, which is out of memory
        return "memory"
    return "crash"


def _end(trial: Trial, limits: Limits, ended: str, code: int) -> BundleError:
    library = f"{trial.backend} {trial.version}".strip()
    what = f"The network of {trial.name!r}, tried by {library} in {trial.precision} in a process of its own,"
    advice = "The network is at fault: do not use it, and ask the one who made it."
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


def _raise_what_was_said(said: bytes, trial: Trial) -> None:
    """The error that was met there, as one of this process; nothing if there was none."""
    try:
        found: Any = json.loads(said)
        kind, code, words = (str(found.get(key, "")) for key in ("kind", "code", "words"))
    except (ValueError, AttributeError):
        raise BundleError(
            "MMREG_E_BUNDLE_CRASH",
            f"The process that tried the network of {trial.name!r} by {trial.backend} ended without an "
            "answer. Do not use it.",
        ) from None
    if not kind:
        return
    made = getattr(errors, kind, BundleError)
    if not (isinstance(made, type) and issubclass(made, MmregError)):
        made = BundleError
    raise made(code, words[:MOST_WORDS])
