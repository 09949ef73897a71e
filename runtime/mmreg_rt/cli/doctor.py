"""``mmreg doctor``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import click

from .exits import DEVICE
from .options import json_option

ALL_TARGETS = ("avx512", "avx2", "baseline")
# package, what it would be for, how to get it
BACKENDS = (
    ("onnxruntime", "networks on any CPU", "pip install 'mmreg-rt[cpu]'"),
    ("openvino", "networks on Intel and AMD CPUs, faster", "pip install 'mmreg-rt[openvino]'"),
    ("tensorrt", "networks on NVIDIA GPUs", "pip install 'mmreg-rt[tensorrt]'"),
)


class Finding(NamedTuple):
    """One line of the diagnosis."""

    what: str
    state: str  # ok, off (not available, not needed), bad
    words: str


@click.command()
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Say what runs on this machine, and what does not and why.

    Each CPU target is tried, not only listed. The exit code is 5 if the solver cannot run.
    """
    findings = [*_versions(), *_targets(), *_threads(), *_backends()]
    bad = any(finding.state == "bad" for finding in findings)
    if as_json:
        click.echo(json.dumps({"ok": not bad, "findings": [f._asdict() for f in findings]}, indent=2))
    else:
        width = max(len(finding.what) for finding in findings)
        for finding in findings:
            mark = {"ok": "ok ", "off": "-- ", "bad": "BAD"}[finding.state]
            click.echo(f"{mark}  {finding.what:<{width}}  {finding.words}")
    ctx.exit(DEVICE if bad else 0)


def _versions() -> Iterator[Finding]:
    from ..report import versions

    yield Finding("versions", "ok", ", ".join(f"{name} {value}" for name, value in versions().items()))


def _targets() -> Iterator[Finding]:
    import mmreg_rt._native as _native

    runnable = _native.targets()
    for target in ALL_TARGETS:
        if target not in runnable:
            yield Finding(f"target {target}", "off", "this CPU does not run it; the next one is used")
        elif _wrong(target):
            yield Finding(
                f"target {target}", "bad", f"computes wrongly: {_wrong(target)}. Reinstall mmreg-rt."
            )
        else:
            best = " (chosen)" if target == runnable[0] else ""
            yield Finding(f"target {target}", "ok", f"runs and computes rightly{best}")


def _wrong(target: str) -> str:
    """What is wrong with a CPU target, if anything: the volume change of a known stretch."""
    import numpy as np

    import mmreg_rt._native as _native

    shape = (9, 10, 37)
    factors = np.array([0.5, -0.25, 1.0], np.float32)
    u = np.indices(shape).astype(np.float32) * factors[:, None, None, None]
    found = _native.jacobian(u, target=target)
    return "" if np.allclose(found, 1.5 * 0.75 * 2.0, rtol=1e-5) else f"Jacobian {found.flat[0]:g}, not 2.25"


def _threads() -> Iterator[Finding]:
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    words = f"{allowed} of {os.cpu_count()} processors are this process's"
    quota = _quota()
    if quota is not None and quota < allowed:
        words += f", but a quota gives it the time of {quota:.1f}: use --threads {max(1, round(quota))}"
    yield Finding("threads", "ok", words)
    memory = _available_gib()
    if memory is not None:
        state = "ok" if memory >= 2 else "bad"
        yield Finding(
            "memory", state, f"{memory:.1f} GiB available; two scans of 200 x 200 x 200 need about 2"
        )


def _quota() -> float | None:
    """Processors' worth of time that the control group grants, if it limits it."""
    try:
        limit, period = Path("/sys/fs/cgroup/cpu.max").read_text("ascii").split()
        return None if limit == "max" else float(limit) / float(period)
    except (OSError, ValueError):
        return None


def _available_gib() -> float | None:
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        fields: dict[str, Any] = dict(line.split(":", 1) for line in lines)
        return float(fields["MemAvailable"].split()[0]) / 2**20
    except (OSError, KeyError, ValueError):
        return None


def _backends() -> Iterator[Finding]:
    yield Finding("native solver", "ok", "registers without any network or model")
    for package, purpose, install in BACKENDS:
        if find_spec(package) is None:
            yield Finding(
                package, "off", f"not installed ({purpose}); not needed for the native solver. {install}"
            )
        else:
            yield Finding(
                package, "off", f"installed ({purpose}), not used: this version runs no network yet"
            )
