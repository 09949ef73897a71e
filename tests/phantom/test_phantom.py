"""The digital head: what it promises about its truth, its difficulty and its scans."""

import numpy as np
import pytest

from mmreg_rt.phantom import Tissue, phantom
from mmreg_rt.phantom.motion import Flow

SEEDS = (0, 1, 2, 3, 4)


@pytest.fixture(scope="module", params=SEEDS)
def coarse(request):
    """The whole pair of one seed with voxels three times as large: same head, same truth."""
    return phantom(request.param, scale=3)


@pytest.fixture(scope="module")
def full():
    return phantom(0)


def head_points(pair):
    return pair.fixed.grid.points_mm()[pair.head.ravel()]


def determinants(function, points, step_mm=1e-3):
    offsets = step_mm * np.eye(3)
    columns = [(function(points + o) - function(points - o)) / (2 * step_mm) for o in offsets]
    return np.linalg.det(np.stack(columns, -1))


def test_the_truth_is_inverted_to_a_nanometre(coarse):
    points = head_points(coarse)[::5]
    # float64 rounding of coordinates up to 200 mm; the contraction stops at 1e-10 mm in each of 4 steps
    there = coarse.truth.map_points(points)
    np.testing.assert_allclose(coarse.truth.inverse_points(there), points, atol=1e-6)


def test_the_truth_folds_nowhere(coarse):
    everywhere = coarse.fixed.grid.points_mm()[::5]
    assert determinants(coarse.truth.map_points, everywhere).min() > 0.3
    assert coarse.truth.flow.slope_bound < 1  # proves it between the voxels too


def test_the_start_is_at_least_12_mm_off(coarse):
    points = head_points(coarse)
    assert np.linalg.norm(coarse.truth.map_points(points) - points, axis=1).mean() >= 12


def test_the_pose_turns_by_10_degrees_or_more(coarse):
    assert coarse.truth.rotation_degrees >= 10
    np.testing.assert_allclose(np.linalg.det(coarse.truth.pose[:3, :3]), 1, atol=1e-12)


def test_95_percent_of_the_deformation_reaches_6_mm_even_without_its_affine_part(coarse):
    points = head_points(coarse)
    deformation = coarse.truth.flow.map_points(points) - points
    linear = np.c_[points, np.ones(len(points))]
    rest = deformation - linear @ np.linalg.lstsq(linear, deformation, rcond=None)[0]
    assert np.percentile(np.linalg.norm(deformation, axis=1), 95) >= 6
    assert np.percentile(np.linalg.norm(rest, axis=1), 95) >= 6


def test_the_two_grids_have_nothing_in_common(coarse):
    fixed, moving = coarse.fixed.grid, coarse.moving.grid
    assert fixed.shape != moving.shape
    assert fixed.spacing_mm != moving.spacing_mm
    assert fixed.is_oblique
    assert moving.is_oblique


def test_the_moving_scan_covers_the_head(coarse):
    inside = coarse.moving.grid.contains(coarse.truth.map_points(head_points(coarse)))
    assert inside.mean() > 0.97


def test_labels_agree_through_the_truth(coarse):
    """The fixed label at p is the moving label at T(p), but where T(p) lies near a border of a tissue."""
    points = head_points(coarse)
    index = np.rint(coarse.moving.grid.map_points(coarse.truth.map_points(points))).astype(int)
    seen = ((index >= 0) & (index < coarse.moving.grid.shape)).all(axis=1)
    there = coarse.moving_labels.data[tuple(index[seen].T)]
    here = coarse.fixed_labels.data[coarse.head][seen]
    # Voxels are 3.3 to 4.5 mm here, as thick as the cortex: most rounded positions stay in their tissue.
    assert (there == here).mean() > 0.6
    big = here == Tissue.CEREBELLUM  # a large compact region: rounding matters little
    assert np.isin(there[big], (Tissue.CEREBELLUM, Tissue.WHITE, Tissue.CSF, Tissue.VESSEL)).mean() > 0.9


def test_it_is_large_and_different_in_both_scans(full):
    assert min(full.fixed.data.shape) >= 128
    assert min(full.moving.data.shape) >= 128
    assert full.head.sum() > 1_000_000


def test_contrast_is_inverted_locally(full):
    def mean(volume, labels, tissue):
        return volume.data[labels.data == tissue].mean()

    mr = {t: mean(full.fixed, full.fixed_labels, t) for t in Tissue}
    ct = {t: mean(full.moving, full.moving_labels, t) for t in Tissue}
    assert mr[Tissue.BONE] < 0.5 * mr[Tissue.GREY]
    assert ct[Tissue.BONE] > ct[Tissue.GREY] + 500
    assert mr[Tissue.SINUS] < 0.5 * mr[Tissue.GREY]
    assert ct[Tissue.SINUS] < ct[Tissue.GREY] - 500
    assert mr[Tissue.WHITE] > mr[Tissue.GREY]
    assert ct[Tissue.WHITE] < ct[Tissue.GREY]
    assert mr[Tissue.FAT] > mr[Tissue.MUSCLE]
    assert ct[Tissue.FAT] < ct[Tissue.MUSCLE]


def test_signal_to_noise_is_at_most_20(full):
    """Noise from differences of neighbours in one tissue: neither bias nor texture counts as noise."""
    for volume, labels in ((full.fixed, full.fixed_labels), (full.moving, full.moving_labels)):
        white = labels.data == Tissue.WHITE
        pair = white[..., 1:] & white[..., :-1]
        noise = np.diff(volume.data.astype(float), axis=2)[pair].std() / np.sqrt(2)
        assert volume.data[white].mean() / noise <= 20


def test_the_coil_shades_the_mr_scan_by_a_quarter_or_more(full):
    white = full.fixed_labels.data == Tissue.WHITE
    low, high = np.percentile(full.fixed.data[white], (5, 95))
    assert high / low > 1.25  # noise alone (1 / 18) gives 1.2


def test_equal_seeds_give_equal_scans_and_others_another_person():
    one, same, other = phantom(7, scale=4), phantom(7, scale=4), phantom(8, scale=4)
    np.testing.assert_array_equal(one.fixed.data, same.fixed.data)
    np.testing.assert_array_equal(one.moving.data, same.moving.data)
    np.testing.assert_array_equal(one.truth.pose, same.truth.pose)
    assert (one.fixed_labels.data != other.fixed_labels.data).mean() > 0.05
    assert not np.allclose(one.truth.pose, other.truth.pose)


def test_the_truth_as_a_field_is_the_truth_at_every_voxel(coarse):
    field = coarse.truth.to_field(coarse.fixed.grid)
    points = coarse.fixed.grid.points_mm()
    expected = coarse.truth.map_points(points) - points
    # float32 displacements of up to 60 mm
    np.testing.assert_allclose(field.displacement_mm.reshape(3, -1).T, expected, atol=1e-5)


def test_a_flow_that_could_fold_is_refused():
    with pytest.raises(ValueError, match="must be below 1"):
        Flow(np.array([[1.0, 0, 0]]), np.zeros(1), np.array([[5.0, 0, 0]]))
