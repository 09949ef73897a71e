"""Scores of a displacement between two labelled scans: Dice, HD95, TRE, and smoothness.

A field is ``u``, (X, Y, Z, 3), in voxels of the fixed grid: the moving scan is sampled at ``x + u(x)``.
Arrays are in the order of the NIfTI file, axes closest to RAS+, so that peers and mmreg_rt are scored by one
program. The figures are those of the peer study's scorer, computed independently of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[Any]


@dataclass(frozen=True)
class Scan:
    """Values on a grid: ``values`` (X, Y, Z), ``affine`` maps voxels to RAS mm."""

    values: Array
    affine: Array

    @property
    def spacing_mm(self) -> Array:
        return np.linalg.norm(self.affine[:3, :3], axis=0)


def read(path: Path) -> Scan:
    image = nib.as_closest_canonical(nib.load(path))
    return Scan(image.get_fdata(dtype=np.float32), image.affine)


def sampled_at(u: Array, fixed: Scan, moving: Scan) -> Array:
    """Return moving voxel coordinates, (3, X, Y, Z), of every fixed voxel moved by ``u`` (fixed voxels)."""
    at = np.indices(u.shape[:3], np.float64) + np.moveaxis(u, -1, 0)
    if u.shape[:3] == moving.values.shape and np.allclose(fixed.affine, moving.affine, atol=1e-5):
        return at
    m = np.linalg.inv(moving.affine) @ fixed.affine
    return np.einsum("ab,bxyz->axyz", m[:3, :3], at) + m[:3, 3, None, None, None]


def warp_labels(u: Array, fixed: Scan, moving: Scan) -> Array:
    """Return the nearest moving label at every fixed voxel; labels at the border are extended."""
    at = np.floor(sampled_at(u, fixed, moving) + 0.5).astype(np.int64)
    last = np.array(moving.values.shape).reshape(3, 1, 1, 1) - 1
    return moving.values[tuple(np.clip(at, 0, last))].round().astype(np.int32)


def dice(a: Array, b: Array) -> float:
    """Return 2 |a and b| / (|a| + |b|); NaN if both are empty."""
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero(a & b) / total if total else float("nan")


def surface(mask: Array) -> Array:
    """Return the voxels of a mask with a face neighbour outside it, or at the border of the array."""
    inner = mask.copy()
    for axis in range(mask.ndim):
        for step in (1, -1):
            shifted = np.roll(mask, step, axis)
            shifted[(slice(None),) * axis + (0 if step == 1 else -1,)] = False
            inner &= shifted
    return mask & ~inner


def hd95_mm(a: Array, b: Array, spacing_mm: Array) -> float:
    """Return the 95th percentile of the distances between the two surfaces in mm; NaN if one is empty."""
    if not a.any() or not b.any():
        return float("nan")
    box = ndimage.find_objects((a | b).astype(np.int8))[0]
    surfaces = [surface(np.pad(mask[box], 1)) for mask in (a, b)]
    to_a, to_b = (ndimage.distance_transform_edt(~s, spacing_mm) for s in surfaces)
    return float(np.percentile(np.concatenate([to_a[surfaces[1]], to_b[surfaces[0]]]), 95))


def landmark_errors_mm(u: Array, fixed: Scan, fixed_points: Array, moving_points: Array) -> Array:
    """Return the distances of fixed points (N, 3), RAS mm, moved by ``u``, from their moving partners."""
    at = (np.linalg.inv(fixed.affine) @ np.c_[fixed_points, np.ones(len(fixed_points))].T)[:3]
    moved = [ndimage.map_coordinates(u[..., a], at, order=1, mode="nearest") for a in range(3)]
    mapped = fixed.affine[:3, :3] @ (at + np.array(moved)) + fixed.affine[:3, 3:]
    return np.linalg.norm(mapped.T - moving_points, axis=1)


def smoothness(u: Array, mask: Array) -> dict[str, float]:
    """Return the folded percentage of the mask and the sd of log det, without the border of the grid."""
    from benchmarks.harness.folding import determinant

    inner = (slice(1, -1),) * 3
    det = determinant(u)[inner][mask[inner]]
    if not det.size:
        return {}
    log = np.log(np.clip(det, 1e-3, 1e3))
    return {"folded_percent": 100 * float((det <= 0).mean()), "sd_log_jacobian": float(log.std())}


def overlap(u: Array, task: Path, fixed: Scan, labels: list[int]) -> dict[str, Any]:
    segs = read(task / "fixed_seg.nii.gz"), read(task / "moving_seg.nii.gz")
    truth, warped = segs[0].values.round().astype(np.int32), warp_labels(u, fixed, segs[1])
    labels = labels or sorted(set(np.unique(truth)) & set(np.unique(segs[1].values.round())) - {0})
    per_label = {int(v): dice(truth == v, warped == v) for v in labels}
    distances = [hd95_mm(truth == v, warped == v, fixed.spacing_mm) for v in labels]
    means = {"dice": list(per_label.values()), "hd95_mm": distances}
    scores: dict[str, Any] = {k: float(np.nanmean(v)) for k, v in means.items() if np.isfinite(v).any()}
    return scores | {"dice_per_label": {k: round(v, 4) for k, v in per_label.items()}}


def score(task: Path, u: Array) -> dict[str, Any]:
    """Score a field on the pair in folder ``task`` (layout: see ``registration/compare.py``)."""
    meta = json.loads((task / "meta.json").read_text()) if (task / "meta.json").exists() else {}
    fixed = read(task / "fixed.nii.gz")
    scores: dict[str, Any] = {}
    if (task / "fixed_seg.nii.gz").exists():
        scores |= overlap(u, task, fixed, meta.get("labels", []))
    if (task / "fixed_lm.csv").exists():
        pair = [np.loadtxt(task / f"{s}_lm.csv", delimiter=",", ndmin=2)[:, :3] for s in ("fixed", "moving")]
        errors = landmark_errors_mm(u, fixed, *pair)
        scores |= {"tre_mm": float(errors.mean()), "tre_p95_mm": float(np.percentile(errors, 95))}
    return scores | smoothness(u, fixed.values > fixed.values.min())
