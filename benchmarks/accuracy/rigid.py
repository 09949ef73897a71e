"""Measure rigid and affine alignment only: against published transforms, and from many random poses.

    python -m benchmarks.accuracy.rigid --data DIR [--starts 200] [--only T1-FLAIR,...]
        [--kinds rigid,affine] [--threads 1] [--results OUT.json]

DIR is the folder of real scans, as in MMREG_DATA. A start changes the header of the moving scan by a rotation
of up to 30 degrees about a random axis through the middle of the scan, and by up to 40 mm in a random
direction; both amounts are uniform. The result is composed with the inverse of that motion, so that all
starts of a pair should give the same map. Errors are means over voxels of the fixed head.

- ``T1-FLAIR`` and ``T2-FLAIR``: success is an error of at most 2 mm to the published transform. This is an
  affine map close to a rigid one; the distance of the nearest rigid map is reported, too. Its direction is
  not
  documented: the direction under which the scans share more information is taken as the truth.
- ``T1-CT``: skull-stripped T1 of a person and a CT template of others; success is at most 2 mm to the medoid,
  the result closest to the others. Dice of the shared structures is reported for the medoid, beside that of
  ANTs' affine (Mattes), from which the development tasks start, if installed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.datasets.prepare_heldout import shared_structures
from benchmarks.harness.machine import description
from mmreg_rt import Volume, _native, io
from mmreg_rt.geometry.native_scan import native_scan

Array = NDArray[Any]
Result = dict[str, Any]
SUCCESS_MM, DEGREES, SHIFT_MM = 2.0, 30.0, 40.0
RAW, LABELLED, TEMPLATE = "brain_raw_rigid/ms01_study1_", "brain_t1_labelled/1000_", "brain_ct_template/hh_"
PAIRS = {
    "T1-FLAIR": (f"{RAW}FLAIR.nii.gz", f"{RAW}T1W.nii.gz", f"{RAW}T1W_intrastudy_to_FLAIR.txt"),
    "T2-FLAIR": (f"{RAW}FLAIR.nii.gz", f"{RAW}T2W.nii.gz", f"{RAW}T2W_intrastudy_to_FLAIR.txt"),
    "T1-CT": (f"{LABELLED}t1.nii.gz", f"{TEMPLATE}template_2mm.nii.gz", None),
}
CT_LABELS = (f"{LABELLED}label.nii.gz", f"{TEMPLATE}structures_2mm.nii.gz")


def arguments() -> argparse.Namespace:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--starts", type=int, default=200)
    parser.add_argument("--only", type=lambda names: names.split(","), default=list(PAIRS))
    parser.add_argument("--kinds", type=lambda names: names.split(","), default=["rigid", "affine"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--results", type=Path)
    return parser.parse_args()


def random_motion(rng: np.random.Generator, centre_mm: Array) -> Array:
    axis, direction = (v / np.linalg.norm(v) for v in rng.normal(size=(2, 3)))
    angle = np.radians(rng.uniform(0, DEGREES))
    k = np.cross(np.eye(3), axis)
    motion = np.eye(4)
    motion[:3, :3] = np.eye(3) - np.sin(angle) * k + (1 - np.cos(angle)) * k @ k
    motion[:3, 3] = centre_mm - motion[:3, :3] @ centre_mm + rng.uniform(0, SHIFT_MM) * direction
    return motion


def head_points(scan: Volume) -> Array:
    """Return every 50th voxel of the head in mm: brighter than a tenth of the bright voxels, holes filled."""
    image = scan.as_float32()
    head = ndimage.binary_opening(image > 0.1 * np.percentile(image, 99), iterations=2)
    return scan.grid.map_indices(np.argwhere(ndimage.binary_fill_holes(head))[::50])


def error_mm(matrix: Array, truth: Array, points: Array) -> float:
    difference = matrix - truth
    return float(np.linalg.norm(points @ difference[:3, :3].T + difference[:3, 3], axis=1).mean())


def nearest_rigid(affine: Array, points: Array) -> Array:
    """Fit a rigid map by least squares over the points (Kabsch 1976)."""
    to = points @ affine[:3, :3].T + affine[:3, 3]
    u, _, vt = np.linalg.svd((to - to.mean(0)).T @ (points - points.mean(0)))
    out = np.eye(4)
    out[:3, :3] = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    out[:3, 3] = to.mean(0) - out[:3, :3] @ points.mean(0)
    return out


def warp(
    moving: Array, moving_affine: Array, fixed: Volume, pose: Array, order: int, outside: float
) -> Array:
    index = np.linalg.inv(moving_affine) @ pose @ fixed.grid.affine
    shape = fixed.data.shape
    return np.asarray(
        ndimage.affine_transform(moving, index[:3, :3], index[:3, 3], shape, order=order, cval=outside)
    )


def normalised_information(fixed: Volume, moving: Volume, pose: Array) -> float:
    """Return (H(f) + H(m)) / H(f, m) over the overlap, 64 bins; shares no code with mmreg_rt."""
    warped = warp(moving.as_float32(), moving.grid.affine, fixed, pose, 1, np.nan)
    seen = np.isfinite(warped)
    joint, _, _ = np.histogram2d(fixed.as_float32()[seen], warped[seen], 64)
    p = joint / joint.sum()
    entropies = [-(q[q > 0] * np.log(q[q > 0])).sum() for q in (p.sum(0), p.sum(1), p)]
    return float((entropies[0] + entropies[1]) / entropies[2])


def published(path: Path, fixed: Volume, moving: Volume, points: Array) -> tuple[Array, Result]:
    """Return the published map from fixed to moving, and the evidence for its direction."""
    forward = np.asarray(io.read_transform(path).matrix)  # type: ignore[attr-defined]
    backward = np.linalg.inv(forward)
    similarity = [normalised_information(fixed, moving, t) for t in (forward, backward, np.eye(4))]
    truth = forward if similarity[0] >= similarity[1] else backward
    facts = {
        "similarity_as_fixed_to_moving": similarity[0],
        "similarity_as_moving_to_fixed": similarity[1],
        "similarity_of_headers": similarity[2],
        "rigid_part_off_by_mm": error_mm(nearest_rigid(truth, points), truth, points),
        "headers_off_by_mm": error_mm(np.eye(4), truth, points),
    }
    return truth, facts


def run(
    fixed: Volume, moving: Volume, motions: list[Array], kinds: list[str], threads: int
) -> tuple[dict[str, Array], Result]:
    """Return the maps of `Registrar(align=kind, deform=False)`, and the seconds of that stage."""
    maps: dict[str, list[Array]] = {kind: [] for kind in kinds}
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    for motion in motions:
        for kind, into in maps.items():
            moved = native_scan(moving, affine=motion @ moving.grid.affine)
            options = _native.Options(align=kind, deform=False, threads=threads)
            result = _native.register(native_scan(fixed), moved, options)
            seconds[kind].append(result.seconds["align"])
            into.append(np.linalg.inv(motion) @ getattr(result, kind))
    times = {f"{kind}_wall_s_median": float(np.median(each)) for kind, each in seconds.items()}
    times |= {f"{kind}_wall_s_max": float(np.max(each)) for kind, each in seconds.items()}
    return {name: np.array(into) for name, into in maps.items()}, times


def medoid(maps: Array, points: Array) -> Array:
    """Return the map with the least median distance to the others."""
    few = points[:: max(1, len(points) // 200)]
    places = np.einsum("kij,nj->kni", maps[:, :3, :3], few) + maps[:, None, :3, 3]
    distances = [np.median(np.linalg.norm(places - one, axis=2).mean(1)) for one in places]
    return np.asarray(maps[int(np.argmin(distances))])


def spread(maps: Array, truth: Array, points: Array) -> Result:
    errors = np.array([error_mm(matrix, truth, points) for matrix in maps])
    return {
        "success": float((errors <= SUCCESS_MM).mean()),
        "failed_starts": np.flatnonzero(errors > SUCCESS_MM).tolist(),
        "error_mm_p50": float(np.median(errors)),
        "error_mm_p95": float(np.percentile(errors, 95)),
        "error_mm_max": float(errors.max()),
    }


def dice(fixed: Volume, moving: Volume, pose: Array) -> float:
    a = shared_structures(fixed.data)
    b = warp(shared_structures(moving.data), moving.grid.affine, fixed, pose, 0, 0)
    labels = [v for v in np.unique(a) if v]
    return float(
        np.mean([2 * ((a == v) & (b == v)).sum() / ((a == v).sum() + (b == v).sum()) for v in labels])
    )


def ants_affine(fixed: Path, moving: Path) -> Array | None:
    try:
        import ants
    except ImportError:
        return None
    f, m = (ants.image_read(str(path)) for path in (fixed, moving))
    written = ants.registration(f, m, "Affine", aff_metric="mattes")["fwdtransforms"][0]
    return np.asarray(io.read_transform(written).matrix)  # type: ignore[attr-defined]


def measure(name: str, data: Path, starts: int, kinds: list[str], threads: int) -> Result:
    fixed_path, moving_path, truth_path = PAIRS[name]
    fixed, moving = io.read_image(data / fixed_path), io.read_image(data / moving_path)
    points, rng = head_points(fixed), np.random.default_rng(0)
    motions = [np.eye(4)] + [random_motion(rng, moving.grid.centre_mm) for _ in range(starts)]
    maps, result = run(fixed, moving, motions, kinds, threads)
    if truth_path:
        truth, result["published"] = published(data / truth_path, fixed, moving, points)
    for kind, of_kind in maps.items():
        centre = truth if truth_path else medoid(of_kind[1:], points)
        result[kind] = spread(of_kind[1:], centre, points) | {
            "from_headers_mm": error_mm(of_kind[0], centre, points)
        }
    if not truth_path:
        labels = [io.read_image(data / path) for path in CT_LABELS]
        result["dice_of_median"] = {
            k: dice(*labels, medoid(of_kind[1:], points)) for k, of_kind in maps.items()
        }
        ants_map = ants_affine(data / fixed_path, data / moving_path)
        result["dice_of_ants_affine"] = None if ants_map is None else dice(*labels, ants_map)
    return result


def main() -> None:
    args = arguments()
    report = description() | {"starts": args.starts, "threads": args.threads, "pairs": {}}
    for name in args.only:
        report["pairs"][name] = measure(name, args.data, args.starts, args.kinds, args.threads)
        print(name, json.dumps(report["pairs"][name], indent=2), flush=True)
    if args.results:
        args.results.parent.mkdir(parents=True, exist_ok=True)
        args.results.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
