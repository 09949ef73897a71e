"""Measure alignment with unrelated headers: half turns, random rotations, vessel trees with large shifts.

    python -m benchmarks.accuracy.wide_starts --data DIR [--starts 120] [--only retina,T1-FLAIR,...]
        [--threads 1] [--results OUT.json]

DIR is the folder of real scans, as in MMREG_DATA. A start changes the header of the moving scan: by half a
turn about each axis, then by random rotations (uniform) and shifts of up to 40 mm; in 2-D, by half a turn,
then by any rotation and by up to a quarter of the image. Retinas are synthetic (``vessels``): there the shift
is in the images. Success is a mean error of at most 3 voxels of the fixed scan, over its body.

The truth is the motion alone where both scans share a grid, and for T1-CT (different people) the map found
from the headers. The slices of T1-CT-slices differ in scale by up to 11 %, so that no rigid map fits them to
3 voxels: the share with the body in its place (an error of at most a tenth of its diameter) is reported, too.
The verdict of each result is also reported: wrong results must not pass.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from benchmarks.accuracy.rigid import error_mm
from benchmarks.datasets.vessels import retina
from benchmarks.harness.machine import description
from mmreg_rt import Grid, Volume, _native, io
from mmreg_rt.geometry.native_scan import native_scan
from mmreg_rt.report import figures, verdict
from mmreg_rt.results import quality_of

Array = NDArray[Any]
SUCCESS_VOX, SHIFT_MM = 3.0, 40.0
IN_PLACE = 0.1  # diameters of the body
CERTAINTY = ("agreement", "agreement_elsewhere", "rival")


@dataclass(frozen=True)
class Case:
    """A pair; ``truth`` maps fixed to moving mm, ``points`` are mm of the fixed body."""

    fixed: Volume
    moving: Volume
    truth: Array
    points: Array

    @property
    def voxel_mm(self) -> float:
        shape, spacing = np.array(self.fixed.grid.shape), np.array(self.fixed.grid.spacing_mm)
        return float(spacing[shape > 1].max())


def body(scan: Volume) -> Array:
    """Return points, in mm, brighter than a tenth of the bright voxels."""
    image = scan.as_float32()
    places = np.argwhere(image > 0.1 * np.percentile(image, 99))
    return scan.grid.map_indices(places[:: max(1, len(places) // 2000)])


def halved(scan: Volume) -> Volume:
    """Return the scan at half its resolution: the mean of every eight voxels."""
    image = scan.as_float32()
    d, h, w = (n // 2 for n in image.shape)
    blocks = image[: 2 * d, : 2 * h, : 2 * w].reshape(d, 2, h, 2, w, 2).mean((1, 3, 5))
    step = np.diag([2.0, 2.0, 2.0, 1.0])
    step[:3, 3] = 0.5
    return Volume(blocks.astype(np.float32), Grid(blocks.shape, scan.grid.affine @ step))


def flat(image: Array, spacing_mm: tuple[float, float] = (1.0, 1.0)) -> Volume:
    """Return a slice whose axes 0, 1, 2 run along z, y, x."""
    affine = np.eye(4)[:, [2, 1, 0, 3]] * [1, *spacing_mm, 1]
    affine[:2, 3] = -np.array(spacing_mm)[::-1] * (np.array(image.shape)[::-1] - 1) / 2
    return Volume.from_array(np.asarray(image, np.float32)[None], affine)


def moved(case: Case, motion: Array) -> Case:
    """Change the header of the moving scan by ``motion``."""
    grid = Grid(case.moving.grid.shape, motion @ case.moving.grid.affine)
    return Case(case.fixed, Volume(case.moving.data, grid), motion @ case.truth, case.points)


def motions(case: Case, starts: int, rng: np.random.Generator) -> Iterator[Array]:
    """Yield half turns, then random motions, about the middle of the moving scan."""
    plane = case.fixed.grid.shape[0] == 1
    centre = case.moving.grid.centre_mm
    halves = [[0, 0, np.pi]] if plane else list(np.pi * np.eye(3))
    for k in range(starts):
        if k < len(halves):
            turn, shift = Rotation.from_rotvec(halves[k]), np.zeros(3)
        elif plane:
            width = case.moving.grid.shape[1] * case.moving.grid.spacing_mm[1]
            turn = Rotation.from_rotvec([0, 0, rng.uniform(-np.pi, np.pi)])
            shift = np.append(rng.uniform(-width / 4, width / 4, 2), 0)
        else:
            turn, direction = Rotation.random(random_state=rng), rng.normal(size=3)
            shift = rng.uniform(0, SHIFT_MM) * direction / np.linalg.norm(direction)
        out = np.eye(4)
        out[:3, :3], out[:3, 3] = turn.as_matrix(), centre + shift - turn.apply(centre)
        yield out


def retinas(starts: int, turn_degrees: float, size: int = 400) -> Iterator[Case]:
    rng = np.random.default_rng(1)
    for seed in range(starts):
        distance, direction = size / 640 * rng.uniform(60, 150), rng.uniform(0, 2 * np.pi)
        shift = (distance * np.sin(direction), distance * np.cos(direction))
        eye = retina(seed, size, shift, rng.uniform(-turn_degrees, turn_degrees))
        frame = flat(eye.fixed[0]).grid.affine
        truth = frame @ eye.truth @ np.linalg.inv(frame)
        fixed = flat(eye.fixed[0])
        places = np.stack(np.meshgrid([0], *2 * [np.linspace(0, size - 1, 20)]), -1).reshape(-1, 3)
        yield Case(fixed, flat(eye.moving[0]), truth, fixed.grid.map_indices(places))


def slices(pairs: list[tuple[Volume, Volume]], starts: int) -> Iterator[Case]:
    rng = np.random.default_rng(2)
    for k in range(starts):
        fixed, moving = pairs[k % len(pairs)]
        case = Case(fixed, moving, np.eye(4), body(fixed))
        yield moved(case, list(motions(case, 1 + (k >= len(pairs)), rng))[-1])


def harvard(data: Path) -> list[tuple[Volume, Volume]]:
    from PIL import Image

    paths = sorted((data / "brain2d_mr_ct_harvard").glob("*_mr.png"))[::4]

    def read(path: Path) -> Volume:
        return flat(np.array(Image.open(path).convert("F")))

    return [(read(p), read(p.with_name(p.name.replace("_mr", "_ct")))) for p in paths]


def cardiac(path: Path) -> list[tuple[Volume, Volume]]:
    with np.load(path) as data:
        return [(flat(a), flat(b)) for a, b in zip(data["ed_image"][:25], data["es_image"][:25], strict=True)]


def volumes(case: Case, starts: int) -> Iterator[Case]:
    rng = np.random.default_rng(3)
    yield from (moved(case, motion) for motion in motions(case, starts, rng))


def of_one_person(data: Path) -> Case:
    fixed, moving = (
        halved(io.read_image(data / f"brain_t1_t2_flair/ms07_{name}.nii.gz")) for name in ("t1", "flair")
    )
    return Case(fixed, moving, np.eye(4), body(fixed))


def of_two_people(data: Path) -> Case:
    fixed = io.read_image(data / "brain_mni_multicontrast/avg152T1.nii.gz")
    moving = io.read_image(data / "brain_ct_template/hh_template_with_skull_2mm.nii.gz")
    case = Case(fixed, moving, np.eye(4), body(fixed))
    return Case(fixed, moving, align(case, 0).rigid, case.points)


def align(case: Case, threads: int) -> Any:
    options = _native.Options(align="rigid", deform=False, threads=threads)
    return _native.register(native_scan(case.fixed), native_scan(case.moving), options)


def verdict_of(result: Any, grid: Grid) -> str:
    partial = SimpleNamespace(
        quality=quality_of(result), transform=SimpleNamespace(grid=grid), degraded=result.degraded
    )
    return verdict(figures(partial))


GROUPS = {
    "retina": lambda _, starts: retinas(starts, 10),
    "retina-turned": lambda _, starts: retinas(starts, 180),
    "T1-CT-slices": lambda data, starts: slices(harvard(data), starts),
    "ACDC-slices": lambda data, starts: slices(cardiac(data / "cardiac_2d_pairs/acdc_midslice.npz"), starts),
    "CAMUS-slices": lambda data, starts: slices(cardiac(data / "cardiac_2d_pairs/camus_4ch.npz"), starts),
    "T1-FLAIR": lambda data, starts: volumes(of_one_person(data), starts),
    "T1-CT": lambda data, starts: volumes(of_two_people(data), starts),
}


def measure(cases: Iterator[Case], threads: int) -> dict[str, Any]:
    rows = []
    for case in cases:
        began = time.process_time()
        result = align(case, threads)
        error = error_mm(result.rigid, case.truth, case.points) / case.voxel_mm
        more = {k: v for k, v in result.settings["align"].items() if k in CERTAINTY}
        took = time.process_time() - began
        judged = verdict_of(result, case.fixed.grid)
        body_vox = result.quality.pose.body_mm / case.voxel_mm
        row = {"error_vox": round(error, 2), "body_vox": round(body_vox, 1), "verdict": judged}
        rows.append(row | {"cpu_s": round(took, 3)} | more)
    errors = np.array([row["error_vox"] for row in rows])
    in_place = IN_PLACE * np.array([row["body_vox"] for row in rows])
    return {
        "success": float((errors <= SUCCESS_VOX).mean()),
        "in_place": float((errors <= in_place).mean()),
        "missed_and_passed": sum(
            row["verdict"] == "pass" for row, error in zip(rows, errors, strict=True) if error > SUCCESS_VOX
        ),
        "elsewhere_and_passed": sum(
            row["verdict"] == "pass" for row, missed in zip(rows, errors > in_place, strict=True) if missed
        ),
        "right_and_withheld": sum(
            row["verdict"] != "pass" for row, error in zip(rows, errors, strict=True) if error <= SUCCESS_VOX
        ),
        "error_vox_p50": float(np.median(errors)),
        "cpu_s_median": float(np.median([row["cpu_s"] for row in rows])),
        "failed": [row | {"start": k} for k, row in enumerate(rows) if row["error_vox"] > SUCCESS_VOX],
        "rows": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--starts", type=int, default=120)
    parser.add_argument("--only", type=lambda names: names.split(","), default=list(GROUPS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--results", type=Path)
    args = parser.parse_args()
    report = description() | {"starts": args.starts, "groups": {}}
    for name in args.only:
        one = report["groups"][name] = measure(GROUPS[name](args.data, args.starts), args.threads)
        print(name, json.dumps({k: v for k, v in one.items() if k != "rows"}), flush=True)
    if args.results:
        args.results.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
