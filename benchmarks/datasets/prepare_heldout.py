"""Prepare registration pairs as folders.

    python -m benchmarks.datasets.prepare_heldout DATA OUT [--pairs LIST.toml] [--only A,B] [--raw]

The list (default ``heldout_pairs.toml``, which documents its fields) names the scans below DATA. Every pair
becomes a folder of OUT in the layout documented in ``registration/compare.py``. Complete folders are not
rewritten. ``--raw`` keeps both scans on their own grids, unaligned: for a registration that includes the
affine alignment.

Needs antspyx (resampling, and the affine start common to all methods), nibabel and scipy.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

try:
    import tomllib
except ImportError:  # Python 3.10; pytest brings tomli there
    import tomli as tomllib

Array = NDArray[Any]
Scan = tuple[Array, Array]  # (X, Y, Z) values, 4x4 affine; axes nearest to RAS+
Pair = dict[str, Any]

FEWEST_VOXELS = 100  # regions smaller than this in either scan are not scored
ILL_DEFINED = (46, 49, 50, 63, 64, 69)  # CSF, vessels, optic chiasm: too thin for a Dice
# Neuromorphometrics ids in the order of the structures that the templates share with the people.
STRUCTURES = {45: 1, 44: 2, 52: 5, 51: 6, 41: 7, 40: 8, 39: 9, 38: 10, 60: 11, 59: 12, 37: 13, 36: 14}
STRUCTURES |= {58: 15, 57: 16, 56: 17, 55: 18, 48: 19, 47: 20, 32: 21, 31: 22, 35: 23}
STRUCTURES |= {i: 3 if i % 2 else 4 for i in range(100, 208)}  # cortex, right and left


def read(path: Path) -> Scan:
    image = nib.as_closest_canonical(nib.load(path))
    return image.get_fdata(dtype=np.float32), image.affine


def write(scan: Scan, path: Path) -> None:
    nib.save(nib.Nifti1Image(scan[0].astype(np.float32), scan[1]), path)


def shared_structures(labels: Array) -> Array:
    """Map region ids to the ids that the labels of templates and people share."""
    merged = np.zeros_like(labels)
    for region, structure in STRUCTURES.items():
        merged[labels == region] = structure
    return merged


def inverted(t1: Array) -> Array:
    """Return a T2-like contrast of a skull-stripped T1: CSF bright, white matter dark, noise of 3 %."""
    brain = t1 > 0
    scaled = np.clip(t1 / np.percentile(t1[brain], 99), 0, 1)
    noise = 0.03 * np.random.default_rng(0).standard_normal(t1.shape)
    values = np.clip(1.05 - scaled**0.8 + noise, 0, 2)
    return np.where(ndimage.binary_erosion(brain), values, 0).astype(np.float32)


def brain_only(scan: Scan, labels: Scan) -> Scan:
    """Remove the head from a template: mask with its labels, dilated, closed and filled."""
    to_labels = np.linalg.inv(labels[1]) @ scan[1]
    labelled = (labels[0] > 0).astype(np.float32)
    inside = ndimage.affine_transform(labelled, to_labels, output_shape=scan[0].shape, order=1)
    mask = ndimage.binary_closing(ndimage.binary_dilation(inside > 0.3), iterations=3)
    return scan[0] * ndimage.binary_fill_holes(mask), scan[1]


def points(path: Path) -> Array:
    """Read the points of a legacy VTK polydata file in LPS mm, as (N, 3) RAS mm."""
    words = path.read_text().split()
    start = words.index("POINTS")
    values = np.array(words[start + 3 : start + 3 + 3 * int(words[start + 1])], np.float64)
    return values.reshape(-1, 3) * (-1, -1, 1)


def load(pair: Pair, data: Path) -> dict[str, Scan]:
    """Load the scans and label maps of a pair, with the contrast and regions of the list."""
    scans = {"fixed": read(data / pair["fixed"]), "moving": read(data / pair["moving"])}
    if "fixed_labels" in pair:
        scans["fixed_seg"] = read(data / pair["fixed_labels"])
        scans["moving_seg"] = read(data / pair["moving_labels"])
    if pair.get("brain_only"):
        scans["moving"] = brain_only(scans["moving"], scans["moving_seg"])
    if pair.get("contrast") == "inverted":
        scans["moving"] = inverted(scans["moving"][0]), scans["moving"][1]
    if pair.get("labels") == "structures":
        for name in ("fixed_seg", "moving_seg"):
            scans[name] = shared_structures(scans[name][0]), scans[name][1]
    return scans


def align(pair: Pair, scans: dict[str, Scan]) -> dict[str, Any]:
    """Resample the pair to one grid as ANTs images: fixed resampled, moving aligned by the affine start."""
    import ants

    with tempfile.TemporaryDirectory() as folder:
        for name, scan in scans.items():
            write(scan, Path(folder) / f"{name}.nii.gz")
        images = {name: ants.image_read(str(Path(folder) / f"{name}.nii.gz")) for name in scans}
    if "spacing_mm" in pair:
        smooth = ants.smooth_image(images["fixed"], 0.5 * pair["spacing_mm"])
        images["fixed"] = ants.resample_image(smooth, (pair["spacing_mm"],) * 3, False, 0)
        seg = ants.resample_image_to_target(images["fixed_seg"], images["fixed"], "genericLabel")
        images["fixed_seg"] = seg
    moves: list[str] = []
    if pair["affine"] == "mattes":
        result = ants.registration(images["fixed"], images["moving"], "Affine", aff_metric="mattes")
        moves = result["fwdtransforms"]
    elif ants.image_physical_space_consistency(images["fixed"], images["moving"]):
        return images
    for name, how in (("moving", "linear"), ("moving_seg", "genericLabel")):
        if name in images:
            images[name] = ants.apply_transforms(images["fixed"], images[name], moves, how)
    return images


def scored_labels(pair: Pair, fixed: Array, moving: Array) -> list[int]:
    dropped = ILL_DEFINED if pair["labels"] == "regions" else ()
    ids, counts = np.unique(fixed.round().astype(int), return_counts=True)
    in_moving = moving.round().astype(int)
    frequent = [int(v) for v in ids[counts >= FEWEST_VOXELS] if v and v not in dropped]
    return [v for v in frequent if (in_moving == v).sum() >= FEWEST_VOXELS]


def build(pair: Pair, data: Path, folder: Path, raw: bool = False) -> None:
    """Write the folder of one pair; ``meta.json`` is last and marks it as complete."""
    scans = load(pair, data)
    folder.mkdir(parents=True, exist_ok=True)
    if raw:
        for name, scan in scans.items():
            write(scan, folder / f"{name}.nii.gz")
    else:
        images = align(pair, scans)
        for name, image in images.items():
            image.to_file(str(folder / f"{name}.nii.gz"))
        scans = {name: (image.numpy(), np.eye(4)) for name, image in images.items()}
    meta: dict[str, Any] = {"aligned": not raw}
    if "fixed_seg" in scans:
        meta["labels"] = scored_labels(pair, scans["fixed_seg"][0], scans["moving_seg"][0])
    for side in ("fixed", "moving"):
        if f"{side}_landmarks" in pair:
            landmarks = np.concatenate([points(data / path) for path in pair[f"{side}_landmarks"]])
            np.savetxt(folder / f"{side}_lm.csv", landmarks, "%.4f", ",")
    (folder / "meta.json").write_text(json.dumps(meta))


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--pairs", type=Path, default=Path(__file__).with_name("heldout_pairs.toml"))
    parser.add_argument("--only", default="", help="comma-separated names; default: all")
    parser.add_argument("--raw", action="store_true", help="native grids, unaligned")
    args = parser.parse_args()
    if not args.raw and find_spec("ants") is None:
        print("SKIPPED the held-out pairs: antspyx is needed to align them: pip install antspyx")
        return
    for pair in tomllib.loads(args.pairs.read_text())["pair"]:
        folder = args.out / pair["name"]
        if (not args.only or pair["name"] in args.only.split(",")) and not (folder / "meta.json").exists():
            build(pair, args.data, folder, args.raw)
            print(folder, flush=True)


if __name__ == "__main__":
    main()
