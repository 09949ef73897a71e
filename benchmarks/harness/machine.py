"""Description of the machine, commit and versions, which makes results comparable."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def git(*words: str) -> str:
    """Run git in this checkout; return an empty string outside a repository or without git."""
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()


def cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")  # Linux
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line for line in lines if line.startswith("model name")]
    return names[0].split(":", 1)[1].strip() if names else platform.machine()


def versions(*packages: str) -> dict[str, str]:
    result = {"python": platform.python_version()}
    for package in packages:
        try:
            result[package] = version(package)
        except PackageNotFoundError:
            continue
    return result


def description() -> dict[str, Any]:
    """Return machine, load at the start, commit and versions, without the host name."""
    machine = {"cpu": cpu_name(), "cores": os.cpu_count(), "system": platform.system()}
    changed = git(
        "status", "--porcelain", "--untracked-files=no", "--", "cpp_ext", "runtime", "benchmarks/*.py"
    )
    return {
        "machine": machine,
        "load_at_start": [round(v, 2) for v in os.getloadavg()],
        "date": datetime.now(timezone.utc).date().isoformat(),
        "commit": git("rev-parse", "--short=12", "HEAD"),
        "uncommitted_changes": bool(changed),
        "versions": versions("numpy", "scipy", "nibabel", "mmreg-rt"),
    }
