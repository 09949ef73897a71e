"""Prepare aligned slices of two modalities with tissue masks, for `mmreg train` and `known_warps.py`.

    python -m benchmarks.datasets.prepare_aligned harvard HARVARD OUT
    python -m benchmarks.datasets.prepare_aligned t1t2 PEOPLE OUT [--template TEMPLATE]

``HARVARD`` contains CASE_mr.png and CASE_ct.png, MR and CT slices of 256 x 256 of the Whole Brain Atlas,
where CASE is the number of a person and three digits of the slice. ``PEOPLE`` contains NAME_t1.nii.gz and
NAME_t2.nii.gz, skull-stripped and on one grid (Lesjak et al. 2017); ``TEMPLATE`` the avg152 T1 and T2 of SPM
and its brain mask, which is not a person and is used for validation.

OUT gets ``slices.npz`` (``fixed``, ``moving``, ``label``, ``case``, ``spacing_mm``; rows run to the front of
the head, columns to its right), ``data.toml`` that describes it, and ``people.json``, the split.

Masks are from thresholds, not from an expert: the head, where either image is bright; in it bone, where CT is
brightest, and three classes of MR (or T1) intensity by k-means, per slice for the atlas and per person
otherwise. 0 is outside, so that a label above 0 is the head.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.processing import resample_from_to
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[Any]
Slices = dict[str, tuple[Array, Array, Array]]  # by case: fixed and moving uint8, and label, (H, W) each

HARVARD_PEOPLE = {"train": ["2", "16", "20", "28"], "val": ["34"], "test": ["21", "32"]}
T1T2_PEOPLE = {"train": ["ms07"], "val": ["template"], "test": ["ms19"]}
DARK = 20  # of 255: pixels below it in both images are not the head
BONE = 250  # of 255, in the intensity window of the saved CT slices
FEWEST_VOXELS = 3000  # brain pixels of 1 mm that a slice needs
DESCRIPTION = """format = "mmreg-data/1"
name = "{name}"
kind = "pairs"
licence = "{licence}"
credit = "{credit}"
modalities = {modalities}
anatomy = "head"
layout = "npz"

[files]
npz = "slices.npz"

[arrays]
fixed = "fixed"
moving = "moving"
fixed_label = "label"
moving_label = "label"
spacing_mm = "spacing_mm"
case = "case"

[person]
regex = "(.+)-[0-9]+"

[split]
file = "people.json"
"""


def classes(intensities: Array, count: int = 3) -> Array:
    """Return the class of each value, 1 (dark) to ``count``: 1-D k-means from equal-sized groups."""
    centres = np.quantile(intensities, (np.arange(count) + 0.5) / count)
    for _ in range(50):
        borders = (centres[1:] + centres[:-1]) / 2
        which = np.searchsorted(borders, intensities)
        centres = np.array(
            [intensities[which == k].mean() if (which == k).any() else centres[k] for k in range(count)]
        )
    return which + 1


def head(mr: Array, ct: Array) -> Array:
    """Return the mask of the head: the largest bright part without the headrest, holes filled."""
    parts, count = ndimage.label(ndimage.binary_opening((mr > DARK) | (ct > DARK), iterations=2))
    if count == 0:
        return np.zeros(mr.shape, bool)
    sizes = np.bincount(parts.ravel())[1:]
    return ndimage.binary_fill_holes(parts == 1 + int(sizes.argmax()))


def head_label(mr: Array, ct: Array) -> Array:
    """Return the masks of an MR slice and the aligned CT slice."""
    inside = head(mr, ct)
    bone = inside & (ct >= BONE)
    soft = inside & ~bone
    label = np.where(bone, 4, 0)
    label[soft] = classes(ndimage.median_filter(mr, 3)[soft].astype(float))
    return label


def harvard(folder: Path) -> Slices:
    """Read MR (fixed) and CT (moving) of every slice."""
    from PIL import Image

    slices = {}
    for path in sorted(folder.glob("*_mr.png")):
        name = path.name.removesuffix("_mr.png")
        # the images show the front on top and the right of the head on the left
        mr, ct = (
            np.asarray(Image.open(folder / f"{name}_{kind}.png").convert("L"))[::-1, ::-1]
            for kind in ("mr", "ct")
        )
        person, number = re.fullmatch(r"(\d+)(\d{3})", name).groups()
        slices[f"{person}-{number}"] = mr, ct, head_label(mr, ct)
    return slices


def t1t2(folder: Path, template: Path | None) -> Slices:
    """Read T1 (fixed) and T2 (moving) of every axial slice with enough brain."""
    slices: Slices = {}
    for path in sorted(folder.glob("*_t1.nii.gz")):
        person = path.name.removesuffix("_t1.nii.gz")
        t1, t2 = (scan(folder / f"{person}_{kind}.nii.gz") for kind in ("t1", "t2"))
        slices |= brain_slices(person, values(t1), values(t2), values(t1) > 0)
    if template is not None:
        names = "avg152T1", "avg152T2", "mask_ICV"
        parts = (resample_from_to(scan(template / f"{name}.nii.gz"), t1, order=1) for name in names)
        t1, t2, brain = map(values, parts)
        slices |= brain_slices("template", t1, t2, brain > 0.5 * brain.max())
    return slices


def brain_slices(person: str, t1: Array, t2: Array, brain: Array) -> Slices:
    """Cut axial slices of two volumes (X, Y, Z), scaled to 255 at their 99.9th percentile in the brain."""
    label = np.zeros(brain.shape, int)
    label[brain] = classes(t1[brain])
    images = [
        np.clip(255 * np.where(brain, part, 0) / np.percentile(part[brain], 99.9), 0, 255).astype(np.uint8)
        for part in (t1, t2)
    ]
    kept = np.flatnonzero(np.count_nonzero(label, axis=(0, 1)) >= FEWEST_VOXELS)
    return {f"{person}-{z:03d}": (images[0][:, :, z].T, images[1][:, :, z].T, label[:, :, z].T) for z in kept}


def scan(path: Path) -> Any:
    """Read an image with its axes closest to right, front, top."""
    return nib.as_closest_canonical(nib.load(path))


def values(image: Any) -> Array:
    """Return the values ``(X, Y, Z)`` float32."""
    return image.get_fdata(dtype=np.float32)


def padded(image: Array, shape: tuple[int, int]) -> Array:
    """Pad with zeros after the last row and column, up to ``shape``."""
    return np.pad(image, [(0, n - m) for n, m in zip(shape, image.shape)])


def write(slices: Slices, people: dict[str, list[str]], facts: dict[str, Any], out: Path) -> None:
    """Write the three files."""
    out.mkdir(parents=True, exist_ok=True)
    shape = tuple(np.max([fixed.shape for fixed, _, _ in slices.values()], axis=0))
    fixed, moving, label = (np.stack([padded(part[k], shape) for part in slices.values()]) for k in range(3))
    np.savez_compressed(
        out / "slices.npz",
        fixed=fixed,
        moving=moving,
        label=label.astype(np.uint8),
        case=np.array(list(slices)),
        spacing_mm=np.ones((len(slices), 2)),
    )
    (out / "data.toml").write_text(DESCRIPTION.format(**facts))
    (out / "people.json").write_text(json.dumps({"people": people}, indent=1) + "\n")
    print(f"{out}: {len(slices)} slices of {shape[0]} x {shape[1]}, {people}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=("harvard", "t1t2"))
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--template", type=Path, help="folder of the avg152 scans")
    args = parser.parse_args()
    if args.kind == "harvard":
        facts = {"name": "Whole Brain Atlas, MR and CT slices", "modalities": '["MR", "CT"]'}
        facts |= {"licence": "unclear", "credit": "Johnson and Becker, The Whole Brain Atlas, Harvard"}
        write(harvard(args.data), HARVARD_PEOPLE, facts, args.out)
    else:
        facts = {"name": "Brains with multiple sclerosis, T1 and T2", "modalities": '["MR T1", "MR T2"]'}
        facts |= {"licence": "CC BY 4.0", "credit": "Lesjak et al., Neuroinformatics 2018"}
        write(t1t2(args.data, args.template), T1T2_PEOPLE, facts, args.out)


if __name__ == "__main__":
    main()
