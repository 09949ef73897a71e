"""The comparison of backbones: who is left out, and what its table says."""

import json

import numpy as np
import pytest

for package in ("torch", "lightning", "pydantic", "nibabel", "scipy"):
    pytest.importorskip(package)
ablation = pytest.importorskip("benchmarks.accuracy.llm_ablation")


def run(backbone, seed, found, fold=0):
    pair = {"name": "a-b", "folded_percent": 0.5, "dice_start": {1: 0.5, 2: 0.3}, "dice_found": found}
    return {"task": "abdomen", "backbone": backbone, "fold": fold, "seed": seed, "pairs": [pair]}


def test_differences_are_between_runs_of_one_fold_and_seed():
    runs = [run("none", 0, {1: 0.6, 2: 0.3}), run("none", 1, {1: 0.8, 2: 0.2})]
    runs += [run("random", 1, {1: 0.9, 2: 0.2}), run("random", 0, {1: 0.7, 2: 0.3})]
    _, without, random = ablation.table(runs).splitlines()
    # means 0.45, 0.50 and 0.50, 0.55: sd 0.0354, and a gain of 0.05 in both
    assert without.split()[:6] == ["abdomen", "none", "2", "0.4000", "0.4750", "0.0354"]
    assert random.split()[:8] == [
        "abdomen",
        "random",
        "2",
        "0.4000",
        "0.5250",
        "0.0354",
        "+0.0500",
        "(0.0000)",
    ]
    assert without.split()[-4:] == ["1", "of", "2", "0.500"]  # label 2 loses 0.05 on average


def test_people_of_a_fold_are_in_no_training_pair(tmp_path):
    from mmreg_train.config.dataset import read_description
    from mmreg_train.data.layouts import find_cases
    from mmreg_train.data.splits import divide

    data = tmp_path / "data" / "abdomen_mr_ct"
    data.mkdir(parents=True)
    for name in ("ct00", "ct01", "ct03", "mr01", "mr02", "mr03"):
        for kind in ("image", "label"):
            ablation.write((np.zeros((2, 2, 2)), np.eye(4)), data / f"{name}_{kind}.nii.gz")
    path = ablation.described("abdomen", tmp_path / "data", tmp_path / "work", 1)
    described, folder = read_description(path)
    splits = divide(find_cases(described, folder), described.split, folder)
    assert splits.cases["test"] == ("ct01_image-mr02_image",)
    assert len(splits.cases["train"]) == 4 and splits.cases["val"] == ()
    assert not [name for name in splits.cases["train"] if "ct01" in name or "mr02" in name]
    written = json.loads((tmp_path / "work" / "splits" / "abdomen_fold1.json").read_text())
    assert written["people"]["test"] == ["ct01", "mr02"]
    with pytest.raises(SystemExit, match="0 to 2"):
        ablation.described("abdomen", tmp_path / "data", tmp_path / "work", 3)
