"""Measure rigid registration of prostate MR and ultrasound: learned motions, and the solver.

    python -m benchmarks.accuracy.rigid_learned --data FILE.toml [--models a.mmreg,b.mmreg]
        [--splits RUN/splits.json] [--part test] [--starts 20] [--errors 20,8] [--samples DIR]
        [--threads 1] [--results OUT.json]

FILE is a data description as for `mmreg train attention_reg`. With the splits of the run, people of the test
part were not trained on. The truth is the rigid fit of the structures marked in both scans; its residual is
reported, and limits the accuracy of the measurement. A start is drawn as in training: six numbers around the
truth, scaled until the surface of the gland is off by 20 mm, or by 8 mm, on average.

The error is the mean distance of the gland's surface points (of the fixed scan) between the resulting and the
true map; median and quartiles over people and starts are reported. Every method gets the same starts and the
mask of the fixed gland: models to place their window, the solver (``solver``) as its region of interest; the
solver searches widely around the centres of both scans and around the start.

``--samples`` is the folder of the ten arrays published by the authors of Attention-Reg, one pair at ten
starts. They have neither spacing nor origin, so only angles are compared: this is a smoke test.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.machine import description as machine_description
from mmreg_rt import Grid, Volume, _native
from mmreg_rt.geometry import rigid_motion
from mmreg_rt.geometry.native_scan import native_scan
from mmreg_rt.input_validation import check_pair
from mmreg_rt.io import series
from mmreg_rt.network import Network
from mmreg_rt.preprocess import PreprocessSpec
from mmreg_rt.preprocess.window import centre_mm, scale_jointly, window_grid
from mmreg_rt.transform import Rigid
from mmreg_train.config.dataset import read_description
from mmreg_train.data import seeding
from mmreg_train.data.cases import Case
from mmreg_train.data.layouts import find_cases
from mmreg_train.data.rigid.pairs import KnownPair, StartSampling, draw_start
from mmreg_train.data.rigid.truth import MARKED, truth_of
from mmreg_train.data.splits import divide
from mmreg_train.methods import Window

Array = NDArray[Any]
Result = dict[str, Any]
BOX = Window((32, 96, 96), (3.0, 1.0, 1.0))  # starts are drawn in its frame


def arguments() -> argparse.Namespace:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=lambda names: names.split(","), default=[])
    parser.add_argument("--splits", type=Path)
    parser.add_argument("--part", default="test", choices=("train", "val", "test"))
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--errors", type=lambda text: [float(mm) for mm in text.split(",")], default=[20, 8])
    parser.add_argument("--samples", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--results", type=Path)
    return parser.parse_args()


def chosen_cases(data: Path, splits: Path | None, part: str) -> list[Case]:
    described, folder = read_description(data)
    if splits is not None:
        described = replace(described, split=replace(described.split, file=str(splits.resolve())))
    cases = find_cases(described, folder)
    names = set(divide(cases, described.split, folder).cases[part])
    return [case for case in cases if case.name in names]


def gland(case: Case) -> Volume:
    organ = next(series.read(case.scans["fixed_structures"].path, None).frames())
    return Volume((organ.data > MARKED).astype(np.uint8), organ.grid)


class Pair:
    """The scans of a case, its truth and its starts."""

    def __init__(self, case: Case, starts: int, error_mm: float, number: int) -> None:
        self.fixed, self.moving = (case.scans[role].read() for role in ("fixed", "moving"))
        self.truth, self.mask = truth_of(case), gland(case)
        known = KnownPair(self.fixed, self.moving, self.truth)
        settings, spec = StartSampling(error_mm=(error_mm, error_mm)), PreprocessSpec(multiple=4)
        self.starts = [
            draw_start(
                known, spec, BOX, settings,
                seeding.generator(int(error_mm), seeding.VALIDATION, number, start), self.truth.surface_mm,
            ).matrix
            for start in range(starts)
        ]  # fmt: skip

    def error_mm(self, matrix: Array) -> float:
        surface = self.truth.surface_mm
        difference = rigid_motion.moved(matrix, surface) - rigid_motion.moved(self.truth.matrix, surface)
        return float(np.linalg.norm(difference, axis=1).mean())


def by_solver(pair: Pair, start: Array, threads: int) -> Array:
    """Run the solver's rigid stage, with the header of the moving scan changed by the start."""
    fixed = native_scan(pair.fixed, pair.mask.data)
    moving = native_scan(pair.moving, affine=np.linalg.inv(start) @ pair.moving.grid.affine)
    options = _native.Options(align="rigid", deform=False, threads=threads)
    return np.asarray(start @ _native.register(fixed, moving, options).rigid)


def by_networks(network: Network, pair: Pair, start: Array) -> Array:
    checked = check_pair(pair.fixed, pair.moving, pair.mask, same_space=False)
    fixed, moving = native_scan(checked.fixed), native_scan(checked.moving)
    window = network.engine_spec(checked.fixed.grid, centre_mm(checked.fixed.grid, checked.fixed_mask))
    return np.asarray(
        _native.register(fixed, moving, _native.Options(engine=window, start=start, refine=False)).rigid
    )


def measured(pairs: list[Pair], way: Any) -> Result:
    errors, seconds = [], []
    for pair in pairs:
        for start in pair.starts:
            began = time.perf_counter()
            matrix = way(pair, start)
            seconds.append(time.perf_counter() - began)
            errors.append(pair.error_mm(matrix))
    low, middle, high = np.percentile(errors, (25, 50, 75))
    return {
        "error_mm_p25": float(low),
        "error_mm_p50": float(middle),
        "error_mm_p75": float(high),
        "below_5_mm": float((np.array(errors) < 5).mean()),
        "errors_mm": [round(error, 3) for error in errors],
        "registrations": len(errors),
        "wall_s_median": float(np.median(seconds)),
    }


def degrees(rotation: Array) -> float:
    return float(np.degrees(np.arccos(np.clip((np.trace(rotation[:3, :3]) - 1) / 2, -1, 1))))


def in_window(image: Volume, network: Network) -> Array:
    """Resample an image to the window of a network, around its middle."""
    rigid, spec = network.manifest.rigid, network.manifest.preprocess
    assert rigid is not None
    window = window_grid(image.grid, spec, image.grid.centre_mm, rigid.size, rigid.spacing_mm)
    return Rigid(np.eye(4)).warp(image, window).data


def samples(folder: Path, networks: dict[str, Network], threads: int) -> list[Result]:
    """Return the angle of each start, and those of the first network and the solver."""
    rows, grid = [], Grid(BOX.size, np.diag([*BOX.spacing_mm, 1])[[2, 1, 0, 3]])
    for path in sorted(folder.glob("case*.npz")):
        arrays = np.load(path, allow_pickle=False)
        fixed, moving = (arrays[name].astype(np.float32) for name in ("mr", "us"))
        row: Result = {"case": path.stem, "missing": degrees(np.linalg.inv(arrays["gt"]) @ arrays["init"])}
        for name, network in networks.items():
            seen = (in_window(Volume(image, grid), network) for image in (fixed, moving))
            row[name] = degrees(rigid_motion.matrix_of(network.predict_motion(0, *scale_jointly(*seen))))
        scans = (native_scan(Volume(image, grid)) for image in (fixed, moving))
        options = _native.Options(align="rigid", deform=False, threads=threads)
        rows.append(row | {"solver": degrees(_native.register(*scans, options).rigid)})
    return rows


def main() -> None:
    args = arguments()
    cases = chosen_cases(args.data, args.splits, args.part)
    networks = {Path(name).stem: Network(name, threads=args.threads) for name in args.models}
    ways = {"solver": lambda pair, start: by_solver(pair, start, args.threads)}
    ways |= {
        name: lambda pair, start, network=network: by_networks(network, pair, start)
        for name, network in networks.items()
    }
    report = (
        {"benchmark": "rigid_learned"}
        | machine_description()
        | {"part": args.part, "starts": args.starts, "errors": {}}
    )
    for error_mm in args.errors:
        pairs = [Pair(case, args.starts, error_mm, number) for number, case in enumerate(cases)]
        report["people"] = sorted({person for case in cases for person in case.people})
        report["truth_residual_mm"] = {c.name: p.truth.residual_mm for c, p in zip(cases, pairs)}
        report["errors"][f"{error_mm:g}"] = {}
        for name, way in ways.items():
            result = measured(pairs, way)
            report["errors"][f"{error_mm:g}"][name] = result
            figures = {key: value for key, value in result.items() if key != "errors_mm"}
            print(f"from {error_mm:g} mm, {name}:", json.dumps(figures), flush=True)
    if args.samples:
        report["samples"] = samples(args.samples, networks, args.threads)
        print(json.dumps(report["samples"], indent=1))
    if args.results:
        args.results.parent.mkdir(parents=True, exist_ok=True)
        args.results.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
