"""Intensities to [0, 1] and constant images: laws, then the twin, on every target."""

import numpy as np
import pytest
from reference.intensities import normalise as twin

from mmreg_rt import _native

# the last one is more than what a thread of the CPU or a block of the device counts at once
SHAPES = ((1, 1, 1), (1, 9, 40), (2, 3, 3), (21, 34, 51))
KINDS = (("percentile", 0.5, 99.5), ("percentile", 0.0, 100.0), ("window", -0.7, 1.2), ("minmax", 0.0, 0.0))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind[0]} {kind[1]:g} {kind[2]:g}")
@pytest.mark.parametrize("shape", SHAPES)
def test_agrees_with_the_twin(target, shape, kind, rng):
    image = rng.normal(0, 1, shape).astype(np.float32)
    image[rng.random(shape) < 0.3] = -2.5  # a background below everything
    found, (smallest, largest, not_finite) = _native.normalise(image, *kind, target=target)
    np.testing.assert_allclose(found, twin(image, *kind), atol=3e-7)  # a few roundings of numbers below 1
    assert (smallest, largest, not_finite) == (image.min(), image.max(), 0)


@pytest.mark.parametrize("kind", KINDS[:1] + KINDS[2:], ids=lambda kind: kind[0])
def test_what_is_not_finite_becomes_0_and_is_counted(target, kind, rng):
    image = rng.normal(0, 1, (6, 7, 8)).astype(np.float32)
    image.ravel()[[0, 5, 9]] = np.nan, np.inf, -np.inf
    found, (_, _, not_finite) = _native.normalise(image, *kind, target=target)
    assert not_finite == 3
    np.testing.assert_allclose(found, twin(image, *kind), atol=3e-7)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind[0]} {kind[1]:g} {kind[2]:g}")
@pytest.mark.parametrize("value", [0.0, 7.5, np.nan])
def test_a_constant_image_is_0(target, kind, value):
    found, _ = _native.normalise(np.full((3, 4, 5), value, np.float32), *kind, target=target)
    assert not found.any()


def test_two_values_are_0_and_1(target):
    image = np.zeros((4, 5, 6), np.float32)
    image[1:3, 1:4] = 9  # percentiles of the voxels above the lowest value coincide
    found, _ = _native.normalise(image, "percentile", 0.5, 99.5, target=target)
    np.testing.assert_array_equal(found, image / 9)


@pytest.mark.parametrize("scale", [1e-38, 1e-33, 1e37])
def test_ranges_at_the_ends_of_float32(target, scale, rng):
    image = (rng.random((5, 6, 7)) * scale).astype(np.float32)
    found, _ = _native.normalise(image, "minmax", 0, 0, target=target)
    np.testing.assert_allclose(found, twin(image, "minmax", 0, 0), atol=1e-6)
    assert found.max() == 1


def test_zeros_of_both_signs_are_one_background(target, rng):
    image = np.abs(rng.normal(1, 0.2, (8, 9, 10))).astype(np.float32)
    image[:3] = 0.0
    image[3:5] = -0.0
    found, _ = _native.normalise(image, "percentile", 5, 95, target=target)
    np.testing.assert_allclose(found, twin(image, "percentile", 5, 95), atol=3e-7)


def test_threads_do_not_change_a_bit(target, rng):
    image = rng.normal(0, 1, (30, 40, 50)).astype(np.float32)
    one, many = (_native.normalise(image, "percentile", 1, 99, threads=n, target=target) for n in (1, 5))
    np.testing.assert_array_equal(one[0], many[0])


def test_a_rule_that_cannot_be_is_refused(target):
    image = np.zeros((2, 2, 2), np.float32)
    for kind in (("percentile", 60, 40), ("percentile", -1, 50), ("window", 3, 3), ("mean", 0, 1)):
        with pytest.raises(ValueError, match=r"percentile|kind"):
            _native.normalise(image, *kind, target=target)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 50, 70)])
def test_an_image_of_one_value(target, shape):
    np.testing.assert_array_equal(_native.fill(-2.5, shape, target=target), np.full(shape, -2.5, np.float32))
