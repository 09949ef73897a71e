"""The benchmark of known warps: the truth scores no error, and nobody who was learned from is scored."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="it deforms scans with the training's code")
known_warps = pytest.importorskip("benchmarks.accuracy.known_warps")
prepare_aligned = pytest.importorskip("benchmarks.datasets.prepare_aligned")

FACTS = {"name": "discs", "licence": "CC0", "credit": "", "modalities": '["MR", "CT"]'}


@pytest.fixture
def data(tmp_path):
    """Two slices of each of three people: a disc in a disc."""
    rows, columns = np.indices((64, 48))
    slices = {}
    for person, radius in (("p1", 15), ("p2", 17), ("p3", 19)):
        for number in range(2):
            distance = np.hypot(rows - 32, columns - 24 - number)
            label = (distance < radius).astype(int) + (distance < radius / 2)
            slices[f"{person}-{number:03d}"] = (
                (100 * label).astype(np.uint8),
                (200 - 90 * label).astype(np.uint8),
                label,
            )
    people = {"train": ["p1"], "val": ["p2"], "test": ["p3"]}
    prepare_aligned.write(slices, people, FACTS, tmp_path / "data")
    return tmp_path / "data"


def test_the_truth_scores_no_error(data):
    cases = known_warps.chosen(data, "test", 40)
    assert [case.people for case in cases] == [("p3",)] * 2
    settings = known_warps.WarpSettings(largest_vox=(3, 3), scale_vox=16)
    pair = known_warps.pair_of(cases[0], 0, settings, 0)
    truth = known_warps.scores(pair.batch.displacement, pair)
    start = known_warps.scores(torch.zeros_like(pair.batch.displacement), pair)
    assert truth["endpoint_px"] == 0
    assert truth["dice"] > 0.97 > start["dice"]
    assert start["endpoint_px"] > 0.5
    again = known_warps.pair_of(cases[0], 0, settings, 0)
    np.testing.assert_array_equal(pair.moving.data, again.moving.data)


def test_a_displacement_in_mm_becomes_one_in_pixels(data):
    pair = known_warps.pair_of(
        known_warps.chosen(data, "test", 1)[0], 0, known_warps.WarpSettings(largest_vox=(2, 2)), 0
    )
    u = pair.batch.displacement[0].numpy()
    affine = pair.fixed.grid.affine
    mm = np.tensordot(affine[:3, :3], np.concatenate([np.zeros_like(u[:1]), u])[:, None], 1)
    np.testing.assert_allclose(known_warps.in_pixels(mm, affine)[0], u, atol=1e-6)
    column = np.eye(4)[:3, 2]  # the last axis
    assert affine[:3, :3] @ column[:3] == pytest.approx([1, 0, 0])  # runs to the right


def test_people_that_a_run_knows_are_refused(data, tmp_path):
    cases = known_warps.chosen(data, "test", 40)
    for part, refused in (("train", True), ("val", True), ("test", False)):
        people = {name: ["p3"] if name == part else [] for name in ("train", "val", "test")}
        (tmp_path / "splits.json").write_text(json.dumps({"people": people}))
        if refused:
            with pytest.raises(SystemExit, match="p3"):
                known_warps.refuse_seen(cases, [tmp_path])
        else:
            known_warps.refuse_seen(cases, [tmp_path])


def test_classes_of_intensities_go_from_dark_to_bright():
    drawn = np.concatenate([np.full(50, 10.0), np.full(30, 100.0), np.full(20, 200.0)])
    np.testing.assert_array_equal(prepare_aligned.classes(drawn), np.repeat([1, 2, 3], [50, 30, 20]))


def test_the_head_is_its_largest_part_without_the_headrest():
    rows, columns = np.indices((64, 64))
    disc = np.hypot(rows - 28, columns - 32) < 20
    mr, ct = np.where(disc, 90, 0), np.where(disc | (rows == 60), 255, 0)
    mr[26:30, 30:34] = 0
    ct[26:30, 30:34] = 0
    found = prepare_aligned.head(mr, ct)
    assert found[28, 32]
    assert not found[60].any()
    assert np.mean(found == disc) > 0.99
