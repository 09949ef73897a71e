"""Upper bound of what labels can give the solver: true labels as channels, other labels as the measure.

    python -m benchmarks.accuracy.brain_oracle DATA [--tasks t1_t1,t1_inverted,t1_ct,t1_t2] [--pairs 3]
        [--weights 1] [--threads N] [--results OUT.json]

Before a network is trained to label brain structures, true labels show whether labels would help. Half of the
23 structures that people and templates share are added to MIND-SSC as smooth channels, both sides of the body
in one half; the Dice of the other half is measured, and then the halves are swapped. Pairs are at 2 mm,
affinely aligned by mmreg_rt, with a different person in each fixed scan. Variants: the affine start; the
unchanged solver; MIND-SSC of the finest grid instead of every level, as for learned descriptors; this plus
the channels of the other half; and this plus all channels, which is an optimistic bound.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.accuracy.llm_ablation import PEOPLE, centred, words
from benchmarks.datasets.prepare_heldout import (
    FEWEST_VOXELS,
    Scan,
    brain_only,
    inverted,
    read,
    shared_structures,
)
from benchmarks.harness.machine import description as machine
from benchmarks.harness.scoring import dice
from mmreg_rt import Registrar, Volume, _native
from mmreg_rt.preprocess import PreprocessSpec, network_grid, normalise
from mmreg_rt.transform import Affine, Transform

Array = NDArray[Any]
Result = dict[str, Any]
Channels = tuple[Array, Array]  # (structures, D, H, W) of fixed and of moving

SPEC = PreprocessSpec(spacing_mm=2.0)
SPACING_MM = (SPEC.spacing_mm,) * 3
SMOOTH_VOX = 0.7  # smoothness of label edges, as in the output of a network
MIND_CHANNELS, PATCH_RADIUS, DILATION = 12, 1, 2
# Both sides of white matter, ventricle, cerebellar cortex, caudate, pallidum, amygdala; and of cortex,
# cerebellar white matter, thalamus, putamen, hippocampus, brain stem.
HALVES = ((1, 2, 5, 6, 9, 10, 13, 14, 17, 18, 21, 22), (3, 4, 7, 8, 11, 12, 15, 16, 19, 20, 23))


def person(data: Path, name: str) -> tuple[Scan, Scan]:
    image, labels = (read(data / f"brain_t1_labelled/{name}_{kind}.nii.gz") for kind in ("t1", "label"))
    return image, (shared_structures(labels[0]), labels[1])


def same_contrast(data: Path, name: str) -> tuple[Scan, Scan]:
    return person(data, PEOPLE[(PEOPLE.index(name) + 3) % len(PEOPLE)])


def other_contrast(data: Path, name: str) -> tuple[Scan, Scan]:
    image, labels = same_contrast(data, name)
    return (inverted(image[0]), image[1]), labels


def ct_template(data: Path, _: str) -> tuple[Scan, Scan]:
    image, labels = (
        read(data / f"brain_ct_template/hh_{kind}_2mm.nii.gz") for kind in ("template", "structures")
    )
    return image, (shared_structures(labels[0]), labels[1])


def t2_template(data: Path, _: str) -> tuple[Scan, Scan]:
    folder = data / "brain_mni_multicontrast"
    image, labels = (read(folder / f"{kind}.nii.gz") for kind in ("avg152T2", "labels_Neuromorphometrics"))
    return brain_only(image, labels), (shared_structures(labels[0]), labels[1])


TASKS: dict[str, Callable[[Path, str], tuple[Scan, Scan]]] = {
    "t1_t1": same_contrast,
    "t1_inverted": other_contrast,
    "t1_ct": ct_template,
    "t1_t2": t2_template,
}


def on_grid(fixed: tuple[Scan, Scan], moving: tuple[Scan, Scan]) -> tuple[Array, Array, Array, Array]:
    """Return images (float32, 0 to 1) and labels (int32) of fixed and moving, ``(D, H, W)`` on one grid."""
    volumes = [[Volume.from_array(*centred(scan)) for scan in pair] for pair in (fixed, moving)]
    alignment = Registrar(align="affine", deform=False).register(volumes[0][0], volumes[1][0]).affine
    assert alignment is not None
    grid = network_grid(volumes[0][0].grid, SPEC)
    arrays: list[Array] = []
    identity: Transform = Affine(np.eye(4))
    for (image, labels), transform in zip(volumes, (identity, alignment)):
        sigma_vox = 0.4 * np.maximum(SPEC.spacing_mm / np.array(image.grid.spacing_mm) - 1, 0)
        smooth = ndimage.gaussian_filter(normalise(image.as_float32(), SPEC), sigma_vox)
        arrays.append(transform.warp(Volume(smooth, image.grid), grid).data)
        arrays.append(
            transform.warp_labels(Volume(labels.as_labels(), labels.grid), grid).data.astype(np.int32)
        )
    fixed_image, fixed_labels, moving_image, moving_labels = (np.ascontiguousarray(a) for a in arrays)
    return np.float32(fixed_image), fixed_labels, np.float32(moving_image), moving_labels


def soft(labels: Array, ids: tuple[int, ...]) -> Array:
    """Return smooth indicators of labels, ``(len(ids), D, H, W)`` float32."""
    planes = np.stack([labels == label for label in ids]).astype(np.float32)
    return _native.gaussian(planes, (SMOOTH_VOX,) * 3)


def affine_part(images: tuple[Array, Array], threads: int) -> Array:
    """Return the affine map ``(3, 4)`` in indices that the solver applies before it requests descriptors.

    It depends on the images only.
    """
    settings = _native.deform(*images, SPACING_MM, overrides={"levels": []}, threads=threads)[1]
    return np.ascontiguousarray(settings["affine"][:3])


def solved(
    images: tuple[Array, Array], affine: Array, channels: Channels | None, weight: float, threads: int
) -> Array:
    """Return the displacement ``(3, D, H, W)`` with MIND-SSC of the finest grid and optional channels."""

    def describe(side: str, image: Array, planes: Array) -> None:
        planes[:MIND_CHANNELS] = _native.mind(np.array(image), PATCH_RADIUS, DILATION, threads=threads)
        if channels is not None and side == "fixed":
            planes[MIND_CHANNELS:] = weight * channels[0]
        elif channels is not None:  # warped like the image
            warped = _native.resample_affine(channels[1], affine, image.shape, threads=threads)
            planes[MIND_CHANNELS:] = weight * warped

    count = MIND_CHANNELS + (0 if channels is None else len(channels[0]))
    u: Array = _native.deform(*images, SPACING_MM, describe=describe, planes=count, threads=threads)[0]
    return u


def pair_scores(
    images: tuple[Array, Array], labels: tuple[Array, Array], weights: list[float], threads: int
) -> Result:
    """Return Dice by label and folds in percent of every variant and weight."""
    ids = tuple(
        v for half in HALVES for v in half if all((side == v).sum() >= FEWEST_VOXELS for side in labels)
    )
    affine = affine_part(images, threads)
    plain = _native.deform(*images, SPACING_MM, threads=threads)[0]
    scores: Result = {
        "start": scored(np.zeros_like(plain), labels, ids),
        "solver": scored(plain, labels, ids),
        "mind": scored(solved(images, affine, None, 0, threads), labels, ids),
    }
    for weight in weights:
        halves: Result = {"dice": {}, "folded_percent": 0.0}
        for seen, measured in (HALVES, HALVES[::-1]):
            channels = soft(labels[0], seen), soft(labels[1], seen)
            half = scored(
                solved(images, affine, channels, weight, threads), labels, [v for v in ids if v in measured]
            )
            halves["dice"] |= half["dice"]
            halves["folded_percent"] = max(halves["folded_percent"], half["folded_percent"])
        channels = soft(labels[0], ids), soft(labels[1], ids)
        scores[f"oracle_{weight:g}"] = halves
        scores[f"all_{weight:g}"] = scored(solved(images, affine, channels, weight, threads), labels, ids)
    return scores


def scored(u: Array, labels: tuple[Array, Array], ids: Iterable[int]) -> Result:
    """Return the Dice of each label under ``u``, and the percentage of folded voxels."""
    moved = _native.warp_labels(labels[1], u)
    per_label = {int(v): round(dice(labels[0] == v, moved == v), 4) for v in ids}
    folded = 100 * max(_native.folding(u)["count"]) / labels[0].size
    return {"dice": per_label, "folded_percent": round(folded, 4)}


def mean_dice(pair: Result, variant: str) -> float:
    return float(np.mean(list(pair["scores"][variant]["dice"].values())))


def table(pairs: list[Result], variants: list[str]) -> str:
    """Format mean Dice by task and variant, and the gain over the solver: mean, min and max over pairs."""
    lines = [
        f"{'task':12} {'variant':12} {'pairs':>5} {'Dice':>7}   {'minus solver':>12}   {'from':>7} {'to':>7}"
    ]
    for task in dict.fromkeys(pair["task"] for pair in pairs):
        of_task = [pair for pair in pairs if pair["task"] == task]
        for variant in variants:
            gains = [mean_dice(pair, variant) - mean_dice(pair, "solver") for pair in of_task]
            mean = np.mean([mean_dice(pair, variant) for pair in of_task])
            lines.append(f"{task:12} {variant:12} {len(of_task):5} {mean:7.4f}   {np.mean(gains):+12.4f}   "
                         f"{min(gains):+7.4f} {max(gains):+7.4f}")  # fmt: skip
    return "\n".join(lines)


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("data", type=Path)
    parser.add_argument("--tasks", type=words, default=list(TASKS))
    parser.add_argument("--pairs", type=int, default=3, help="pairs per task, at most 8")
    parser.add_argument("--weights", type=lambda text: [float(w) for w in words(text)], default=[2.0],
                        help="weights of a label channel; MIND-SSC channels are 0 to 1")  # fmt: skip
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--results", type=Path, help="write the figures here as JSON")
    args = parser.parse_args()
    pairs: list[Result] = []
    for task, name in ((task, name) for task in args.tasks for name in PEOPLE[: args.pairs]):
        fixed, fixed_labels, moving, moving_labels = on_grid(
            person(args.data, name), TASKS[task](args.data, name)
        )
        scores = pair_scores((fixed, moving), (fixed_labels, moving_labels), args.weights, args.threads)
        pairs.append({"task": task, "fixed": name, "scores": scores})
        print(
            f"{task} {name}: " + ", ".join(f"{v} {mean_dice(pairs[-1], v):.4f}" for v in scores), flush=True
        )
    print(table(pairs, list(pairs[0]["scores"])))
    if args.results:
        facts = {"benchmark": "brain_oracle", **machine(), "spacing_mm": SPEC.spacing_mm, "halves": HALVES}
        args.results.write_text(json.dumps({**facts, "pairs": pairs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
