"""Calibrate the limits of the verdict: quality figures of registrations with known error.

Scans of one person, and their copies in another contrast, are moved by known transforms, so that the error of
a result is known in voxels; others are spoiled in eleven ways. The figures are stored, so that limits can be
chosen without another registration. Each half of the pairs is judged by weights fitted on the other half.

    python -m benchmarks.accuracy.verdict_calibration run --data DATA --out cases.jsonl
    python -m benchmarks.accuracy.verdict_calibration report cases.jsonl \
        --out benchmarks/results/accuracy/verdict.json
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

import mmreg_rt._native as native
from benchmarks.accuracy.verdict_fit import weights_of
from benchmarks.accuracy.verdict_pairs import NATURAL, natural
from benchmarks.accuracy.verdict_rows import label, recorded, restored, result_of
from mmreg_rt.report import doubt as doubting
from mmreg_rt.report import figures, verdict
from mmreg_rt.report.quality import DOUBT, MIRRORED, TURNED
from mmreg_rt.results import quality_of

Array = NDArray[Any]
SPACING_MM = 3.0  # of volumes


def read(path: Path) -> tuple[Array, Array]:
    """Read a scan as ``(Z, Y, X)`` at 3 mm, and the affine of its indices."""
    image = nib.as_closest_canonical(nib.load(path))
    data = np.asarray(image.dataobj, np.float32)
    factor = SPACING_MM / np.linalg.norm(image.affine[:3, :3], axis=0)
    data = ndimage.gaussian_filter(data, np.clip((factor - 1) / 2, 0, None))
    shape = [max(1, int(n / f)) for n, f in zip(data.shape, factor, strict=True)]
    data = ndimage.affine_transform(data, factor, (factor - 1) / 2, shape, order=1, mode="nearest")
    return np.ascontiguousarray(data.T), centred(data.T.shape, SPACING_MM)


def centred(shape: tuple[int, ...], spacing_mm: float) -> Array:
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[::-1] * spacing_mm
    affine[:3, 3] = -((np.array(shape) - 1) / 2 * spacing_mm)[::-1]
    return affine


def rotation(vector: Array) -> Array:
    angle = np.linalg.norm(vector)
    x, y, z = vector / max(angle, 1e-9)
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k)


def motion(rng: np.random.Generator, flat: bool, degrees: float, shift_mm: float) -> Array:
    """Draw a rotation and a shift of about these sizes."""
    axis = np.array([0, 0, 1.0]) if flat else rng.normal(size=3)
    shift = rng.normal(size=3) * ([1, 1, 0] if flat else [1, 1, 1])
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(axis / np.linalg.norm(axis) * np.radians(degrees) * rng.uniform(0.7, 1))
    matrix[:3, 3] = shift / np.linalg.norm(shift) * shift_mm * rng.uniform(0.7, 1)
    return matrix


def moved(data: Array, affine: Array, matrix: Array) -> Array:
    """Resample the scan so that its content is moved by ``matrix`` (mm)."""
    index = np.linalg.inv(affine) @ np.linalg.inv(matrix) @ affine
    return ndimage.affine_transform(data, index[:3, :3], index[:3, 3], order=1, cval=float(data.min()))


def recoloured(data: Array, rng: np.random.Generator) -> Array:
    """Change the contrast: tissues keep their borders and change their order; add noise."""
    top = np.percentile(data[data > data.min()], 99.5)
    level = np.clip((data - data.min()) / (top - data.min()), 0, 1)
    knots = [0, 0.05, 0.25, 0.45, 0.7, 1]
    values = [0, rng.uniform(0.3, 0.9), *rng.permutation([0.25, 0.5, 0.75, 1.0])]
    return np.float32(1000 * np.interp(level, knots, values) + 15 * rng.normal(size=data.shape))


def body_of(data: Array) -> Array:
    smooth = ndimage.gaussian_filter(data, [1 if n > 1 else 0 for n in data.shape])
    mask = smooth > data.min() + 0.15 * (np.percentile(data, 99) - data.min())
    return np.asarray(mask if mask.mean() > 0.02 else np.ones_like(mask))


def load(data: Path) -> list[dict[str, Any]]:
    """Load aligned pairs, ``fixed`` and ``moving`` on one grid; each person is in one half only."""
    pairs: list[dict[str, Any]] = []

    def add(name: str, person: str, organ: str, fixed: Array, moving: Array, affine: Array) -> None:
        pairs.append(
            {
                "name": name,
                "person": person,
                "organ": organ,
                "fixed": fixed,
                "moving": moving,
                "affine": affine,
            }
        )

    rng = np.random.default_rng(7)
    for person in ("ms07", "ms19"):
        scans = {c: read(data / f"brain_t1_t2_flair/{person}_{c}.nii.gz") for c in ("t1", "t2", "flair")}
        for a, b in (("t1", "t2"), ("flair", "t1"), ("t2", "flair")):
            add(f"{person} {a} {b}", person, "head", scans[a][0], scans[b][0], scans[a][1])
    mni = {c: read(data / f"brain_mni_multicontrast/avg152{c}.nii.gz") for c in ("T1", "T2", "PD")}
    for a, b in (("T1", "T2"), ("PD", "T1")):
        add(f"mni {a} {b}", "mni", "head", mni[a][0], mni[b][0], mni[a][1])
    for folder, pattern, organ in (
        ("brain_t1_labelled", "*_t1.nii.gz", "brain"),
        ("abdomen_mr_ct", "*_image.nii.gz", "abdomen"),
    ):
        for path in sorted((data / folder).glob(pattern)):
            scan, affine = read(path)
            add(path.name[:6], path.name[:6], organ, scan, recoloured(scan, rng), affine)
    heads = [p for p in pairs if p["organ"] == "head"]
    for k, pair in enumerate(heads):
        for z in (0.4, 0.5, 0.6)[k % 3 :: 2]:
            at = int(z * len(pair["fixed"]))
            slices = [ndimage.zoom(pair[s][at], 2, order=1)[None] for s in ("fixed", "moving")]
            add(
                f"{pair['name']} slice {at}",
                pair["person"],
                "head slice",
                *slices,
                centred(slices[0].shape, 1.5),
            )
    with np.load(data / "cardiac_2d_pairs/acdc_midslice.npz") as hearts:
        for k in range(0, 75, 7):
            scan = np.float32(hearts["ed_image"][k])[None]
            add(f"heart {k}", f"heart {k}", "heart", scan, recoloured(scan, rng), centred(scan.shape, 1.5))
    for pair in pairs:
        pair["alive"] = False
    for name, organ, fixed, moving in natural(data):
        add(name, name, organ, fixed, moving, centred(fixed.shape, 1.5))
        pairs[-1]["alive"] = True
    return pairs


SPOILS = ("half turn", "mirrored", "other organ", "wrong slices", "far start", "near miss", "wrong turn",
          "noise", "crop", "half blank", "no relation")  # fmt: skip


def cases(pairs: list[dict[str, Any]], rounds: int) -> Iterator[dict[str, Any]]:
    """Yield the cases to register, with the truth (fixed to moving mm) or None without one."""
    for r in range(rounds):
        for k, pair in enumerate(pairs):
            rng = np.random.default_rng((r, k))
            for kind in ("right", "identity", "right affine", *SPOILS):
                chosen = (
                    kind == "right" or (SPOILS + ("identity", "right affine")).index(kind) % 4 == (k + r) % 4
                )
                if chosen:
                    yield {"kind": kind, **spoiled(kind, pair, pairs, rng), "round": r}


def spoiled(
    kind: str, pair: dict[str, Any], pairs: list[dict[str, Any]], rng: np.random.Generator
) -> dict[str, Any]:
    fixed, moving, affine = pair["fixed"], pair["moving"], pair["affine"]
    flat, voxel = len(fixed) == 1, float(np.linalg.norm(affine[:3, 2]))
    truth: Array | None = motion(rng, flat, 10, 4 * voxel)
    options: dict[str, Any] = {}
    if kind == "identity":
        truth = np.eye(4)
    if kind == "half turn":
        axis = 2 if flat else int(rng.integers(3))
        flip = np.diag([*(1.0 if a == axis else -1.0 for a in range(3)), 1.0])
        truth = truth @ flip
    data = moved(moving, affine, truth)
    if kind == "identity":
        data = moving
    if kind == "right affine":
        options = {"deform": False}
    if kind == "mirrored":
        axis = int(rng.integers(1 if flat else 0, 3))
        data = np.ascontiguousarray(np.flip(data, axis))
        mirror = np.diag([*(-1.0 if 2 - a == axis else 1.0 for a in range(3)), 1.0])
        truth = mirror @ truth
    if kind == "other organ":
        skulls = {"head", "brain"}
        others = [
            p
            for p in pairs
            if p["organ"].split()[0] != pair["organ"].split()[0]
            and (len(p["fixed"]) == 1) == flat
            and {p["organ"], pair["organ"]} != skulls
        ]
        other = others[int(rng.integers(len(others)))]
        return {
            "pair": pair,
            "moving": other["moving"],
            "moving_affine": other["affine"],
            "truth": None,
            "options": {},
        }
    if kind == "wrong slices":
        if flat:
            others = [p for p in pairs if p["organ"] == pair["organ"] and p["person"] != pair["person"]]
            data = (
                others[int(rng.integers(len(others)))]["moving"]
                if pair["organ"] == "heart"
                else np.roll(ndimage.zoom(data, (1, 0.6, 0.6), order=1), 0)
            )
            return {
                "pair": pair,
                "moving": data,
                "moving_affine": centred(data.shape, voxel),
                "truth": None,
                "options": {},
            }
        half = len(data) // 2  # fixed: the upper half; moving: the lower half
        pair = pair | {"fixed": fixed[half:], "affine": centred(fixed[half:].shape, voxel)}
        return {
            "pair": pair,
            "moving": data[:half],
            "moving_affine": centred(data[:half].shape, voxel),
            "truth": None,
            "options": {},
        }
    if kind in ("far start", "near miss", "wrong turn"):
        size = {"far start": rng.uniform(8, 20), "near miss": rng.uniform(3.3, 7), "wrong turn": 0.0}[kind]
        wrong = motion(rng, flat, rng.uniform(15, 60) if kind == "wrong turn" else 1, size * voxel / 0.85)
        options = {"align": "none", "deform": False, "start": wrong @ truth}
    if kind == "noise":
        spread = (np.percentile(data, 99) - data.min()) * rng.uniform(0.3, 3)
        data = np.float32(data + spread * rng.normal(size=data.shape))
    if kind == "crop":
        keep = tuple(
            slice(0, n) if n == 1 else slice(int(n * lo), int(n * (lo + rng.uniform(0.35, 0.6))))
            for n, lo in zip(data.shape, rng.uniform(0, 0.4, 3), strict=True)
        )
        shifted = affine.copy()
        shifted[:3, 3] = (affine @ np.array([*(s.start for s in keep), 1.0]))[:3]
        return {
            "pair": pair,
            "moving": np.ascontiguousarray(data[keep]),
            "moving_affine": shifted,
            "truth": truth,
            "options": {},
        }
    if kind == "half blank":
        axis = int(rng.integers(1, 3))
        data = data.copy()
        np.moveaxis(data, axis, 0)[: data.shape[axis] // 2] = data.min()
    if kind == "no relation":
        texture = ndimage.gaussian_filter(
            rng.normal(size=data.shape), [2 if n > 1 else 0 for n in data.shape]
        )
        data = np.float32(
            np.where(body_of(data), 500 + 150 * texture / texture.std(), 0) + rng.normal(size=data.shape)
        )
        truth = None
    return {"pair": pair, "moving": data, "moving_affine": affine, "truth": truth, "options": options}


def run_case(case: dict[str, Any]) -> dict[str, Any]:
    """Register a case and return its figures and error."""
    pair = case["pair"]
    fixed, affine = np.ascontiguousarray(pair["fixed"], np.float32), pair["affine"]
    before = time.process_time()
    moving = native.Scan(np.ascontiguousarray(case["moving"], np.float32), case["moving_affine"])
    result = native.register(native.Scan(fixed, affine), moving, native.Options(threads=1, **case["options"]))
    took = time.process_time() - before
    voxel = float(np.linalg.norm(affine[:3, 2]))
    error = None
    if case["truth"] is not None:
        inside = np.argwhere(body_of(fixed))[::7]
        points = inside @ affine[:3, :3].T + affine[:3, 3]
        landed = points + result.displacement_mm[(slice(None), *inside.T)].T
        if pair["alive"]:  # the deformation follows a motion that the truth does not know
            landed = points @ result.affine[:3, :3].T + result.affine[:3, 3]
        true = points @ case["truth"][:3, :3].T + case["truth"][:3, 3]
        error = float(np.linalg.norm(landed - true, axis=1).mean() / voxel)
    return {
        "name": pair["name"], "person": pair["person"], "organ": pair["organ"], "kind": case["kind"],
        "flat": len(fixed) == 1, "voxel_mm": voxel, "error_vox": error, "cpu_s": took,
        "finish_s": result.seconds["finish"], "all_s": sum(result.seconds.values()),
        "quality": recorded(result.quality),
    }  # fmt: skip


def half(row: dict[str, Any], persons: list[str]) -> int:
    return persons.index(row["person"]) % 2


def confusion(rows: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for row in rows:
        column = table.setdefault(label(row), {"pass": 0, "review": 0, "fail": 0})
        column[row["verdict"]] += 1
    return table


def rates(table: dict[str, dict[str, int]]) -> dict[str, float]:
    """Return the shares of wrong and of right results that are not passed."""
    withheld = {k: 1 - v["pass"] / sum(v.values()) for k, v in table.items()}
    return {"sensitivity": withheld.get("wrong", 1.0), "withheld_from_right": withheld.get("right", 0.0)}


def figures_of(row: dict[str, Any]) -> dict[str, float]:
    """Return the doubt, its components, and the other judged figures."""
    evidence = quality_of(restored(row)).evidence
    if evidence is None:
        return {}
    dims, pose = 2 if row["flat"] else 3, row["quality"]["pose"]
    parts = zip(doubting.NAMES, doubting.measures(evidence, row["voxel_mm"], dims), strict=True)
    judged = {
        "doubt": row["doubt"],
        "turned": pose["turned"],
        "mirrored": pose["mirrored"] if pose["mirrored_information"] > 1 else min(pose["mirrored"], 1.0),
    }
    return {key: round(value, 3) for key, value in judged.items()} | {
        f"part {key}": round(value, 3) for key, value in parts
    }


LIMITS = {"doubt": DOUBT[0], "turned": TURNED[0], "mirrored": MIRRORED[0]}


def judge(rows: list[dict[str, Any]], persons: list[str]) -> None:
    """Judge each half by weights fitted on the other half."""
    for which in (0, 1):
        others = [row for row in rows if half(row, persons) != which]
        labels = [label(row) for row in others]
        doubting.SLICES = weights_of(others, labels, True)
        doubting.VOLUMES = weights_of(others, labels, False)
        print("weights for half", which, doubting.SLICES, doubting.VOLUMES)
        for row in rows:
            if half(row, persons) == which:
                seen = figures(result_of(row))
                row["judged"] = {f.key: f.state for f in seen}
                row["verdict"] = verdict(seen)
                evidence = quality_of(restored(row)).evidence
                dims = 2 if row["flat"] else 3
                row["doubt"] = doubting.doubt(evidence, row["voxel_mm"], dims) if evidence else 1.0


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Plot the shares of right and of wrong results above a limit, for each figure."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(10, 3), constrained_layout=True)
    for ax, (key, limit) in zip(axes.ravel(), LIMITS.items(), strict=True):
        top = 1 if key == "doubt" else 2 * limit
        grid = np.linspace(0, top, 200)
        for name, colour in (("right", "tab:green"), ("wrong", "tab:red")):
            values = np.array([figures_of(r).get(key, np.nan) for r in rows if label(r) == name])
            values = values[np.isfinite(values)]
            ax.plot(
                grid, [100 * (values > g).mean() for g in grid], color=colour, label=f"{name} ({len(values)})"
            )
        ax.axvline(limit, color="black", linewidth=0.8)
        ax.set(title=key, xlabel="limit", ylabel="above it, %", ylim=(0, 101))
        ax.legend(fontsize=7)
    figure.savefig(path, dpi=100)


def report(arguments: argparse.Namespace) -> None:
    rows = [json.loads(line) for path in arguments.cases for line in path.read_text().splitlines()]
    persons = sorted({row["person"] for row in rows})
    judge(rows, persons)
    results: dict[str, Any] = {
        "registrations": len(rows),
        "cpu_s": sum(r["cpu_s"] for r in rows),
        "limits": LIMITS,
    }
    results["finish_share"] = sum(r["finish_s"] for r in rows) / sum(r["all_s"] for r in rows)
    parts = {
        "both halves": rows,
        "first half": [r for r in rows if half(r, persons) == 0],
        "second half": [r for r in rows if half(r, persons) == 1],
        "volumes": [r for r in rows if not r["flat"]],
        "slices": [r for r in rows if r["flat"]],
        "without hearts in two phases, retinas, MR-CT slices": [
            r for r in rows if not r["name"].startswith(NATURAL)
        ],
    }
    for name, part in parts.items():
        table = confusion(part)
        results[name] = {"confusion": table, **rates(table)}
    results["organs"] = {
        organ: confusion([r for r in rows if r["organ"] == organ])
        for organ in sorted({r["organ"] for r in rows})
    }
    results["kinds"] = {
        kind: confusion([r for r in rows if r["kind"] == kind]) for kind in sorted({r["kind"] for r in rows})
    }
    results["wrong and passed"] = [
        {k: r[k] for k in ("name", "kind", "error_vox")}
        for r in rows
        if label(r) == "wrong" and r["verdict"] == "pass"
    ]
    results["right and withheld"] = [
        {**{k: r[k] for k in ("name", "kind", "error_vox", "verdict")},
         "by": [k for k, s in r["judged"].items() if s in ("review", "fail")]}
        for r in rows if label(r) == "right" and r["verdict"] != "pass"
    ]  # fmt: skip
    keep = ("name", "kind", "flat", "error_vox", "verdict")
    cases = [json.dumps({**{k: r[k] for k in keep}, **figures_of(r)}) for r in rows]
    summary = json.dumps(results, indent=1).removesuffix("\n}")
    arguments.out.write_text(summary + ',\n "cases": [\n' + ",\n".join(cases) + "\n]\n}\n")
    draw(rows, arguments.out.with_suffix(".png"))
    print(json.dumps(results, indent=1))


def run(arguments: argparse.Namespace) -> None:
    part, of = (int(x) for x in arguments.part.split("/"))
    with open(arguments.out, "w") as out:
        for k, case in enumerate(cases(load(arguments.data), arguments.rounds)):
            if k % of == part:
                out.write(json.dumps(run_case(case), default=float) + "\n")
                out.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    runner = commands.add_parser("run")
    runner.add_argument("--data", type=Path, required=True)
    runner.add_argument("--out", type=Path, required=True)
    runner.add_argument("--rounds", type=int, default=2)
    runner.add_argument(
        "--part", default="0/1", help="part of the cases for one of several processes: 0/2, 1/2"
    )
    runner.set_defaults(command=run)
    reporter = commands.add_parser("report")
    reporter.add_argument("cases", type=Path, nargs="+")
    reporter.add_argument("--out", type=Path, required=True)
    reporter.set_defaults(command=report)
    parsed = parser.parse_args()
    parsed.command(parsed)
