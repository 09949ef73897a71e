"""Local correlation, joint histograms and percentiles: laws, then the twins, on every target."""

import numpy as np
import pytest
import reference.similarity

from mmreg_rt import _native

SHAPES = ((1, 1, 1), (1, 9, 40), (5, 7, 3), (17, 31, 33), (12, 70, 20))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("radius", [1, 4, 6])
def test_local_ncc_agrees_with_the_reference(target, shape, radius, rng):
    fixed = rng.random(shape, np.float32)
    moving = 3 * fixed + rng.random(shape, np.float32) + 100
    value, squared = reference.similarity.local_ncc(fixed, moving, radius)
    found, found_map = _native.local_ncc(fixed, moving, radius, target=target)
    # single-precision sums of up to 2197 products; 100 costs the voxels of `moving` 7 of their 24 bits
    np.testing.assert_allclose(found_map, squared, atol=2e-3)
    assert found == pytest.approx(value, abs=2e-4)
    assert _native.local_ncc_value(fixed, moving, radius, target=target) == found


@pytest.mark.parametrize(("scale", "offset"), [(1, 0), (-2, 5), (0.01, -3)])
def test_local_ncc_of_a_linear_function_is_nearly_one(target, scale, offset, rng):
    fixed = rng.random((12, 33, 20), np.float32)
    moving = np.float32(scale) * fixed + np.float32(offset)
    value = _native.local_ncc_value(fixed, moving, 3, target=target)
    assert 0.999 < value <= 1  # the raised variances take 2e-4


def test_local_ncc_of_a_constant_is_zero(target, rng):
    image = rng.random((5, 6, 7), np.float32)
    value, squared = _native.local_ncc(image, np.full_like(image, 3), 2, target=target)
    assert value == 0
    np.testing.assert_array_equal(squared, 0)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bins", [(32, 32), (9, 70), (256, 256)])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("parzen", [False, True])
def test_joint_histogram_agrees_with_the_reference(target, shape, bins, masked, parzen, rng):
    fixed, moving = rng.normal(0, 1, (2, *shape)).astype(np.float32)
    mask = (rng.random(shape) > 0.3).astype(np.uint8) if masked else None
    arguments = fixed, moving, mask, bins, (-1.0, 2.0), (-2.5, 2.5), parzen
    expected = reference.similarity.joint_histogram(*arguments)
    found = _native.joint_histogram(*arguments, target=target)
    if not parzen:
        np.testing.assert_array_equal(found, expected)
    # a sample at the edge of a bin may move to the next one, with weight 1e-6 there; four rounded moments
    np.testing.assert_allclose(found.sum(0), expected.sum(0), atol=1e-4)
    assert np.abs(found - expected).sum() <= 1e-3 + 2 * parzen


def test_counts_add_up(target, rng):
    image = rng.random((40, 50, 60), np.float32)
    for parzen in (False, True):
        histogram = _native.joint_histogram(
            image, 1 - image, None, (32, 32), (0.0, 1.0), (0.0, 1.0), parzen, target=target
        )
        assert histogram.sum() == pytest.approx(image.size, rel=1e-7)
        assert histogram.min() >= 0


def test_information_of_known_histograms():
    diagonal, flat = np.eye(8), np.ones((8, 8))
    assert _native.mutual_information(diagonal) == pytest.approx(np.log(8))
    assert _native.normalised_mutual_information(diagonal) == pytest.approx(2)
    assert _native.mutual_information(flat) == pytest.approx(0, abs=1e-12)
    assert _native.normalised_mutual_information(flat) == pytest.approx(1)
    assert _native.normalised_mutual_information(np.zeros((4, 4))) == 1


def test_information_agrees_with_the_reference(rng):
    histogram = rng.random((5, 9)) * (rng.random((5, 9)) > 0.3)
    fixed, moving, joint = reference.similarity.entropies(histogram)
    assert _native.mutual_information(histogram) == pytest.approx(fixed + moving - joint)
    assert _native.normalised_mutual_information(histogram) == pytest.approx((fixed + moving) / joint)


@pytest.mark.parametrize("shape", SHAPES)
def test_percentiles_agree_with_numpy(target, shape, rng):
    image = rng.normal(0, 1, shape).astype(np.float32) * 10.0 ** rng.integers(-6, 6, shape).astype(np.float32)
    fractions = [0, 0.01, 0.5, 0.99, 1]
    expected = np.quantile(image.astype(np.float64), fractions)
    found = _native.percentiles(image, fractions, None, target=target)
    np.testing.assert_allclose(found, expected, rtol=1e-6)  # rounded to single precision once


def test_percentiles_take_finite_voxels_inside_of_the_mask(target, rng):
    image = rng.normal(0, 1, (9, 10, 11)).astype(np.float32)
    mask = (rng.random(image.shape) > 0.4).astype(np.uint8)
    image[0, 0, :3] = np.nan, np.inf, -np.inf
    mask[0, 0, :3] = 1
    expected = np.quantile(image[(mask > 0) & np.isfinite(image)].astype(np.float64), [0.02, 0.5, 0.98])
    np.testing.assert_allclose(
        _native.percentiles(image, [0.02, 0.5, 0.98], mask, target=target), expected, rtol=1e-6
    )
    assert np.isnan(_native.percentiles(image, [0.5], np.zeros_like(mask), target=target)).all()


def test_threads_do_not_change_a_bit(target, rng):
    fixed, moving = rng.random((2, 30, 70, 60), np.float32)
    one, many = (
        (
            *_native.local_ncc(fixed, moving, 2, threads=threads, target=target),
            _native.joint_histogram(
                fixed, moving, None, (32, 32), (0.0, 1.0), (0.0, 1.0), True, threads=threads, target=target
            ),
            _native.percentiles(fixed, [0.3], None, threads=threads, target=target),
        )
        for threads in (1, 5)
    )
    for a, b in zip(one, many, strict=True):
        np.testing.assert_array_equal(a, b)
