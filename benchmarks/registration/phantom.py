"""Register digital heads with a known transform through the command line, as a user would.

    python -m benchmarks.registration.phantom [--seeds 0,1,2,3,4] [--threads N] [--results OUT.json]
        [--keep DIR]

Each seed is a different head, deformation, pose and noise (``mmreg demo --seed``). Errors are distances to
the truth over all voxels of the head. Every run is a separate process; CPU seconds and memory are those of
that process and include generating, reading, writing and the report; ``seconds`` are those of the stages.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.harness.machine import description

ERRORS = ("start_error_mm", "mean_error_mm", "p95_error_mm", "max_error_mm")


def run(seed: int, threads: int | None, folder: Path) -> dict[str, Any]:
    """Return errors, seconds of each stage, folds, and costs of the process for one head."""
    command = [sys.executable, "-m", "mmreg_rt", "demo", "--json", "--seed", str(seed), "-o", str(folder)]
    if threads is not None:
        command += ["--threads", str(threads)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if not done.stdout.strip():
        sys.exit(f"seed {seed}: exit code {done.returncode}\n{done.stderr}")
    result = json.loads(done.stdout)
    if result["status"] != "ok":
        return {"seed": seed, "exit_code": done.returncode, "error": result["error"]}
    return {
        "seed": seed,
        "exit_code": done.returncode,
        "verdict": result["verdict"],
        **{key: round(result[key], 4) for key in ERRORS},
        "folded_voxels": result["quality"]["folded_voxels"] + result["quality"]["inverse_folded_voxels"],
        "seconds": {stage: round(seconds, 3) for stage, seconds in result["seconds"].items()},
        "process_cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2),
        "peak_memory_mib": round(after.ru_maxrss / 1024),  # the largest of the runs so far
    }


def line(one: dict[str, Any]) -> str:
    if "error" in one:
        return f"{one['seed']:>4}  {one['error']['code']}: {one['error']['message']}"
    errors = "  ".join(f"{one[key]:7.2f}" for key in ERRORS)
    total = one["seconds"]["total"]
    return f"{one['seed']:>4}  {errors}  {one['folded_voxels']:>5}  {total:7.2f}  {one['verdict']}"


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument(
        "--seeds", type=lambda text: [int(s) for s in text.split(",")], default=[0, 1, 2, 3, 4]
    )
    parser.add_argument("--threads", type=int)
    parser.add_argument("--results", type=Path, help="JSON file to write")
    parser.add_argument("--keep", type=Path, help="folder to keep scans, results and reports")
    args = parser.parse_args()
    print("seed    start     mean      95 %      max  folds  seconds  verdict   (mm over the head)")
    runs = []
    with tempfile.TemporaryDirectory() as scratch:
        for seed in args.seeds:
            runs.append(run(seed, args.threads, (args.keep or Path(scratch)) / f"seed_{seed}"))
            print(line(runs[-1]), flush=True)
    if args.results:
        report = {"machine": description(), "threads": args.threads, "runs": runs}
        args.results.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
