"""Cardiac slices: splits that keep people apart, and figures that agree with what is known of a pair."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs PyTorch")
from benchmarks.accuracy import cardiac  # noqa: E402
from benchmarks.datasets import prepare_cardiac  # noqa: E402
from benchmarks.harness.machine import ROOT  # noqa: E402
from fixtures.bundle_parts import WIDE, files, manifest  # noqa: E402

from mmreg_rt.bundle import write_bundle  # noqa: E402
from mmreg_rt.preprocess import PreprocessSpec  # noqa: E402

PEOPLE = [f"patient{number:03}" for number in range(23)]


def discs(center, radius, shape=(48, 64)):
    """A bright ring around a disc, as an image and as labels 2 and 3."""
    y, x = np.indices(shape)
    distance = np.hypot(y - center[0], x - center[1])
    image = 40 + 160 / (1 + np.exp(distance - radius)) + 60 * np.exp(-((distance - radius - 4) ** 2) / 8)
    return image.astype(np.uint8), np.where(
        distance < radius, 3, np.where(distance < radius + 6, 2, 0)
    ).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Two people whose hearts get smaller and move."""
    frames = {
        "ed": [discs((22, 30), 12), discs((26, 35), 11)],
        "es": [discs((24, 34), 10), discs((24, 31), 9)],
    }
    arrays = {
        f"{time}_{kind}": np.stack([frame[at] for frame in found])
        for time, found in frames.items()
        for at, kind in enumerate(("image", "label"))
    }
    spacing = np.array([[0.8, 1.6], [1.2, 1.1]], np.float32)
    np.savez(tmp_path / "acdc_midslice.npz", patient=PEOPLE[:2], spacing_mm=spacing, **arrays)
    return tmp_path


def test_every_person_is_in_one_part_and_in_the_test_of_one_fold():
    made = prepare_cardiac.splits(PEOPLE, 5)
    assert made == prepare_cardiac.splits(PEOPLE, 5)
    assert set(made) == {"paper", *(f"fold{k}" for k in range(5))}
    for split in made.values():
        listed = [person for part in split.people.values() for person in part]
        assert sorted(listed) == PEOPLE
        assert all(split.people.values())
    assert len(made["paper"].people["test"]) == 5
    tested = [person for k in range(5) for person in made[f"fold{k}"].people["test"]]
    assert sorted(tested) == PEOPLE
    assert made["paper"].people["test"] != prepare_cardiac.splits(PEOPLE, 5, seed=1)["paper"].people["test"]


@pytest.mark.parametrize("name", prepare_cardiac.SETS)
def test_descriptions_move_end_diastole_and_name_their_split(name, tmp_path):
    pytest.importorskip("pydantic")
    from mmreg_train.config.dataset import read_description

    text = (ROOT / "train" / "descriptions" / prepare_cardiac.SETS[name].description).read_text()
    path = tmp_path / "data.toml"
    path.write_text(prepare_cardiac.described(text, tmp_path, tmp_path / "split.json"))
    found, folder = read_description(path)
    assert folder == tmp_path
    assert found.split.file == str(tmp_path / "split.json")
    assert (found.arrays.moving, found.arrays.fixed) == ("ed_image", "es_image")
    assert (found.arrays.moving_label, found.arrays.fixed_label) == ("ed_label", "es_label")
    assert set(found.labels) == set(cardiac.SETS[name][1])
    with pytest.raises(ValueError, match="without a split"):
        prepare_cardiac.described(path.read_text(), tmp_path, tmp_path)


def test_the_solver_brings_the_labels_together(folder):
    """On unequal spacings, so that an axis or a sign that is taken for another is seen."""
    held_out = cardiac.pairs(folder / "acdc_midslice.npz", PEOPLE[:2])
    before = [cardiac.scored(cardiac.start, pair, (3, 2))["dice"] for pair in held_out]
    solver = cardiac.method_of("solver", None, 1)
    after = [cardiac.scored(solver, pair, (3, 2)) for pair in held_out]
    assert max(before) < 0.75
    assert all(found["dice"] > 0.85 for found in after)
    assert all(found["served_folded_percent"] == 0 and found["ms"] > 0 for found in after)


def test_a_network_may_be_followed_by_the_solver(folder, tmp_path):
    """The network of the tests is a difference of images, which brings nothing together; the solver does."""
    pytest.importorskip("onnxruntime")
    made = manifest(2, preprocess=PreprocessSpec(None, 4).as_dict(), intended_use=WIDE)
    path = tmp_path / "tiny.mmreg"
    write_bundle(path, made, files(2))
    held_out = cardiac.pairs(folder / "acdc_midslice.npz", PEOPLE[:2])
    alone, followed = (
        [cardiac.scored(method, pair, (3, 2))["dice"] for pair in held_out]
        for method in (cardiac.method_of(name, path, 1) for name in ("tiny", "tiny+solver"))
    )
    assert max(alone) < 0.75
    assert min(followed) > 0.85


def test_a_report_has_means_intervals_and_the_paper_beside_them(folder):
    held_out = cardiac.pairs(folder / "acdc_midslice.npz", PEOPLE[:2])
    args = SimpleNamespace(set="acdc", threads=1)
    found = cardiac.measured("start", [None, None], [held_out[:1], held_out[1:]], args)
    dices = [person["dice"] for person in found["per_person"]]
    assert found["people"] == 2
    assert found["dice"] == pytest.approx(np.mean(dices))
    assert found["dice_interval"] == pytest.approx(sorted(dices))  # of two people: each alone is the least
    text = cardiac.table({"set": "acdc", "methods": [found]})
    assert f"| start | {np.mean(dices):.3f}" in text
    assert "| paper: LDM-Morph | 0.850 (0.053) | - | 0.157 | - | 120 |" in text
    json.dumps(found)


def test_what_a_field_folds_is_counted_inside_the_border():
    u = np.zeros((1, 12, 12, 3))
    assert cardiac.folded_percent(u) == 0
    u[..., 2] = -2 * np.arange(12)  # x - 2x: all of it
    assert cardiac.folded_percent(u) == 100


def test_bundles_are_one_for_each_split():
    assert cardiac.bundles_of("a=x,y", 2) == ("a", ["x", "y"])
    assert cardiac.bundles_of("solver", 2) == ("solver", [None, None])
    with pytest.raises(SystemExit, match="3 splits; found 1"):
        cardiac.bundles_of("a=x", 3)
    with pytest.raises(SystemExit, match="'demons'"):
        cardiac.method_of("demons", None, 1)
