"""Removal of folds: what folds no longer does, what does not keeps every bit; on every target."""

import numpy as np
import pytest
from reference.refinement import smallest_of_nine
from scipy import ndimage

from mmreg_rt import _native

FLOOR, ROUNDS = 0.02, 64
SHAPES = ((1, 1, 1), (1, 21, 40), (2, 3, 3), (12, 14, 17))


def smooth(rng, shape, amplitude):
    """Random vectors, smoothed over two voxels, of the given standard deviation."""
    u = ndimage.gaussian_filter(rng.normal(0, 1, (3, *shape)), (0, 2, 2, 2))
    return (amplitude * u / max(u.std(), 1e-9)).astype(np.float32)


@pytest.mark.parametrize("amplitude", [4.0, 8.0])
@pytest.mark.parametrize("shape", SHAPES[1::2])
def test_a_folded_field_becomes_free_of_folds(target, shape, amplitude, rng):
    u = smooth(rng, shape, amplitude)
    assert smallest_of_nine(u).min() < 0  # there is something to do
    found, left = _native.remove_folds(u, FLOOR, ROUNDS, target=target)
    assert left == 0
    assert smallest_of_nine(found).min() > FLOOR - 1e-4  # determinants of float32
    assert max(_native.folding(found)["count"]) == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_rough_noise_becomes_free_of_folds(target, shape, rng):
    u = rng.normal(0, 2, (3, *shape)).astype(np.float32)
    found, left = _native.remove_folds(u, FLOOR, ROUNDS, target=target)
    assert left == 0
    assert smallest_of_nine(found).min() > FLOOR - 1e-4


@pytest.mark.parametrize("shape", SHAPES)
def test_a_field_without_folds_keeps_every_bit(target, shape, rng):
    u = smooth(rng, shape, 1.0)
    least = smallest_of_nine(u).min()
    u *= np.float32(1 if least > 0.1 else 0.25)
    assert smallest_of_nine(u).min() > FLOOR
    found, left = _native.remove_folds(u, FLOOR, ROUNDS, target=target)
    assert left == 0
    np.testing.assert_array_equal(found, u)


def test_far_from_a_fold_no_bit_changes(target, rng):
    u = smooth(rng, (14, 20, 60), 0.2)
    u[2, 7, 10, 12] += 2.0  # overtakes its neighbour
    found, left = _native.remove_folds(u, FLOOR, ROUNDS, target=target)
    assert left == 0
    changed = np.argwhere((found != u).any(0))
    assert len(changed)
    assert np.abs(changed - [7, 10, 12]).max() <= 4  # a few rounds, each of which reaches a voxel or two


def test_what_is_left_is_counted_honestly(target, rng):
    u = rng.normal(0, 0.6, (3, 6, 7, 19)).astype(np.float32)
    least = smallest_of_nine(u)
    assert np.abs(least - FLOOR).min() > 1e-5  # no determinant so near that float32 decides
    found, left = _native.remove_folds(u, FLOOR, 0, target=target)
    np.testing.assert_array_equal(found, u)
    assert left == (least < FLOOR).sum() > 0


def test_threads_do_not_change_a_bit(target, rng):
    u = smooth(rng, (12, 14, 17), 4.0)
    one, many = (_native.remove_folds(u, FLOOR, ROUNDS, threads=t, target=target) for t in (1, 5))
    np.testing.assert_array_equal(one[0], many[0])
    assert one[1] == many[1]


@pytest.mark.parametrize("shape", SHAPES)
def test_folds_are_counted_without_a_change(target, shape, rng):
    u = rng.normal(0, 2, (3, *shape)).astype(np.float32)
    least = smallest_of_nine(u)
    near = np.abs(least - FLOOR) < 1e-3  # where float32 and float64 may disagree
    found = _native.count_folds(u, FLOOR, target=target)
    assert abs(found - (least < FLOOR).sum()) <= near.sum()
    assert _native.remove_folds(u, FLOOR, 0, target=target)[1] == found
    assert _native.count_folds(np.zeros_like(u), FLOOR, target=target) == 0
