"""``mmreg doctor``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from .exit_codes import DEVICE
from .options import json_option
from .terminal import print_json, print_result

if TYPE_CHECKING:
    from ..backends import Backend

ALL_TARGETS = ("avx512", "avx2", "baseline")
FORMAT = "mmreg-doctor/1"
NOT_NEEDED = "; not needed for the native solver"
NOT_NEEDED_GPU = "; not needed on the CPU"


class Finding(NamedTuple):
    """One line of the diagnosis."""

    what: str
    state: str  # ok, off (not available, not needed), bad
    words: str


@click.command()
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Report which CPU targets and backends work here, and why others do not.

    Each one that can run is tested, not only listed. The exit code is 5 if one of them computes wrongly, or
    if the solver cannot run.
    """
    findings = [*_versions(), *_targets(), *_threads(), *_backends()]
    bad = any(finding.state == "bad" for finding in findings)
    if as_json:
        print_json(
            {
                "format": FORMAT,
                "status": "failed" if bad else "ok",
                "ok": not bad,
                "findings": [finding._asdict() for finding in findings],
            }
        )
    else:
        width = max(len(finding.what) for finding in findings)
        for finding in findings:
            mark = {"ok": "ok ", "off": "-- ", "bad": "BAD"}[finding.state]
            print_result(f"{mark}  {finding.what:<{width}}  {finding.words}")
    ctx.exit(DEVICE if bad else 0)


def _versions() -> Iterator[Finding]:
    from ..report import versions

    yield Finding("versions", "ok", ", ".join(f"{name} {value}" for name, value in versions().items()))


def _targets() -> Iterator[Finding]:
    import mmreg_rt._native as _native

    runnable = _native.targets()
    for target in ALL_TARGETS:
        if target not in runnable:
            yield Finding(f"target {target}", "off", "not supported by this CPU; the next one is used")
        elif _wrong(target):
            yield Finding(
                f"target {target}", "bad", f"computes wrongly: {_wrong(target)}. Reinstall mmreg-rt."
            )
        else:
            best = " (chosen)" if target == runnable[0] else ""
            yield Finding(f"target {target}", "ok", f"computes correctly{best}")


def _wrong(target: str) -> str:
    """Return what is wrong with a target, or "": the Jacobian determinant of a known stretch is compared."""
    import numpy as np

    import mmreg_rt._native as _native

    shape = (9, 10, 37)
    factors = np.array([0.5, -0.25, 1.0], np.float32)
    u = np.indices(shape).astype(np.float32) * factors[:, None, None, None]
    determinant = _native.jacobian(u, target=target)
    correct = np.allclose(determinant, 1.5 * 0.75 * 2.0, rtol=1e-5)
    return "" if correct else f"Jacobian {determinant.flat[0]:g}, not 2.25"


def _threads() -> Iterator[Finding]:
    import mmreg_rt._native as _native

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    words = f"{allowed} of {os.cpu_count()} processors are available to this process"
    quota, used = _native.processor_quota(), _native.usable_processors()
    if 0 < quota < allowed:
        words += f", but its container grants the time of {quota:.1f}: {used} threads are used"
    yield Finding("threads", "ok", words)
    memory = _available_gib()
    if memory is not None:
        state = "ok" if memory >= 2 else "bad"
        yield Finding(
            "memory", state, f"{memory:.1f} GiB available; two scans of 200 x 200 x 200 need about 2"
        )


def _available_gib() -> float | None:
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        fields = {name: value for name, _, value in (line.partition(":") for line in lines)}
        return float(fields["MemAvailable"].split()[0]) / 2**20
    except (OSError, KeyError, ValueError):
        return None


def _backends() -> Iterator[Finding]:
    """Test the solver and each backend on each device, or report why it cannot run."""
    import mmreg_rt._native as _native

    from .. import backends

    yield Finding("native solver", "ok", "registers without a network")
    for name in backends.ON_CPU:
        yield _on_cpu(backends.by_name(name))
    yield from _two_onnxruntimes()
    reason = _native.why_no_device("cuda")
    yield Finding("native solver on cuda", "off", reason + NOT_NEEDED_GPU) if reason else _on_cuda()
    for name in backends.NAMES:
        if name != "openvino":
            yield _network_on_cuda(backends.by_name(name))


def _two_onnxruntimes() -> Iterator[Finding]:
    """Report two distributions in one folder: the later one has overwritten parts of the earlier one."""
    installed = [name for name in ("onnxruntime", "onnxruntime-gpu") if _installed(name)]
    if len(installed) == 2:
        yield Finding(
            "onnxruntime twice",
            "bad",
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other: pip uninstall "
            "both, then pip install 'mmreg-rt[gpu]' for an NVIDIA GPU, 'mmreg-rt[cpu]' otherwise",
        )


def _installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def _on_cuda() -> Finding:
    """Test the native operations on the GPU like a CPU target."""
    import mmreg_rt._native as _native

    facts = _native.device_facts("cuda")
    if wrong := _wrong("cuda"):
        return Finding("native solver on cuda", "bad", f"computes wrongly: {wrong}. Reinstall mmreg-rt.")
    free_gib = facts["free_bytes"] / 2**30
    words = f"{facts['name']}, {free_gib:.1f} GiB free, CUDA {facts['driver'] / 1000:.1f}: computes correctly"
    return Finding("native solver on cuda", "ok", words)


def _network_on_cuda(backend: Backend) -> Finding:
    from ..backends import smoke_test

    reason = backend.unavailable_reason("cuda")
    what = f"{backend.name} on cuda"
    if reason is not None:
        return Finding(what, "off", reason + NOT_NEEDED)
    wrong = smoke_test.what_is_wrong(backend, "cuda")
    if wrong is not None:
        return Finding(what, "bad", f"{wrong}. Reinstall it.")
    return Finding(what, "ok", "runs networks on the GPU and computes correctly")


def _on_cpu(backend: Backend) -> Finding:
    from ..backends import PRECISIONS, smoke_test

    reason = backend.unavailable_reason("cpu")
    if reason is not None:
        return Finding(backend.name, "off", reason + NOT_NEEDED)
    wrong = smoke_test.what_is_wrong(backend)
    if wrong is not None:
        return Finding(backend.name, "bad", f"{wrong}. Reinstall it.")
    without = {precision: backend.unavailable_reason("cpu", precision) for precision in PRECISIONS}
    able = [precision for precision, reason in without.items() if reason is None]
    unable = [f"not {precision}: {reason}" for precision, reason in without.items() if reason is not None]
    words = f"{version(backend.name)} runs networks on the CPU and computes correctly: {', '.join(able)}"
    if "int8" in able:
        unable.append(_eight_bits(smoke_test.saturates(backend)))
    return Finding(backend.name, "ok", "; ".join([words, *unable]))


def _eight_bits(saturates: bool) -> str:
    if saturates:
        return "int8: sums of 8-bit products saturate here; with 7-bit weights (`mmreg export`) they do not"
    return "int8: sums of 8-bit products are exact"
