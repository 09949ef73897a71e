"""Accuracy on known warps: endpoint error, Dice of tissues, folds, milliseconds.

    python -m benchmarks.accuracy.known_warps DATA [--bundles innreg.mmreg,mi.mmreg:solver,mind.mmreg]
        [--solver] [--run RUN ...] [--part test] [--most 40] [--longest-px 4 12] [--scale-px 32]
        [--results OUT.json] [--write DIR]

DATA is a description of aligned slices, or its folder (``prepare_aligned.py``). Every moving slice of the
part is deformed as in training (``mmreg_train.data.known_warps``), on its own grid, by a warp determined by
``--seed`` and the number of the slice. The pair is registered without affine alignment; with a bundle by its
network only, or with ``:solver`` refined. ``start`` is no registration.

The endpoint error is the mean distance between the resulting and the true displacement, in pixels of the
slice, where the fixed slice has a label (the head). Tissue labels of the moving slice are warped to the
nearest pixel and compared by Dice. Folds are the largest count of central and one-sided differences. Time is
that of ``Registrar.register``, after one warm-up call.

``--run`` are run folders of the bundles: it is an error if a person of the part was used to train them or to
select their best weights. ``--write`` writes every pair as input of ``mmreg register``:
DIR/CASE/fixed.nii.gz and moving.nii.gz.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.harness.bootstrap import paired_difference
from benchmarks.harness.machine import description
from mmreg_rt import Registrar, Volume, io
from mmreg_train.config.dataset import read_description
from mmreg_train.config.training import WarpSettings
from mmreg_train.data import seeding
from mmreg_train.data.cases import Case
from mmreg_train.data.known_warps import deform_pair
from mmreg_train.data.layouts import find_cases
from mmreg_train.data.splits import divide
from mmreg_train.engine.validation import endpoint_error, folded_percent, mean_dice
from mmreg_train.layers import warp_labels
from mmreg_train.methods import Batch

Array = NDArray[Any]
Result = dict[str, Any]
START = "start"
SOLVER = "solver"  # in a method's name: the native solver, alone or after a network


@dataclass(frozen=True)
class Pair:
    """A slice pair of one person with its truth; ``batch`` has one entry, in pixels of ``fixed``."""

    name: str
    person: str
    batch: Batch
    fixed: Volume
    moving: Volume


def split(names: str) -> list[str]:
    return [name for name in names.split(",") if name]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--bundles", type=split, default=[], help="bundles, optionally with :solver")
    parser.add_argument("--solver", action="store_true", help="also run the solver without a network")
    parser.add_argument("--run", type=Path, nargs="*", default=[], help="run folders of the bundles")
    parser.add_argument("--part", choices=("train", "val", "test"), default="test")
    parser.add_argument("--most", type=int, default=40, help="number of slices, spread evenly")
    parser.add_argument("--longest-px", type=float, nargs=2, default=(4.0, 12.0))
    parser.add_argument("--scale-px", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--backend", help="backend of the networks")
    parser.add_argument("--bootstrap", type=int, default=10_000, help="resamples of the interval")
    parser.add_argument("--write", type=Path, help="folder to write the pairs to, as NIfTI files")
    parser.add_argument("--results", type=Path, help="JSON file to write")
    return parser.parse_args()


def chosen(data: Path, part: str, most: int) -> list[Case]:
    """Return at most ``most`` cases of the part, spread evenly."""
    described, folder = read_description(data)
    cases = find_cases(described, folder)
    names = set(divide(cases, described.split, folder).cases[part])
    of_part = [case for case in cases if case.name in names]
    numbers = np.unique(np.linspace(0, len(of_part) - 1, min(most, len(of_part))).round().astype(int))
    return [of_part[number] for number in numbers]


def refuse_seen(cases: list[Case], runs: list[Path]) -> None:
    """Exit if a person was used in training or validation of one of the runs."""
    people = {person for case in cases for person in case.people}
    for run in runs:
        table = json.loads((run / "splits.json").read_text())["people"]
        seen = people & {*table["train"], *table["val"]}
        if seen:
            raise SystemExit(f"{run} was trained or validated on {', '.join(sorted(seen))}.")


def pair_of(case: Case, number: int, settings: WarpSettings, seed: int) -> Pair:
    """Return the aligned slices of a case with the moving one deformed."""
    read = {role: scan.read() for role, scan in case.scans.items()}
    images = {role: torch.from_numpy(read[role].as_float32())[None] for role in ("fixed", "moving")}
    labels = {
        role: torch.from_numpy(read[role].as_labels().astype(np.int64))
        for role in ("fixed_label", "moving_label")
    }
    generator = seeding.torch_generator(seed, seeding.VALIDATION, 1, number)
    batch = deform_pair(Batch(**images, **labels), settings, generator)
    moving = read["moving"].with_data(batch.moving[0].numpy())
    return Pair(case.name, case.people[0], batch, read["fixed"], moving)


def write(pair: Pair, folder: Path) -> None:
    """Write the two scans as files."""
    (folder / pair.name).mkdir(parents=True, exist_ok=True)
    for role in ("fixed", "moving"):
        io.write_image(getattr(pair, role), folder / pair.name / f"{role}.nii.gz")


def displacement_of(registrar: Registrar, pair: Pair) -> tuple[torch.Tensor, float]:
    """Register a pair; return the displacement in pixels, ``(1, 2, H, W)``, and the seconds."""
    begin = time.perf_counter()
    result = registrar.register(pair.fixed, pair.moving)
    seconds = time.perf_counter() - begin
    return in_pixels(result.transform.displacement_mm, pair.fixed.grid.affine), seconds


def in_pixels(u_mm: Array, affine: Array) -> torch.Tensor:
    """Convert a displacement (3, 1, H, W) along RAS+ in mm to (1, 2, H, W) along rows and columns."""
    u_vox = np.tensordot(np.linalg.inv(affine[:3, :3]), u_mm, 1)[:, 0]
    return torch.from_numpy(np.ascontiguousarray(u_vox[1:], np.float32))[None]


def scores(u: torch.Tensor, pair: Pair) -> Result:
    batch = pair.batch
    return {
        "endpoint_px": endpoint_error(u, batch),
        "dice": mean_dice(batch.fixed_label, warp_labels(batch.moving_label, u)),
        "folded_percent": folded_percent(u),
    }


def registrar_of(method: str, args: argparse.Namespace) -> Registrar:
    if method == SOLVER:
        return Registrar(align="none", threads=args.threads)
    bundle, _, after = method.partition(":")
    refine = after == SOLVER
    return Registrar(bundle, align="none", threads=args.threads, refine=refine, backend=args.backend)


def measure(method: str, pairs: list[Pair], args: argparse.Namespace) -> list[Result]:
    """Return one result per pair."""
    if method == START:
        return [scores(torch.zeros_like(pair.batch.displacement), pair) for pair in pairs]
    registrar = registrar_of(method, args)
    displacement_of(registrar, pairs[0])
    results = []
    for pair in pairs:
        u, seconds = displacement_of(registrar, pair)
        results.append(scores(u, pair) | {"ms": 1e3 * seconds})
    return results


def summary(results: list[Result], start: list[Result]) -> Result:
    """Return means over the pairs, the median time, and the remaining share of the starting error."""
    means = {
        key: float(np.mean([result[key] for result in results]))
        for key in ("endpoint_px", "dice", "folded_percent")
    }
    means["endpoint_of_start"] = means["endpoint_px"] / float(np.mean([s["endpoint_px"] for s in start]))
    if "ms" in results[0]:
        means["ms_p50"], means["ms_p99"] = np.percentile([r["ms"] for r in results], (50, 99)).tolist()
    return means


def differences(results: dict[str, list[Result]], resamples: int) -> Result:
    """Return the endpoint error of the first method minus that of each other one, paired."""
    first, *others = [name for name in results if name != START]
    errors = {name: [result["endpoint_px"] for result in of_method] for name, of_method in results.items()}
    return {other: paired_difference(errors[first], errors[other], resamples).as_dict() for other in others}


def line(method: str, means: Result) -> str:
    time_ms = f"  {means['ms_p50']:8.1f} ms" if "ms_p50" in means else ""
    return (
        f"{Path(method).name:36} {means['endpoint_px']:6.3f} px ({means['endpoint_of_start']:4.0%} of start)"
        f"  Dice {means['dice']:.4f}  J<=0 {means['folded_percent']:.3f} %{time_ms}"
    )


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    settings = WarpSettings(largest_vox=tuple(args.longest_px), scale_vox=args.scale_px)
    cases = chosen(args.data, args.part, args.most)
    refuse_seen(cases, args.run)
    pairs = [pair_of(case, number, settings, args.seed) for number, case in enumerate(cases)]
    for pair in pairs if args.write else []:
        write(pair, args.write)
    methods = [*args.bundles, *([SOLVER] if args.solver else []), START]
    results: dict[str, list[Result]] = {}
    start = measure(START, pairs, args)
    for method in methods:
        of_method = start if method == START else measure(method, pairs, args)
        results[Path(method).name] = of_method
        print(line(method, summary(of_method, start)), flush=True)
    report = {"benchmark": "known_warps", **description(), "data": read_description(args.data)[0].name}
    report |= {key: getattr(args, key) for key in ("part", "longest_px", "scale_px", "seed", "threads")}
    report["pairs"] = [{"name": pair.name, "person": pair.person} for pair in pairs]
    report["methods"] = {name: {"mean": summary(of, start), "pairs": of} for name, of in results.items()}
    if len(methods) > 2:
        report["endpoint_difference"] = differences(results, args.bootstrap)
    if args.results:
        args.results.parent.mkdir(parents=True, exist_ok=True)
        args.results.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
