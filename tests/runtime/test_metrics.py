"""Metrics: laws, then a twin on scipy's distance transform."""

import numpy as np
import pytest
from fixtures.grids import GRIDS, OBLIQUE, grid
from scipy import ndimage

from mmreg_rt import Affine, Rigid, Volume
from mmreg_rt.errors import InputError
from mmreg_rt.metrics import dice, hd95_mm, tre_mm

SPACED = grid((20, 24, 22), (2.5, 0.8, 1.1), 30)


def blobs(seed, target=SPACED):
    """Two smooth random regions, labels 3 and 7."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=target.shape), 2)
    labels = np.where(smooth > np.percentile(smooth, 80), 3, 0)
    return Volume(np.where(smooth < np.percentile(smooth, 15), 7, labels).astype(np.int16), target)


def hd95_by_scipy(a, b, spacing):
    """Surfaces by erosion, distances by scipy's exact transform, both directions pooled."""
    inner = [ndimage.binary_erosion(m, ndimage.generate_binary_structure(3, 1)) for m in (a, b)]
    surfaces = [m & ~i for m, i in zip((a, b), inner, strict=True)]
    to_a, to_b = (ndimage.distance_transform_edt(~s, spacing) for s in surfaces)
    return np.percentile(np.concatenate([to_a[surfaces[1]], to_b[surfaces[0]]]), 95)


def test_a_map_agrees_with_itself_fully():
    labels = blobs(1)
    assert dice(labels, labels) == {3: 1.0, 7: 1.0}
    assert hd95_mm(labels, labels) == {3: 0.0, 7: 0.0}


def test_both_are_symmetric():
    a, b = blobs(1), blobs(2)
    assert dice(a, b) == dice(b, a)
    assert hd95_mm(a, b) == hd95_mm(b, a)


def test_dice_counts_shared_voxels():
    a, b = np.zeros((3, 1, 1, 10), int)[:2]
    a[..., :4], b[..., 2:8] = 1, 1
    b[..., 9] = 5  # in one map only
    target = grid((1, 1, 10), (1, 1, 1))
    assert dice(Volume(a, target), Volume(b, target)) == {1: 2 * 2 / (4 + 6), 5: 0.0}


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_plate_moved_along_an_axis_is_as_far_as_it_moved(axis):
    a = np.zeros(SPACED.shape, np.uint8)
    b = a.copy()
    np.moveaxis(a, axis, 0)[2:4] = 1
    np.moveaxis(b, axis, 0)[9:11] = 1
    moved = hd95_mm(Volume(a, SPACED), Volume(b, SPACED))
    assert moved[1] == pytest.approx(7 * SPACED.spacing_mm[axis])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_distance_is_that_of_the_twin(seed):
    a, b = blobs(seed), blobs(seed + 10)
    found = hd95_mm(a, b)
    for label in (3, 7):
        twin = hd95_by_scipy(a.data == label, b.data == label, SPACED.spacing_mm)
        assert found[label] == pytest.approx(twin, rel=1e-12)


def test_a_slice_has_a_contour_not_a_face():
    a, b = np.zeros((2, 1, 20, 20), np.uint8)
    a[0, 2:12, 2:12], b[0, 2:12, 5:15] = 1, 1
    target = grid((1, 20, 20), (9.0, 0.5, 0.5))
    # the edges parallel to the shift lie 1.5 mm apart; faces would have 0 at most of their voxels
    assert hd95_mm(Volume(a, target), Volume(b, target))[1] == pytest.approx(1.5)


def test_landmarks_that_the_transform_maps_onto_their_twins_have_no_error():
    points = np.random.default_rng(3).normal(0, 50, (10, 3))
    transform = Affine(np.array([[1.1, 0, 0, 3], [0, 0.9, 0.1, -2], [0, 0, 1, 5], [0, 0, 0, 1]]))
    np.testing.assert_allclose(tre_mm(transform, points, transform.map_points(points)), 0, atol=1e-12)
    np.testing.assert_allclose(tre_mm(Rigid(np.eye(4)), points, points + (3, 0, 4)), 5)


def test_maps_on_two_grids_are_not_compared():
    with pytest.raises(InputError, match="MMREG_E_LABELS_GRID"):
        dice(blobs(1), Volume(np.zeros(OBLIQUE.shape), OBLIQUE))
    with pytest.raises(InputError, match="MMREG_E_LABELS_GRID"):
        hd95_mm(blobs(1), blobs(1, GRIDS["plain"]))
