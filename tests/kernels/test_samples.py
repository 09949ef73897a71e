"""Operations under the alignment: laws, then the twins, on every target."""

import numpy as np
import pytest
import reference.samples as reference

from mmreg_rt import _native

PLAIN = np.linspace(0, 1, 257).tolist()
SHAPES = ((1, 1, 1), (1, 9, 40), (5, 1, 3), (7, 8, 1), (9, 17, 33))


def scattered(rng, shape, count, beyond=1.5):
    size = np.array(shape)[:, None]
    return rng.uniform(-beyond, size - 1 + beyond, (3, count)).astype(np.float32)


@pytest.fixture
def fixed(rng):
    """1001 samples: not a multiple of any block, vector or piece."""
    points = rng.uniform(-10, 10, (3, 1001)).astype(np.float32)
    return points, rng.uniform(0, 1, 1001).astype(np.float32)


def index_map(rng, shape):
    linear = np.diag(np.array(shape) / 25.0) @ (np.eye(3) + rng.normal(0, 0.1, (3, 3)))
    return np.column_stack([linear, (np.array(shape) - 1) / 2]).astype(np.float32)


def test_blocks_of_one_voxel_only_take_the_tone(target, rng):
    image = rng.uniform(0, 1, (3, 4, 5)).astype(np.float32)
    out = _native.pool_mapped(image, [1, 1, 1], 0, 1, PLAIN, target=target)
    np.testing.assert_allclose(out, image, atol=1e-6)


def test_a_large_image_is_pooled_as_its_twin(target, rng):
    image = rng.normal(100, 60, (11, 20, 700)).astype(np.float32)  # longer than a chunk of columns
    knots = np.sort(rng.uniform(0, 1, 257)).astype(np.float32)
    out = _native.pool_mapped(image, [2, 3, 5], 0, 200, knots.tolist(), target=target)
    expected = reference.pool_mapped(image, (2, 3, 5), 0, 200, knots)
    np.testing.assert_allclose(out, expected, atol=1e-4)  # float means of 30 voxels, times the steepest knots


def test_unknown_and_masked_voxels_do_not_count(target, rng):
    image = rng.uniform(0, 1, (4, 6, 9)).astype(np.float32)
    image[rng.uniform(size=image.shape) < 0.3] = np.nan
    mask = (rng.uniform(size=image.shape) < 0.7).astype(np.uint8)
    out = _native.pool_mapped(image, [2, 2, 3], 0, 1, PLAIN, mask, target=target)
    expected = reference.pool_mapped(image, (2, 2, 3), 0, 1, PLAIN, mask)
    assert 0 < np.isnan(expected).sum() < expected.size
    np.testing.assert_allclose(out, expected, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_points_agree_with_the_twin(target, shape, rng):
    image = rng.uniform(0, 1, shape).astype(np.float32)
    points = scattered(rng, shape, 301)
    value, cover, *_ = reference.sample(image, points.astype(np.float64))
    out = _native.sample_points(image, points, target=target)
    np.testing.assert_array_equal(np.isnan(out), cover == 0)
    np.testing.assert_allclose(out[cover > 0], value[cover > 0], atol=1e-5)  # places to 1e-6 of a voxel


def test_points_in_a_masked_voxel_are_unknown(target, rng):
    image, mask = rng.uniform(0, 1, (4, 5, 6)).astype(np.float32), np.ones((4, 5, 6), np.uint8)
    mask[1, 2, 3] = 0
    points = np.array([[1.4, 1.0], [1.6, 2.0], [2.6, 2.0]], np.float32)
    out = _native.sample_points(image, points, mask, target=target)
    np.testing.assert_array_equal(np.isnan(out), [True, False])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bins", [8, 33])
def test_histograms_agree_with_the_twin(target, shape, bins, fixed, rng):
    moving = rng.uniform(0, 1, shape).astype(np.float32)
    maps = np.stack([index_map(rng, shape) for _ in range(3)])
    out = _native.sample_histogram(*fixed, moving, maps, bins, target=target)
    for found, one in zip(out, maps, strict=True):
        expected = reference.histogram(*(a.astype(np.float64) for a in (*fixed, moving, one)), bins)
        np.testing.assert_allclose(found, expected, atol=2e-3)  # places to 1e-5 of a voxel, 1000 samples
    assert out.sum() > 100


def test_a_sample_has_a_weight_of_one(target, fixed, rng):
    moving = rng.uniform(0, 1, (30, 30, 30)).astype(np.float32)
    inside = np.array([[[1, 0, 0, 15], [0, 1, 0, 15], [0, 0, 1, 15]]], np.float32)
    out = _native.sample_histogram(*fixed, moving, inside, 32, target=target)
    assert out.sum() == pytest.approx(1001, rel=1e-5)


def test_samples_beside_the_moving_image_or_in_a_hole_have_no_weight(target, fixed):
    moving = np.full((30, 30, 30), np.nan, np.float32)
    moving[:, :, 16:] = 0.5
    beside = np.array([[1, 0, 0, 99], [0, 1, 0, 15], [0, 0, 1, 15]], np.float32)
    hole = np.array([[1, 0, 0, 15], [0, 1, 0, 15], [0, 0, 1, 15]], np.float32)
    out = _native.sample_histogram(*fixed, moving, np.stack([beside, hole]), 16, target=target)
    assert out[0].sum() == 0
    assert out[1].sum() == pytest.approx((fixed[0][2] >= 1).sum(), rel=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_agrees_with_the_twin(target, shape, fixed, rng):
    moving, one = rng.uniform(0, 1, shape).astype(np.float32), index_map(rng, shape)
    gain = rng.normal(0, 1, (24, 24)).astype(np.float32)
    out = _native.sample_gradient(*fixed, moving, one, gain, target=target)
    expected = reference.gradient(*(a.astype(np.float64) for a in (*fixed, moving, one, gain)))
    scale = np.abs(expected).max() + 1e-9
    # slopes jump where a place rounds across a voxel centre; a thousand samples hold a handful of those
    np.testing.assert_allclose(out / scale, expected / scale, atol=2e-3)


def test_the_gradient_is_that_of_the_histogram(target, rng):
    points = rng.uniform(-4, 4, (3, 2000)).astype(np.float32)
    values = rng.uniform(0, 1, 2000).astype(np.float32)
    z, y, x = np.indices((20, 20, 20)) / 19.0
    moving = (0.5 + 0.3 * np.sin(3 * z + 1) * np.cos(2 * y) * np.sin(4 * x)).astype(np.float32)
    gain = rng.normal(0, 1, (16, 16)).astype(np.float32)
    at = np.array([[1, 0.1, 0, 9.3], [-0.1, 1, 0.05, 9.8], [0, 0.1, 1, 9.6]], np.float32)
    out = _native.sample_gradient(points, values, moving, at, gain, target=target)
    for row, column in ((0, 0), (1, 2), (2, 3)):
        step = 0.02 if column < 3 else 0.05
        ahead, back = at.copy(), at.copy()
        ahead[row, column] += step
        back[row, column] -= step
        h = _native.sample_histogram(points, values, moving, np.stack([ahead, back]), 16, target=target)
        slope = ((h[0].astype(float) - h[1]) * gain).sum() / (2 * step)
        assert out[row, column] == pytest.approx(slope, rel=0.05, abs=0.02 * np.abs(out).max())


def test_threads_do_not_change_a_bit(target, rng):
    points = rng.uniform(-20, 20, (3, 40001)).astype(np.float32)
    values = rng.uniform(0, 1, 40001).astype(np.float32)
    moving = rng.uniform(0, 1, (30, 31, 32)).astype(np.float32)
    maps, gain = np.stack([index_map(rng, moving.shape)] * 2), rng.normal(0, 1, (32, 32)).astype(np.float32)

    def run(threads):
        return (
            _native.pool_mapped(moving, [2, 2, 2], 0, 1, PLAIN, threads=threads, target=target),
            _native.sample_points(moving, points, threads=threads, target=target),
            _native.sample_histogram(points, values, moving, maps, 32, threads=threads, target=target),
            _native.sample_gradient(points, values, moving, maps[0], gain, threads=threads, target=target),
        )

    for one, several in zip(run(1), run(3), strict=True):
        np.testing.assert_array_equal(one, several)
