"""Time the native operations and the best library for each, on one grid.

    python -m benchmarks.kernels.measure [--shape 160 192 224] [--only warp ...] [--threads 1 2] [--rounds 7]

Needs SciPy; other libraries take part if installed, and rows list the missing ones. A row gives ns per voxel,
the time of copying the same bytes as a fraction of it (1 is the limit of the memory), and the speed-up over
the best library of the same run. Every answer is checked first: a fast wrong one stops the run. Rows are
registered in ``cases_*.py``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.harness.machine import ROOT, description, versions
from benchmarks.harness.timer import COPY, Timing, copy_bandwidth, race
from benchmarks.kernels.case import CASES, Case, Library, Shape, limit_threads, made
from mmreg_rt import _native

RESULTS = ROOT / "benchmarks" / "results"
Row = dict[str, Any]
HEADER = "operation                        target     thr  ns/voxel    iqr  of copy  x best  best library"


def load_cases() -> None:
    sys.path.append(str(ROOT / "tests"))  # for the slow twins of the operations
    for path in sorted(Path(__file__).parent.glob("cases_*.py")):
        import_module(f"{__package__}.{path.stem}")


def check(name: str, case: Case, targets: list[str]) -> dict[str, float]:
    errors = {}
    for target in targets:
        error, allowed = case.check(case.run(target, 0))
        if not error <= allowed:
            raise SystemExit(f"{name} on {target} is wrong: error {error:.3g}, allowed {allowed:.3g}")
        errors[target] = float(error)
    return errors


def row(
    name: str,
    case: Case,
    libraries: dict[str, Library],
    contender: str,
    threads: int,
    times: dict[str, Timing],
) -> Row:
    time, best = times[contender], min(libraries, key=lambda k: times[k].median_s, default=None)
    copy_s = case.bytes / copy_bandwidth(times[COPY])
    return {
        "operation": name,
        "contender": contender,
        "native": contender not in libraries,
        "threads": threads,
        "ns_per_voxel": time.median_s / case.voxels * 1e9,
        "iqr_ns_per_voxel": time.iqr_s / case.voxels * 1e9,
        "bytes_per_voxel": case.bytes / case.voxels,
        "copy_bound_ns_per_voxel": copy_s / case.voxels * 1e9,
        "fraction_of_copy": copy_s / time.median_s,
        "best_library": best,
        "times_best_library": times[best].median_s / time.median_s if best else None,
        **asdict(time),
    }


def line(r: Row) -> str:
    if "missing" in r:
        return f"{r['operation']:32} {r['contender']:10} {r['missing']}"
    ratio = f"{r['times_best_library']:7.1f}" if r["times_best_library"] else "      -"
    return (
        f"{r['operation']:32} {r['contender']:10} {r['threads']:3} {r['ns_per_voxel']:9.2f} "
        f"{r['iqr_ns_per_voxel']:6.2f} {r['fraction_of_copy']:8.2f} {ratio}  {r['best_library'] or '-'}"
    )


def measure(name: str, shape: Shape, threads: list[int], targets: list[str], rounds: int) -> list[Row]:
    case = CASES[name](shape)
    errors = check(name, case, targets)
    libraries, missing = made(case)
    rows: list[Row] = []
    for count in threads:
        limit_threads(count)
        tasks = {target: partial(case.run, target, count) for target in targets}
        times = race({**tasks, **libraries}, count, rounds)
        rows += [row(name, case, libraries, contender, count, times) for contender in (*tasks, *libraries)]
    for r in rows:
        r["largest_error"] = errors.get(r["contender"])
    rows += [{"operation": name, "contender": peer, "missing": why} for peer, why in missing.items()]
    for r in rows:
        print(line(r), flush=True)
    return rows


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", type=int, nargs=3, default=(160, 192, 224))
    parser.add_argument("--only", nargs="+", default=[""], help="prefixes of the rows to run")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--targets", nargs="+", default=_native.targets())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, default=RESULTS / "kernels.json")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # spinning threads slow down the others
    args.output.parent.mkdir(parents=True, exist_ok=True)
    load_cases()
    print(HEADER)
    report = {**description(), "shape": args.shape, "rows": []}
    report["versions"] |= versions("torch", "SimpleITK", "onnxruntime")
    for name in CASES:
        if name.startswith(tuple(args.only)):
            report["rows"] += measure(name, tuple(args.shape), args.threads, args.targets, args.rounds)
            # after every row, so that an interrupted run keeps its results
            args.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
