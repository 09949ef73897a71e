"""Split the people of the cardiac slices: the split of the LDM-Morph paper, and five folds.

    python -m benchmarks.datasets.prepare_cardiac DATA OUT

DATA contains camus_4ch.npz and acdc_midslice.npz. For each of the two, OUT gets ``SET_paper``, ``SET_fold0``
to ``SET_fold4``: a ``.json`` with the people (``mmreg-splits/1``) and a ``.toml`` that describes the data
with that split, for ``mmreg train --data``. The same data give the same files.

The paper's split has 400 people of CAMUS for training and 19 for the test, 70 and 5 of ACDC. Here some of the
training people are held back to select the best checkpoint, so that the test does not influence it: the
released code selects on the people that it reports.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.harness.machine import ROOT
from mmreg_train.data.splits import Splits

FOLDS = 5
SEED = 0
HELD_BACK = 0.05  # fraction of the training people used for validation


@dataclass(frozen=True)
class Slices:
    """A data set: its file, its description in train/descriptions, and people in the paper's test."""

    file: str
    description: str
    tested: int


SETS = {
    "camus": Slices("camus_4ch.npz", "camus_ed_to_es.toml", 19),
    "acdc": Slices("acdc_midslice.npz", "acdc_ed_to_es.toml", 5),
}


def divided(people: list[str], tested: list[str], seed: int = SEED) -> Splits:
    """Return a split with these people in the test, and a few of the others, drawn by seed, in val."""
    others = sorted(set(people) - set(tested))
    order = np.random.default_rng(seed).permutation(len(others))
    held = {others[i] for i in order[: max(1, round(HELD_BACK * len(others)))]}
    parts = {
        "train": tuple(person for person in others if person not in held),
        "val": tuple(sorted(held)),
        "test": tuple(sorted(tested)),
    }
    return Splits(parts, parts, seed)  # one case per person


def splits(people: list[str], tested: int, seed: int = SEED) -> dict[str, Splits]:
    """Return all splits by name; every person is in the test of one fold."""
    order = [people[i] for i in np.random.default_rng(seed).permutation(len(people))]
    paper = {"paper": divided(people, order[-tested:], seed)}
    return paper | {f"fold{k}": divided(people, order[k::FOLDS], seed) for k in range(FOLDS)}


def described(text: str, data: Path, split: Path) -> str:
    """Add the data folder and the split file to a description."""
    kind = 'kind = "pairs"\n'
    if text.count(kind) != 1 or "[split]" in text:
        raise ValueError("the description must be of kind pairs and without a split")
    placed = text.replace(kind, f"{kind}folder = {json.dumps(str(data))}\n")
    return f"{placed}\n[split]\nfile = {json.dumps(str(split))}\n"


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    data, out = args.data.resolve(), args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    for name, slices in SETS.items():
        with np.load(data / slices.file) as file:
            people = sorted(map(str, file["patient"]))
        text = (ROOT / "train" / "descriptions" / slices.description).read_text()
        for kind, split in splits(people, slices.tested).items():
            path = out / f"{name}_{kind}.json"
            split.write(path)
            path.with_suffix(".toml").write_text(described(text, data, path))
            print(f"{path}: " + ", ".join(f"{len(split.people[part])} {part}" for part in split.people))


if __name__ == "__main__":
    main()
