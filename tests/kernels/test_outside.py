"""What lies outside of an image, and voxels that are not finite: laws, then the twin, on every target."""

import numpy as np
import pytest
import reference.warp as reference

from mmreg_rt import _native

KINDS = ("nearest", "linear", "cubic")
SHAPES = ((1, 1, 1), (1, 9, 40), (5, 7, 3), (7, 11, 70))
AIR = np.float32(-1024.5)


def coefficients(image, kind, target):
    return _native.prefilter(image, target=target) if kind == "cubic" else image


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("outside", [AIR, np.float32(np.nan), np.float32(3e38)])
def test_far_outside_is_the_outside_value_alone_and_inside_has_nothing_of_it(target, kind, outside, rng):
    moving = rng.random((2, 6, 7, 40), np.float32)
    values = coefficients(moving, kind, target)
    far = np.full((3, 6, 7, 40), 1e5, np.float32)
    found = _native.warp(values, far, kind, outside=outside, target=target)
    np.testing.assert_array_equal(found, np.full_like(moving, outside))
    still = np.zeros_like(far)
    found = _native.warp(values, still, kind, outside=outside, target=target)
    np.testing.assert_array_equal(found, _native.warp(values, still, kind, target=target))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_warping_fades_into_the_outside_value_as_the_twin_does(target, kind, shape, rng):
    moving = rng.random((3, 5, 8, 37), np.float32)
    u = rng.normal(0, 4, (3, *shape)).astype(np.float32)
    found = _native.warp(moving, u, kind, outside=AIR, target=target)
    # values to 1024, positions with 24 bits of 70, a slope of 1024 within the voxel outside
    np.testing.assert_allclose(found, reference.warp(moving, u, kind, outside=AIR), atol=2e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_resampling_fades_into_the_outside_value_as_the_twin_does(target, kind, rng):
    moving = rng.random((1, 9, 10, 40), np.float32)
    index_map = np.array([[0.9, 0.1, 0, -2.3], [-0.1, 0.8, 0.05, 1.2], [0.02, 0, 1.1, -3.7]])
    found = _native.resample_affine(moving, index_map, (8, 11, 45), kind, outside=AIR, target=target)
    expected = reference.resample_affine(moving, index_map, (8, 11, 45), kind, outside=AIR)
    np.testing.assert_allclose(found, expected, atol=2e-2)  # as above


def test_a_voxel_half_outside_is_half_of_each(target):
    moving = np.full((1, 1, 1, 4), 100, np.float32)
    half = np.zeros((3, 1, 1, 4), np.float32)
    half[2] = 0.5
    found = _native.warp(moving, half, outside=-1000.0, target=target)
    np.testing.assert_array_equal(found[0, 0, 0], [100, 100, 100, -450])


def test_half_precision_has_an_outside_value_too(target, rng):
    moving = rng.random((1, 5, 6, 20), np.float32).astype(np.float16)
    u = rng.normal(0, 4, (3, 5, 6, 20)).astype(np.float32)
    wide = _native.warp(moving.astype(np.float32), u, outside=-8.0, target=target)
    found = _native.warp(moving, u, outside=-8.0, target=target)
    np.testing.assert_array_equal(found, wide.astype(np.float16))


def spoiled(rng, shape, *values):
    image = rng.random((1, *shape), np.float32)
    for value in values:
        image[0][rng.random(shape) < 0.05] = value
    return image


@pytest.mark.parametrize("values", [(np.nan,), (np.inf,), (-np.inf, np.nan)])
@pytest.mark.parametrize("kind", ["nearest", "linear"])
@pytest.mark.parametrize("shape", SHAPES)
def test_without_motion_every_voxel_keeps_its_value_beside_those_that_are_not_finite(
    target, kind, shape, values, rng
):
    moving = spoiled(rng, shape, *values)
    still = np.zeros((3, *shape), np.float32)
    np.testing.assert_array_equal(_native.warp(moving, still, kind, target=target), moving)
    same = _native.resample_affine(moving, np.eye(3, 4), shape, kind, target=target)
    np.testing.assert_array_equal(same, moving)


@pytest.mark.parametrize("kind", ["nearest", "linear"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_whole_voxels_of_motion_move_nan_and_nothing_more(target, kind, axis, rng):
    shape = (6, 7, 40)
    moving = spoiled(rng, shape, np.nan)
    u = np.zeros((3, *shape), np.float32)
    u[axis] = 1 + 1e-5  # as positions are rounded
    expected = np.roll(moving, -1, 1 + axis)
    expected[(slice(None),) * (1 + axis) + (-1,)] = 7
    found = _native.warp(moving, u, kind, outside=7, target=target)
    np.testing.assert_allclose(found, expected, atol=2e-5 * 7)


@pytest.mark.parametrize("values", [(np.nan,), (np.inf,), (-np.inf, np.inf, np.nan)])
@pytest.mark.parametrize("kind", ["nearest", "linear"])
@pytest.mark.parametrize("amplitude", [0.3, 4.0])
def test_what_is_not_finite_counts_as_in_the_twin(target, kind, amplitude, values, rng):
    moving = spoiled(rng, (9, 8, 37), *values)
    u = rng.normal(0, amplitude, (3, 7, 11, 70)).astype(np.float32)
    found = _native.warp(moving, u, kind, outside=np.nan, target=target)
    with np.errstate(invalid="ignore"):
        expected = reference.warp(moving, u, kind, outside=np.nan)
    # a weight within rounding of the least that counts may fall either way
    differ = np.isfinite(found) != np.isfinite(expected)
    assert differ.mean() < 1e-3
    np.testing.assert_allclose(found[~differ], expected[~differ], atol=3e-5)


def test_three_channels_lose_only_what_each_has_lost(target, rng):
    moving = rng.random((3, 6, 7, 40), np.float32)
    moving[1, 3, 3, 20] = np.nan
    u = np.full((3, 6, 7, 40), 0.25, np.float32)
    found = _native.warp(moving, u, target=target)
    assert np.isfinite(found[[0, 2]]).all()
    expected = np.zeros((6, 7, 40), bool)
    expected[2:4, 2:4, 19:21] = True
    np.testing.assert_array_equal(np.isnan(found[1]), expected)
