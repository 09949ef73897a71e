"""Gaussian, box and block means: laws, then the twins, on every target."""

import numpy as np
import pytest
import reference.filters

from mmreg_rt import _native

SHAPES = ((1, 1, 1), (1, 9, 40), (7, 1, 5), (5, 7, 3), (16, 16, 16), (17, 31, 33), (3, 70, 130))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sigma", [(2.0, 2.0, 2.0), (0.0, 1.3, 0.4), (5.0, 0.7, 3.1)])
def test_gaussian_agrees_with_the_reference(target, shape, channels, sigma, rng):
    image = rng.random((channels, *shape), np.float32)
    expected = reference.filters.gaussian(image, sigma)
    # three sums of at most 41 rounded terms of a mean of values below 1
    np.testing.assert_allclose(_native.gaussian(image, sigma, target=target), expected, atol=2e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("radius", [(2, 2, 2), (0, 1, 5), (9, 0, 3), (1, 20, 1)])
def test_box_agrees_with_the_reference(target, shape, radius, rng):
    image = rng.random((2, *shape), np.float32)
    expected = reference.filters.box(image, radius)
    # running sums round once per added and once per removed value
    np.testing.assert_allclose(_native.box(image, radius, target=target), expected, atol=5e-6)


@pytest.mark.parametrize("smooth", [_native.gaussian, _native.box])
def test_smoothing_keeps_a_constant_and_does_not_depend_on_threads(target, smooth, rng):
    constant = np.full((1, 9, 70, 21), 0.75, np.float32)
    np.testing.assert_allclose(smooth(constant, (2, 1, 3), target=target), constant, rtol=1e-6)
    image = rng.random((2, 9, 70, 21), np.float32)
    one = smooth(image, (2, 1, 3), threads=1, target=target)
    np.testing.assert_array_equal(smooth(image, (2, 1, 3), threads=5, target=target), one)


def test_gaussian_of_an_impulse_is_its_kernel(target):
    image = np.zeros((1, 1, 1, 41), np.float32)
    image[..., 20] = 1
    x = np.arange(41) - 20.0
    expected = np.exp(-(x**2) / 8) * (abs(x) <= 8)
    smoothed = _native.gaussian(image, (0, 0, 2), target=target)[0, 0, 0]
    np.testing.assert_allclose(smoothed, expected / expected.sum(), atol=1e-7)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("factor", [(1, 1, 1), (2, 2, 2), (1, 4, 3), (6, 6, 6)])
def test_pool_agrees_with_the_reference(target, shape, factor, rng):
    image = rng.random((3, *shape), np.float32)
    expected = reference.filters.pool(image, factor)
    np.testing.assert_allclose(_native.pool(image, factor, target=target), expected, atol=1e-6)
    one = _native.pool(image, factor, threads=1, target=target)
    np.testing.assert_array_equal(_native.pool(image, factor, threads=3, target=target), one)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("factor", [(1, 1, 1), (2, 2, 2), (1, 4, 3), (6, 6, 6)])
@pytest.mark.parametrize("channels", [16, 32])
def test_pooled_features_agree_with_the_reference(target, shape, factor, channels, rng):
    features = rng.random((*shape, channels)).astype(np.float16)
    planar = np.moveaxis(features, -1, 0)
    expected = np.moveaxis(reference.filters.pool(planar, factor), 0, -1)
    pooled = _native.pool_features(features.view(np.uint16), factor, target=target).view(np.float16)
    np.testing.assert_allclose(pooled, expected, atol=2.5e-4)  # half a unit in the last place below 1


@pytest.mark.parametrize("smooth", [_native.gaussian, _native.box])
@pytest.mark.parametrize("shape", [(1, 1, 1), (9, 70, 21), (5, 200, 150)])
@pytest.mark.parametrize("threads", [1, 3])
def test_smoothing_in_place_gives_the_same_bits(target, smooth, shape, threads, rng):
    image = rng.random((2, *shape), np.float32)
    expected = smooth(image, (2, 4, 1), target=target)
    smooth(image, (2, 4, 1), out=image, threads=threads, target=target)
    np.testing.assert_array_equal(image, expected)
