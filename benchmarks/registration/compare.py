"""Measure whole registrations of real pairs, mmreg_rt and its peers.

    python -m benchmarks.registration.compare --tasks DIR [--peers greedy,convexadam,ants,elastix]
        [--repeats 3] [--bundles masr,synth,synth:alone [--backend B] [--precision P]] [--once ants,elastix]
        [--peer-results DIR] [--align none|affine] [--groups t1_ct,abdomen] [--results OUT.json]

A task is a folder below DIR:

    fixed.nii.gz, moving.nii.gz          the scans; on one grid and affinely aligned, unless --align affine
    fixed_seg.nii.gz, moving_seg.nii.gz  labels on the grids of the scans (optional: Dice, HD95)
    fixed_lm.csv, moving_lm.csv          corresponding points, x,y,z in RAS mm (optional: TRE)
    meta.json                            {"labels": [ids to score]} (optional: all that both scans have)

``prepare_heldout.py`` writes this layout. With ``--align none`` only the deformable part is measured: every
method starts from the same alignment. With ``--align affine`` the scans are as acquired, on their own grids.

Every run is a separate process (``run_method.py``). Repeats are interleaved: each round runs every method
once; reported are the least CPU seconds of the rounds, and the mean of their scores (some peers differ from
run to run). Methods of ``--once`` run in the first round only. ``--bundles`` also runs mmreg_rt with
networks, by name or path of the bundle, refined by the solver or, with ``:alone``, not. With
``--peer-results`` the fields of DIR/TASK/METHOD/disp.npy, with the seconds in result.json beside them,
replace a run. Scores come from ``scoring.py``; folds of mmreg_rt are counted by ``folding.py`` on the written
files, in both directions, over the whole grid. A method that fails on a task is shown as failed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.bootstrap import paired_difference
from benchmarks.harness.folding import count, read_field
from benchmarks.harness.machine import ROOT, description
from benchmarks.harness.peers import PEERS, installed_version, why_missing
from benchmarks.harness.scoring import read, score

OURS = "mmreg_rt"
START = "start"  # no deformation: the start of every method
# names of the methods in the peer study
EARLIER_NAMES = {
    "greedy_nmi": "greedy",
    "ants_syn_mattes": "ants",
    "elastix_mi": "elastix",
    "identity": START,
}
Result = dict[str, Any]


def split(names: str) -> list[str]:
    return [name for name in names.split(",") if name]


def arguments() -> argparse.Namespace:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--tasks", type=Path, required=True)
    parser.add_argument("--only", type=split, default=[], help="names of tasks; default: all")
    parser.add_argument("--peers", type=split, default=list(PEERS), help="missing ones are reported, too")
    parser.add_argument("--bundles", type=split, default=[], help="bundles, optionally with :alone")
    parser.add_argument("--backend", help="backend of the networks of bundles")
    parser.add_argument("--precision", default="fp32", help="precision of the networks of bundles")
    parser.add_argument("--once", type=split, default=[], help="methods to run in the first round only")
    parser.add_argument("--without-ours", action="store_true", help="run the peers only")
    parser.add_argument("--peer-results", type=Path, help="folder with results of an earlier run")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--align", choices=("none", "affine"), default="none")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--timeout-s", type=float, default=1800)
    parser.add_argument(
        "--groups", type=split, default=[], help="prefixes of task names to compare separately"
    )
    parser.add_argument("--bootstrap", type=int, default=10_000, help="resamples of the interval")
    parser.add_argument("--work", type=Path, help="folder to keep fields and logs; usable as --peer-results")
    parser.add_argument("--results", type=Path, help="JSON file to write")
    return parser.parse_args()


def start_process(method: str, task: Path, out: Path, args: argparse.Namespace) -> str:
    """Run ``run_method.py``; return why it failed, or an empty string."""
    options = ["--threads", str(args.threads), "--align", args.align, "--precision", args.precision]
    options += ["--backend", args.backend] if args.backend else []
    program = [sys.executable, "-m", "benchmarks.registration.run_method"]
    command = [*program, method, str(task.resolve()), str(out.resolve()), *options]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=args.timeout_s)
    except subprocess.TimeoutExpired:
        return f"no result within {args.timeout_s:.0f} s"
    if not done.returncode:
        return ""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"exit status {done.returncode}"


def folds(out: Path) -> Result:
    """Count the folds of the two written fields, each on its own whole grid."""
    fields = {"forward": "transform.nii.gz", "inverse": "inverse.nii.gz"}
    return {way: count(read_field(out / name)[0]).as_dict() for way, name in fields.items()}


def run(method: str, task: Path, out: Path, args: argparse.Namespace, before: list[Result]) -> Result:
    """Run a method in a new process and score it; scores of earlier runs with an equal field are reused."""
    failed = start_process(method, task, out, args)
    if failed:
        return {"failed": failed}
    result: Result = json.loads((out / "result.json").read_text())
    field = np.load(out / "disp.npy")
    result["sha256"] = hashlib.sha256(field.tobytes()).hexdigest()
    same = [r["scores"] for r in before if r["sha256"] == result["sha256"]]
    result["scores"] = (
        same[0] if same else score(task, field) | ({"folds": folds(out)} if method.startswith(OURS) else {})
    )
    return result


def combined(runs: list[Result]) -> Result:
    """Combine the repeats: least seconds, largest memory, mean scores (programs may differ by run)."""
    failed = [r for r in runs if "failed" in r]
    if failed:
        return failed[0]
    figures: Result = {key: min(r[key] for r in runs) for key in ("cpu_s", "wall_s")}
    figures |= {key: max(r[key] for r in runs) for key in ("peak_mb", "before_mb")}
    figures["cpu_s_all"] = [round(r["cpu_s"], 3) for r in runs]
    figures["identical_runs"] = len({r["sha256"] for r in runs}) == 1
    notes = ("seconds", "quality", "settings", "degraded", "warnings")
    figures |= {key: runs[-1][key] for key in notes if key in runs[-1]}
    scores = [r["scores"] for r in runs]
    for key, value in scores[-1].items():
        figures[key] = float(np.mean([s[key] for s in scores])) if isinstance(value, float) else value
    if "dice" in figures:
        figures["dice_all"] = [round(s["dice"], 4) for s in scores]
    return figures


def earlier(task: Path, folder: Path) -> dict[str, Result]:
    """Return results of an earlier run for this task, scored here; incomplete runs have no result.json."""
    results: dict[str, Result] = {}
    for path in sorted((folder / task.name).glob("*/result.json")):
        name = EARLIER_NAMES.get(path.parent.name, path.parent.name)
        if name != START and not name.startswith(OURS):
            old = json.loads(path.read_text())
            kept = {key: old[key] for key in ("cpu_s", "wall_s", "peak_mb") if key in old}
            results[name] = kept | score(task, np.load(path.with_name("disp.npy"))) | {"earlier_run": True}
    return results


def folder_of(method: str) -> str:
    """Return the folder name of a method, which may be the path of a bundle."""
    return method.replace("/", "_")


def interleaved(task: Path, work: Path, args: argparse.Namespace) -> dict[str, Result]:
    """Run every method once per round, so that a disturbance of the machine affects all of them."""
    ours = [OURS, *(f"{OURS}+{bundle}" for bundle in args.bundles)]
    reasons = {peer: why_missing(peer) for peer in args.peers}
    absent: dict[str, Result] = {
        peer: {"failed": why, "missing": True} for peer, why in reasons.items() if why
    }
    methods = ([] if args.without_ours else ours) + [peer for peer in args.peers if peer not in absent]
    runs: dict[str, list[Result]] = {method: [] for method in methods}
    for repeat in range(args.repeats):
        for method, done in runs.items():
            failed = any("failed" in r for r in done)
            if not failed and (repeat == 0 or method not in args.once):
                done.append(run(method, task, work / task.name / folder_of(method), args, done))
    return absent | {method: combined(done) for method, done in runs.items()}


def measure(task: Path, work: Path, args: argparse.Namespace) -> Result:
    """Run all methods on one task, and score the start."""
    fixed = read(task / "fixed.nii.gz")
    results = {START: score(task, np.zeros((*fixed.values.shape, 3), np.float32))}
    if args.peer_results:
        results |= earlier(task, args.peer_results)
    results |= interleaved(task, work, args)
    spacing = [round(float(s), 4) for s in fixed.spacing_mm]
    return {"name": task.name, "shape": fixed.values.shape, "spacing_mm": spacing, "results": results}


def differences(tasks: list[Result], resamples: int) -> Result:
    """Return paired Dice differences of mmreg_rt to each other method, over common tasks."""
    others = sorted({m for t in tasks for m in t["results"]} - {OURS})
    result = {}
    for other in others:
        both = [t["results"] for t in tasks if all("dice" in t["results"].get(m, {}) for m in (OURS, other))]
        if both and resamples:
            pairs = ([r[m]["dice"] for r in both] for m in (OURS, other))
            result[other] = paired_difference(*pairs, resamples).as_dict()
    return result


def of_group(prefix: str, tasks: list[Result], args: argparse.Namespace) -> Result:
    """Return ``differences`` over the tasks whose names have a prefix."""
    return differences([task for task in tasks if task["name"].startswith(prefix)], args.bootstrap)


def line(task: str, method: str, r: Result) -> str:
    if "failed" in r:
        return f"{task:28} {method:12} {'' if r.get('missing') else 'failed: '}{r['failed']}"
    names = {
        "dice": "Dice",
        "hd95_mm": "HD95",
        "tre_mm": "TRE",
        "tre_p95_mm": "p95",
        "folded_percent": "J<=0 %",
        "cpu_s": "CPU s",
    }
    cells = [f"{name} {r[key]:.3f}" for key, name in names.items() if key in r]
    if "folds" in r:
        cells.append("folds " + " + ".join(str(f["total"]) for f in r["folds"].values()))
    return f"{task:28} {method:12} " + "  ".join(cells)


def summary(difference: Result) -> str:
    """Format one line per other method: mean Dice difference with its 95 % interval."""
    text = "Dice minus {}: {mean:+.4f} [{low:+.4f}, {high:+.4f}], {pairs} pairs, {won} won, {lost} lost"
    return "\n".join(text.format(other, **d) for other, d in difference.items())


def main() -> None:
    args = arguments()
    tasks = sorted(path.parent for path in args.tasks.glob("*/fixed.nii.gz"))
    tasks = [t for t in tasks if not args.only or t.name in args.only]
    if not tasks:
        raise SystemExit(f"no task in {args.tasks}; a task is a folder with fixed.nii.gz and moving.nii.gz")
    settings = {
        key: getattr(args, key)
        for key in ("align", "threads", "repeats", "once", "bundles", "precision", "bootstrap")
    }
    versions = {peer: installed_version(peer) for peer in PEERS}
    report: Result = {
        "benchmark": "registration",
        **description(),
        "peers": versions,
        **settings,
        "tasks": [],
    }
    with tempfile.TemporaryDirectory() as folder:
        for task in tasks:
            report["tasks"].append(measure(task, args.work or Path(folder), args))
            for method, result in report["tasks"][-1]["results"].items():
                print(line(task.name, method, result), flush=True)
            report["dice_difference"] = differences(report["tasks"], args.bootstrap)
            report["groups"] = {group: of_group(group, report["tasks"], args) for group in args.groups}
            if args.results:  # after every task, so that an interrupted run keeps what it has
                args.results.parent.mkdir(parents=True, exist_ok=True)
                args.results.write_text(json.dumps(report, indent=1) + "\n")
    print(summary(report["dice_difference"]))
    for group, difference in report["groups"].items():
        print(f"{group}:", summary(difference), sep="\n")


if __name__ == "__main__":
    main()
