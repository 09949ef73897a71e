"""Run one method on one task in a separate process.

    python -m benchmarks.registration.run_method METHOD TASK OUT

Writes OUT/disp.npy (float32 ``u``, see ``scoring.py``) and OUT/result.json: CPU and wall seconds of the
registration call only (this process and its children), peak resident memory, and the resident memory just
before the call. mmreg_rt also writes OUT/transform.nii.gz and OUT/inverse.nii.gz, the fields that a user
gets, and is scored on the field read back from the first.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

ALIGN = ("none", "affine")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("method", help="mmreg_rt, mmreg_rt+BUNDLE[:alone], or a peer of peers.py")
    parser.add_argument("task", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--align", choices=ALIGN, default="none")
    parser.add_argument("--backend", help="backend of the network of a bundle")
    parser.add_argument("--precision", default="fp32", help="precision of that network")
    return parser.parse_args()


def cpu_seconds() -> float:
    """Return user and system time of this process and of its finished children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def peak_mb() -> float:
    """Return the largest resident size so far of this process or of one of its children, in MiB.

    getrusage is not used for this process: on Linux its value starts at the size of the parent process.
    """
    status = Path("/proc/self/status")
    if status.exists():
        own_kb = float(re.search(r"VmHWM:\s+(\d+)", status.read_text()).group(1))
    else:
        own_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return max(own_kb, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


def plain(value: Any) -> Any:
    """Convert dataclasses, mappings, NumPy scalars and paths to JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return value.item() if hasattr(value, "item") else str(value)


def ours(args: argparse.Namespace, notes: dict[str, Any]) -> Any:
    """Return mmreg_rt with the interface of a peer; ``notes`` receives facts about its result.

    ``+BUNDLE`` uses a network before or within the solver, ``:alone`` omits the solver.
    """
    import mmreg_rt
    from benchmarks.harness.peers import Method, from_itk

    fixed, moving = (mmreg_rt.read_image(args.task / f"{side}.nii.gz") for side in ("fixed", "moving"))
    model, _, alone = args.method.partition("+")[2].partition(":")
    network: dict[str, Any] = {}
    if model:
        network = {"refine": not alone, "backend": args.backend, "precision": args.precision}
    registrar = mmreg_rt.Registrar(model or None, align=args.align, threads=args.threads, **network)

    def field(result: Any) -> Any:
        mmreg_rt.write_transform(result.transform, args.out / "transform.nii.gz")
        mmreg_rt.write_transform(result.inverse, args.out / "inverse.nii.gz")
        for name in ("seconds", "quality", "settings", "degraded", "warnings"):
            notes[name] = plain(getattr(result, name))
        return from_itk(args.out / "transform.nii.gz")

    return Method(lambda: registrar.register(fixed, moving), field)


def main() -> None:
    args = arguments()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
        os.environ[name] = str(args.threads)  # before the libraries are loaded
    import numpy as np

    from benchmarks.harness import peers

    args.out.mkdir(parents=True, exist_ok=True)
    notes: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        scans = (args.task / f"{side}.nii.gz" for side in ("fixed", "moving"))
        pair = peers.Pair(*scans, Path(folder), args.threads, args.align)
        method = ours(args, notes) if args.method.startswith("mmreg_rt") else peers.PEERS[args.method](pair)
        before = peak_mb()
        wall, cpu = time.perf_counter(), cpu_seconds()
        result = method.go()
        wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
        measured = {"cpu_s": cpu, "wall_s": wall, "peak_mb": peak_mb(), "before_mb": before}
        np.save(args.out / "disp.npy", method.field(result).astype(np.float32))
    report = {"method": args.method, "task": args.task.name, "threads": args.threads, **measured, **notes}
    (args.out / "result.json").write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
