"""Register end-diastolic to end-systolic heart slices with several methods, as in the LDM-Morph paper.

    python -m benchmarks.accuracy.cardiac camus --data DATA --splits OUT/camus_paper.json
        --methods start solver syn ldm=runs/ldm.mmreg voxelmorph=runs/vxm.mmreg
        [--against voxelmorph] [--threads 2] [--results benchmarks/results/accuracy/camus_paper.json]

DATA and the splits are those of ``prepare_cardiac.py``. A method is ``start`` (no deformation), ``solver``
(mmreg_rt without a network), ``syn`` (antspyx, cross-correlation) or NAME=BUNDLE; with several splits, the
folds of a cross-validation, NAME=BUNDLE,BUNDLE,... has one for each. A NAME that ends in ``+solver`` runs the
network and then the solver. Only people of the test part are registered.

Dice is that of the left ventricle for CAMUS, and the mean of left ventricle and myocardium for ACDC; labels
are warped to the nearest voxel. ``J<=0`` is the share of voxels inside the border with a Jacobian determinant
<= 0 by central differences: ``served`` for the transform that a user gets, from which mmreg_rt removes folds,
and ``network`` for the output of the network, as the paper counts. Milliseconds are wall time of a whole
registration. Intervals are 95 % bootstrap intervals of the mean over people.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mmreg_rt
from benchmarks.harness.bootstrap import paired_difference
from benchmarks.harness.folding import determinant
from benchmarks.harness.machine import description, versions
from benchmarks.harness.peers import why_missing
from benchmarks.harness.scoring import Scan, dice, warp_labels
from mmreg_rt.network import Network
from mmreg_rt.preprocess import normalise
from mmreg_rt.transform import fields

Array = NDArray[Any]
Result = dict[str, Any]
SETS = {"camus": ("camus_4ch.npz", (1,)), "acdc": ("acdc_midslice.npz", (3, 2))}
REFINED = "+solver"  # at the end of a method's name
# Mean Dice, its standard deviation if published, % J<=0, seconds on an A100: the paper's tables for CAMUS-4CH
# and ACDC. Its people, split and direction of registration differ slightly from ours.
PAPER = {
    "camus": {
        "start": (0.764, None, None, None),
        "SyN": (0.870, None, 1.649, 2.06),
        "LDDMM": (0.859, None, 0.01, 6.39),
        "VoxelMorph": (0.858, None, 0.607, 0.03),
        "TransMorph": (0.876, None, 0.842, 0.04),
        "TransMatch": (0.875, None, 0.777, 0.06),
        "LDM-Morph": (0.889, 0.055, 0.441, 0.11),
    },
    "acdc": {
        "start": (0.555, None, None, None),
        "SyN": (0.799, None, 0.677, 1.79),
        "LDDMM": (0.798, None, 0.013, 6.31),
        "VoxelMorph": (0.830, None, 0.375, 0.04),
        "TransMorph": (0.842, None, 0.319, 0.05),
        "TransMatch": (0.841, None, 0.344, 0.07),
        "LDM-Morph": (0.850, 0.053, 0.157, 0.12),
    },
}


@dataclass(frozen=True)
class Pair:
    """A pair of one person: images ``(1, H, W)`` float32, labels int32, and the spacing along H and W."""

    person: str
    fixed: Array
    moving: Array
    fixed_label: Array
    moving_label: Array
    spacing_mm: tuple[float, float]

    @property
    def affine(self) -> Array:
        """Array indices to RAS+ mm: axes 0, 1, 2 run towards S, A, R."""
        affine = np.zeros((4, 4))
        affine[(2, 1, 0, 3), (0, 1, 2, 3)] = (1, *self.spacing_mm, 1)
        return affine


@dataclass(frozen=True)
class Found:
    """A displacement ``u`` (1, H, W, 3) in voxels along the array axes, wall seconds, and network folds."""

    u: Array
    seconds: float
    network_folded_percent: float | None = None


Method = Callable[[Pair], Found]


def pairs(path: Path, people: Sequence[str]) -> list[Pair]:
    """Load pairs: end-systole is fixed, end-diastole moving."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    index = {str(person): i for i, person in enumerate(arrays["patient"])}
    spacing = arrays.get("spacing_mm", np.ones((len(index), 2)))

    def entry(name: str, person: str, dtype: type) -> Array:
        return np.ascontiguousarray(arrays[name][index[person]][None], dtype)

    return [
        Pair(
            person,
            *(entry(f"{time}_image", person, np.float32) for time in ("es", "ed")),
            *(entry(f"{time}_label", person, np.int32) for time in ("es", "ed")),
            (float(spacing[index[person]][0]), float(spacing[index[person]][1])),
        )
        for person in people
    ]


def start(pair: Pair) -> Found:
    """Return no deformation."""
    return Found(np.zeros((*pair.fixed.shape, 3)), 0.0)


def ours(bundle: str | None, threads: int, refine: bool = False) -> Method:
    """Return the solver or, with a bundle, its network, optionally refined by the solver."""
    network = None if bundle is None else Network(bundle, threads=threads)
    with_network = {} if bundle is None else {"refine": refine}
    registrar = mmreg_rt.Registrar(bundle, align="none", threads=threads, **with_network)

    def go(pair: Pair) -> Found:
        before = time.perf_counter()
        result = registrar.register((pair.fixed, pair.affine), (pair.moving, pair.affine))
        seconds = time.perf_counter() - before
        grid = result.transform.grid
        u = fields.to_voxels(result.transform.displacement_mm, grid, grid)
        own = None if network is None else folded_percent(network_field(network, pair))
        return Found(np.moveaxis(u, 0, -1), seconds, own)

    return go


def network_field(network: Network, pair: Pair) -> Array:
    """Return the displacement (1, H, W, 3) of a 2-D network, integrated, without removal of folds."""
    manifest = network.manifest
    images = [normalise(image, manifest.preprocess) for image in (pair.fixed, pair.moving)]
    factor = manifest.output.factor
    field = np.zeros((2, *(n // factor for n in pair.fixed.shape[1:])), np.float32)
    network.predict(*images, field)
    full = on_the_full_grid(field, manifest.output.integration_steps, factor)
    return np.moveaxis(np.concatenate([np.zeros_like(full[:1]), full])[:, None], 0, -1)


def on_the_full_grid(field: Array, steps: int, factor: int) -> Array:
    """Integrate (if ``steps`` > 0) and upsample ``field`` (2, h, w) in full-grid voxels: (2, H, W)."""
    import torch

    from mmreg_train.layers import integrate, upsample

    return upsample(integrate(torch.from_numpy(field[None]), steps, factor), factor)[0].numpy()


def syn(threads: int) -> Method:
    """Return ANTs SyN with cross-correlation (Avants et al. 2008), radius 2, iterations 100 x 100 x 50."""
    import os

    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(threads)
    import ants

    def go(pair: Pair) -> Found:
        images = [
            ants.from_numpy(np.asarray(image[0], np.float32), spacing=pair.spacing_mm)
            for image in (pair.fixed, pair.moving)
        ]
        before = time.perf_counter()
        result = ants.registration(
            *images,
            "SyNOnly",
            initial_transform="identity",
            syn_metric="CC",
            syn_sampling=2,
            reg_iterations=(100, 100, 50),
        )
        seconds = time.perf_counter() - before
        field = next(name for name in result["fwdtransforms"] if name.endswith("Warp.nii.gz"))
        mm = ants.image_read(field).numpy()  # (H, W, 2), along the axes of the array
        u = np.zeros((*pair.fixed.shape, 3))
        u[0, ..., 1:] = mm / pair.spacing_mm
        return Found(u, seconds)

    return go


def folded_percent(u: Array) -> float:
    """Return the percentage of folded voxels inside the border of ``u`` (1, H, W, 3)."""
    return 100 * float((determinant(u)[0, 1:-1, 1:-1] <= 0).mean())


def scored(method: Method, pair: Pair, labels: Sequence[int]) -> Result:
    """Register and score one person."""
    result = method(pair)
    scans = [Scan(values, np.eye(4)) for values in (pair.fixed_label, pair.moving_label)]
    warped = warp_labels(result.u, *scans)
    per_label = [dice(pair.fixed_label == label, warped == label) for label in labels]
    return {
        "person": pair.person,
        "dice": float(np.mean(per_label)),
        "dice_per_label": [round(value, 4) for value in per_label],
        "served_folded_percent": folded_percent(result.u),
        "network_folded_percent": result.network_folded_percent,
        "ms": 1e3 * result.seconds,
    }


def method_of(name: str, bundle: str | None, threads: int) -> Method:
    """Return a method by its name on the command line."""
    if bundle is not None:
        return ours(bundle, threads, refine=name.endswith(REFINED))
    if name not in ("start", "solver", "syn"):
        raise SystemExit(f"a method must be start, solver, syn or NAME=BUNDLE; found {name!r}")
    return {"start": lambda: start, "solver": lambda: ours(None, threads), "syn": lambda: syn(threads)}[
        name
    ]()


def summary(people: list[Result]) -> Result:
    """Return means over people."""
    dices = [person["dice"] for person in people]
    mean = paired_difference(dices, [0.0] * len(dices))  # the difference to 0 is the Dice itself
    times = [person["ms"] for person in people]
    own = [person["network_folded_percent"] for person in people]
    return {
        "people": len(people),
        "dice": mean.mean,
        "dice_interval": [mean.low, mean.high],
        "dice_sd": float(np.std(dices, ddof=1)) if len(dices) > 1 else 0.0,
        "served_folded_percent": float(np.mean([person["served_folded_percent"] for person in people])),
        "network_folded_percent": None if None in own else float(np.mean(own)),
        "ms_median": float(np.median(times)),
        "ms_p99": float(np.percentile(times, 99)),
    }


def measured(name: str, bundles: list[str | None], tests: list[list[Pair]], args: Any) -> Result:
    """Score one method on the test people of each split, with the bundle of that split."""
    labels, people = SETS[args.set][1], []
    for bundle, held_out in zip(bundles, tests, strict=True):
        method = method_of(name, bundle, args.threads)
        method(held_out[0])  # warm-up
        people += [scored(method, pair, labels) for pair in held_out]
    files = [bundle and Path(bundle).name for bundle in bundles]
    return {"name": name, "bundles": files, **summary(people), "per_person": people}


def row(cells: Sequence[object]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def table(report: Result) -> str:
    """Format measured rows, then the rows of the paper, as Markdown."""
    head = ["method", "Dice (sd)", "95 % interval", "J<=0 % network", "J<=0 % served", "ms"]
    lines = [row(head), row(["---"] * len(head))]
    for method in report["methods"]:
        low, high = method["dice_interval"]
        folded = [number(method[f"{field}_folded_percent"], 3) for field in ("network", "served")]
        mean = f"{method['dice']:.3f} ({method['dice_sd']:.3f})"
        lines.append(
            row([method["name"], mean, f"{low:.3f} to {high:.3f}", *folded, number(method["ms_median"], 1)])
        )
    for name, (value, sd, folded, seconds) in PAPER[report["set"]].items():
        mean = number(value, 3) + ("" if sd is None else f" ({sd:.3f})")
        ms = None if seconds is None else 1e3 * seconds
        lines.append(row([f"paper: {name}", mean, "-", number(folded, 3), "-", number(ms, 0)]))
    return "\n".join(lines)


def differences(methods: list[Result], against: str) -> Result:
    """Return paired Dice differences, person by person, of every method to one of them."""
    by_name = {method["name"]: [person["dice"] for person in method["per_person"]] for method in methods}
    if against not in by_name:
        raise SystemExit(f"--against must be one of {', '.join(by_name)}; found {against!r}")
    return {
        name: paired_difference(dices, by_name[against]).as_dict()
        for name, dices in by_name.items()
        if name != against
    }


def arguments() -> argparse.Namespace:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("set", choices=SETS)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--splits", type=Path, nargs="+", required=True)
    parser.add_argument("--methods", nargs="+", default=["start", "solver"])
    parser.add_argument("--against", help="method to compute paired differences to")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--results", type=Path, help="JSON file to write")
    return parser.parse_args()


def bundles_of(text: str, splits: int) -> tuple[str, list[str | None]]:
    """Parse NAME, or NAME=BUNDLE,BUNDLE,... with a bundle for each split."""
    name, _, listed = text.partition("=")
    bundles: list[str | None] = list(listed.split(",")) if listed else [None] * splits
    if len(bundles) != splits:
        raise SystemExit(f"{name} needs a bundle for each of {splits} splits; found {len(bundles)}")
    return name, bundles


def main() -> None:
    args = arguments()
    missing = {"syn": why_missing("ants")} if "syn" in args.methods else {}
    absent = {name: why for name, why in missing.items() if why}
    chosen = [bundles_of(text, len(args.splits)) for text in args.methods if text not in absent]
    people = [json.loads(path.read_text())["people"]["test"] for path in args.splits]
    tests = [pairs(args.data / SETS[args.set][0], names) for names in people]
    report: Result = {
        "benchmark": "cardiac",
        "set": args.set,
        **description(),
        "peers": versions("antspyx", "onnxruntime", "openvino"),
        "threads": args.threads,
        "splits": [path.name for path in args.splits],
        "labels": SETS[args.set][1],
        "missing": absent,
        "methods": [measured(name, bundles, tests, args) for name, bundles in chosen],
    }
    if args.against:
        report["against"] = {"name": args.against, **differences(report["methods"], args.against)}
    if args.results:
        args.results.parent.mkdir(parents=True, exist_ok=True)
        args.results.write_text(json.dumps(report, indent=1) + "\n")
    print(table(report))
    for name, why in absent.items():
        print(f"{name}: {why}")
    for name, d in report.get("against", {}).items():
        if name != "name":
            print(f"{name} minus {args.against}: {d['mean']:+.4f} [{d['low']:+.4f}, {d['high']:+.4f}]")


if __name__ == "__main__":
    main()
