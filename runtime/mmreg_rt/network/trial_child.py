"""The child process of ``network.trial``: loads and runs one network under limits, and answers in JSON.

All its input comes from standard input; it imports nothing of the program that started it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..bundle.golden import GoldenPair
    from ..bundle.manifest import Manifest


@dataclass(frozen=True)
class _GoldenBundle:
    """The parts of a bundle that the self-test needs."""

    manifest: Manifest
    data: bytes

    def golden(self) -> GoldenPair:
        """Return the golden pair."""
        from ..bundle.golden import read_golden

        return read_golden(self.data, self.manifest)


def main() -> None:
    """Read the trial, run it and answer; the exit status is 0 whenever there is an answer."""
    answer = os.dup(1)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)  # libraries print to standard output
    source = sys.stdin.buffer
    head = json.loads(source.readline())
    _limit(head["limits"])
    manifest, golden, model = (source.read(size) for size in head["sizes"])
    report = _run_guarded(head, manifest, golden, model)
    with open(answer, "wb") as stream:
        stream.write(json.dumps(report).encode())
    os._exit(0)  # skip the cleanup of libraries, which is not part of the trial


def _limit(limits: dict[str, float]) -> None:
    """Limit memory and CPU time of this process, and disable core files."""
    import resource

    soft_limits = {resource.RLIMIT_CORE: 0, resource.RLIMIT_CPU: int(limits["cpu_s"]) + 1}
    if limits["memory_bytes"]:
        soft_limits[resource.RLIMIT_DATA] = int(limits["memory_bytes"])
    for kind, most in soft_limits.items():
        _, hard = resource.getrlimit(kind)
        within = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(OSError, ValueError):  # not supported here; the parent watches too
            resource.setrlimit(kind, (within, hard))


def _run_guarded(head: dict[str, Any], manifest: bytes, golden: bytes, model: bytes) -> dict[str, Any]:
    """Run the trial and return its answer, or its error, as plain data."""
    from ..errors import MmregError

    try:
        if head["task"] == "memory":
            return {"memory_bytes": _memory_bytes(head, model)}
        _run(head, manifest, golden, model)
    except MmregError as error:
        return {"kind": type(error).__name__, "code": error.code, "words": str(error.args[0])}
    except MemoryError:
        words = f"Loading or running it takes more than {head['limits']['memory_bytes'] / 2**30:.1f} GiB."
        return {"kind": "BundleError", "code": "MMREG_E_BUNDLE_MEMORY", "words": words}
    return {}


def _run(head: dict[str, Any], manifest: bytes, golden: bytes, model: bytes) -> None:
    if head["task"] == "build":
        _build(head, model)
        return
    if head["task"] == "deployed":
        _run_deployed(head, model)
        return
    from ..backends import by_name

    session = by_name(head["backend"]).load(
        model, precision=head["precision"], threads=head["threads"], device=head["device"]
    )
    if head["task"] == "run":
        session.prepare({spec.name: (1, 1, *head["extents"]) for spec in session.inputs})
        return
    from ..bundle.golden import self_test
    from ..bundle.manifest import parse_manifest

    bundle = _GoldenBundle(parse_manifest(manifest), golden)
    self_test(bundle, session.infer, head["precision"], head["stage"])


def _run_deployed(head: dict[str, Any], content: bytes) -> None:
    from ..backends.deployed import engine

    files = _files(head, content)
    session = engine(head["backend"]).load(files, precision=head["precision"], threads=head["threads"])
    session.prepare({spec.name: (1, 1, *head["extents"]) for spec in session.inputs})


def _files(head: dict[str, Any], content: bytes) -> dict[str, bytes]:
    files, start = {}, 0
    for name, size in head["parts"]:
        files[name] = content[start : start + size]
        start += size
    return files


def _memory_bytes(head: dict[str, Any], content: bytes) -> int:
    """Return by how much the peak of this process grows as it loads a network and runs it often."""
    import numpy as np

    from ..backends.deployed import engine

    files, chosen = _files(head, content), engine(head["backend"])
    __import__(head["backend"])  # the library is there once, whatever the network
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as peak:
        peak.write("5")  # forgets the peak before; without it the answer is larger
    before = _resident_bytes("VmRSS")
    session = chosen.load(files, precision=head["precision"], threads=head["threads"])
    shape = (1, 1, *head["extents"])
    images = {spec.name: np.zeros(shape, np.float32) for spec in session.inputs}
    for _ in range(10):  # ONNX Runtime takes memory up to its tenth run
        session.infer(images)
    return max(_resident_bytes("VmHWM") - before, 0)


def _resident_bytes(key: str) -> int:
    """Return a figure of the resident memory of this process: VmRSS now, VmHWM at its peak."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        (line,) = (line for line in status if line.startswith(f"{key}:"))
    return int(line.split()[1]) << 10


def _build(head: dict[str, Any], model: bytes) -> None:
    from ..backends.tensorrt.builder import Profile, build

    build(head["backend"], model, head["precision"], Profile.fixed(head["extents"]))
