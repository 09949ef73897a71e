"""The scorer of the registration benchmark: known shifts, known overlaps, known distances."""

import json

import nibabel as nib
import numpy as np
import pytest
from benchmarks.harness import scoring

AFFINE = np.diag([1.5, 2.0, 3.0, 1.0])


def scan(values):
    return scoring.Scan(values.astype(np.float32), AFFINE)


def shift(shape, vector):
    return np.broadcast_to(np.float32(vector), (*shape, 3))


@pytest.fixture
def labels():
    values = np.zeros((16, 13, 12))
    values[3:8, 4:9, 5:8] = 1
    values[9:12, 4:9, 2:9] = 2
    return values


@pytest.fixture
def task(tmp_path, labels):
    """A pair whose moving scan is the fixed one, moved by two voxels along x: u = (2, 0, 0) undoes it."""
    moved = np.roll(labels, 2, 0)
    for name, values in (("fixed", labels), ("moving", moved)):
        nib.save(nib.Nifti1Image((10 * values).astype(np.float32), AFFINE), tmp_path / f"{name}.nii.gz")
        nib.save(nib.Nifti1Image(values.astype(np.float32), AFFINE), tmp_path / f"{name}_seg.nii.gz")
    points = np.array([[5.0, 8.0, 12.0], [9.0, 10.0, 15.0]])
    np.savetxt(tmp_path / "fixed_lm.csv", points, delimiter=",")
    np.savetxt(tmp_path / "moving_lm.csv", points + [3.0, 0, 0], delimiter=",")
    return tmp_path


def test_the_shift_that_was_applied_scores_perfectly(task, labels):
    found = scoring.score(task, shift(labels.shape, (2, 0, 0)))
    assert found["dice"] == 1
    assert found["hd95_mm"] == 0
    assert found["tre_mm"] == pytest.approx(0, abs=1e-5)  # float32 field, points of about 10 mm
    assert found["folded_percent"] == 0
    assert found["sd_log_jacobian"] == 0


def test_no_deformation_scores_the_overlap_and_the_distance_at_the_start(task, labels):
    found = scoring.score(task, shift(labels.shape, (0, 0, 0)))
    assert found["dice_per_label"] == {1: 0.6, 2: pytest.approx(1 / 3, abs=1e-4)}  # 3 of 5 and 1 of 3 slabs
    assert found["hd95_mm"] == 3  # two voxels of 1.5 mm
    assert found["tre_mm"] == pytest.approx(3)


def test_only_the_labels_of_the_meta_file_are_scored(task, labels):
    (task / "meta.json").write_text(json.dumps({"labels": [2]}))
    assert set(scoring.score(task, shift(labels.shape, (0, 0, 0)))["dice_per_label"]) == {2}


def test_labels_are_pulled_through_the_affine_of_a_moving_scan_on_another_grid(labels):
    fine = np.diag([0.75, 1.0, 1.5, 1.0])
    fine[:3, 3] = -0.375, -0.5, -0.75  # the same corner: eight fine voxels fill a coarse one
    moving = scoring.Scan(labels.repeat(2, 0).repeat(2, 1).repeat(2, 2).astype(np.float32), fine)
    found = scoring.warp_labels(shift(labels.shape, (0.1, 0.1, 0.1)), scan(labels), moving)
    np.testing.assert_array_equal(found, labels)


def test_dice_of_nothing_is_not_a_number():
    empty = np.zeros((3, 3, 3), bool)
    assert np.isnan(scoring.dice(empty, empty))
    assert np.isnan(scoring.hd95_mm(empty, ~empty, np.ones(3)))


def test_hd95_of_two_cubes_one_inside_the_other_is_their_gap():
    inner, outer = np.zeros((20, 20, 20), bool), np.zeros((20, 20, 20), bool)
    inner[8:12, 8:12, 8:12] = True
    outer[6:14, 6:14, 6:14] = True
    gaps = scoring.hd95_mm(inner, outer, np.ones(3))
    # of 352 surface voxels, 8 corners are sqrt(12) away and the 24 beside them 3: 2.3 % and 6.8 %
    assert gaps == 3


def test_the_surface_of_a_cube_at_the_border_is_closed():
    cube = np.ones((4, 4, 4), bool)
    assert scoring.surface(np.pad(cube, 1)).sum() == 4**3 - 2**3
