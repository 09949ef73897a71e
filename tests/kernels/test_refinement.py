"""A step of the refinement, and what its settings rest on: laws, the twin, then edges, on every target."""

import numpy as np
import pytest
from reference import refinement
from reference.warp import index_points

from mmreg_rt import _native

SHAPES = ((1, 1, 1), (1, 7, 19), (6, 3, 5))
NOBODY = {"gain": None, "intensity_weight": 0.0}


def features(rng, shape, channels=16, valid=True):
    """Features in [0, 1], an intensity in bins and a validity, as Half and as float64."""
    half = rng.uniform(0, 1, (*shape, channels)).astype(np.float16)
    half[..., -4] = rng.uniform(2, 29, shape)
    half[..., -3] = 1 if valid else rng.uniform(0, 1, shape) > 0.3
    half[..., -2:] = 0
    return half.view(np.uint16), half.astype(np.float64)


def displacement(rng, shape):
    """Points inside of cells and beyond the border, none near a face of a cell, where the slope jumps."""
    corner = rng.integers(-2, np.array(shape)[:, None, None, None] + 1, (3, *shape))
    return (corner + rng.uniform(0.1, 0.9, (3, *shape)) - np.indices(shape)).astype(np.float32)


def all_rows(shape):
    return np.tile(np.int32([0, shape[2]]), (shape[0] * shape[1], 1))


def some_rows(rng, shape):
    return np.sort(rng.integers(0, shape[2] + 1, (shape[0] * shape[1], 2)), axis=1).astype(np.int32)


@pytest.mark.parametrize("shape", SHAPES)
def test_an_image_is_not_pulled_off_itself(target, shape, rng):
    stored, _ = features(rng, shape)
    still = np.zeros((3, *shape), np.float32)
    pull, counts, sums = _native.similarity_gradient(
        stored, stored, still, all_rows(shape), **NOBODY, target=target
    )
    np.testing.assert_array_equal(pull, 0)
    assert sums[0] == 0
    assert sums[3] == np.prod(shape)
    assert counts.sum() == pytest.approx(np.prod(shape), rel=1e-6)  # the windows of a sample add up to 1


@pytest.mark.parametrize("channels", [16, 32])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_pull_of_features_is_the_slope_of_their_energy(target, shape, channels, rng):
    (fixed, fixed64), (moving, moving64) = (features(rng, shape, channels, False) for _ in range(2))
    u, rows = displacement(rng, shape), some_rows(rng, shape)
    pull, _, sums = _native.similarity_gradient(
        fixed, moving, u, rows, **NOBODY, feature_weight=0.5, target=target
    )
    expected, _ = refinement.similarity_gradient(fixed64, moving64, u, rows, None)
    # sums of up to 28 products below 1 in float32, of positions up to 20 with 2e-6 of rounding
    np.testing.assert_allclose(pull, 0.5 * expected, atol=1e-4)
    weight = refinement.validity(fixed64, moving64, u) * refinement.compared(rows, shape)
    energy = (weight * refinement.feature_energy(fixed64, moving64, u)).sum() / (channels - 4)
    squared = (expected**2).sum()
    assert sums == pytest.approx((energy, squared, 0, weight.sum()), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_pull_of_intensities_is_the_slope_of_the_gain(target, shape, rng):
    (fixed, fixed64), (moving, moving64) = (features(rng, shape, valid=False) for _ in range(2))
    u, rows = displacement(rng, shape), all_rows(shape)
    gain = rng.normal(0, 1, (32, 32)).astype(np.float32)
    pull, _, sums = _native.similarity_gradient(
        fixed, moving, u, rows, gain, feature_weight=0.0, intensity_weight=2.0, target=target
    )
    _, expected = refinement.similarity_gradient(fixed64, moving64, u, rows, gain)
    # the window's slope is tabulated at 128 positions a bin: off by at most 1/256 of its second derivative,
    # whose absolute values add up to 4 at most; the image changes by at most 27 bins a voxel
    np.testing.assert_allclose(pull, 2 * expected, atol=2 * 27 * 4 / 256 * np.abs(gain).max())
    assert np.abs(pull - 2 * expected).mean() < 0.01 * np.abs(expected).mean() + 1e-6
    assert sums[2] == pytest.approx((expected**2).sum(), rel=0.02)


@pytest.mark.parametrize("shape", SHAPES)
def test_pulls_of_features_and_intensities_add_up(target, shape, rng):
    (fixed, _), (moving, _) = (features(rng, shape) for _ in range(2))
    args = fixed, moving, displacement(rng, shape), all_rows(shape), np.eye(32, dtype=np.float32)
    one, other, both = (
        _native.similarity_gradient(*args, *w, target=target)[0] for w in ((1, 0), (0, 1), (3, -2))
    )
    np.testing.assert_allclose(both, 3 * one - 2 * other, atol=1e-4)  # values of some tens in float32


@pytest.mark.parametrize("shape", SHAPES)
def test_the_histogram_counts_what_is_valid_within_the_rows(target, shape, rng):
    (fixed, fixed64), (moving, moving64) = (features(rng, shape, valid=False) for _ in range(2))
    u, rows = displacement(rng, shape), some_rows(rng, shape)
    _, counts, sums = _native.similarity_gradient(fixed, moving, u, rows, **NOBODY, target=target)
    expected = refinement.histogram(fixed64, moving64, u, rows)
    # the window is tabulated at 128 positions a bin and falls by at most 2/3 a bin
    allowed = np.bincount(refinement.fixed_bin(fixed64).ravel(), minlength=32)[:, None] * (2 / 3 / 256) + 1e-5
    assert (np.abs(counts - expected) <= allowed).all()
    assert counts.sum() == pytest.approx(sums[3], rel=1e-5, abs=1e-6)


def test_beyond_the_border_nothing_pulls_outward(target, rng):
    shape = (4, 5, 6)
    (fixed, _), (moving, _) = (features(rng, shape) for _ in range(2))
    outside = np.full((3, *shape), 0.25, np.float32)
    outside[2] = 20
    pull, _, _ = _native.similarity_gradient(
        fixed, moving, outside, all_rows(shape), np.eye(32, dtype=np.float32), target=target
    )
    np.testing.assert_array_equal(pull[2], 0)
    assert (pull[:2] != 0).any()


def test_threads_do_not_change_a_bit_of_the_force(target, rng):
    shape = (9, 11, 17)
    (fixed, _), (moving, _) = (features(rng, shape, valid=False) for _ in range(2))
    args = fixed, moving, displacement(rng, shape), some_rows(rng, shape), np.eye(32, dtype=np.float32)
    one, many = (_native.similarity_gradient(*args, threads=t, target=target) for t in (1, 5))
    np.testing.assert_array_equal(one[0], many[0])
    np.testing.assert_array_equal(one[1], many[1])
    assert one[2] == many[2]


def descend(forces, target, floor=0.1, rate_vox=0.5):
    mean, square = np.zeros_like(forces[0]), np.zeros(forces[0].shape[1:], np.float32)
    return [
        _native.adam_step(g, mean, square, t, 0.9, 0.99, floor, rate_vox, target=target)
        for t, g in enumerate(forces, 1)
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_first_step_goes_against_the_force_and_at_most_as_far_as_the_rate(target, shape, rng):
    pull = rng.normal(0, 3, (3, *shape)).astype(np.float32)
    (step,) = descend([pull], target)
    length = np.linalg.norm(pull, axis=0)
    np.testing.assert_allclose(step, -0.5 * pull / np.hypot(length, 0.1), rtol=1e-5)  # float32
    assert (np.linalg.norm(step, axis=0) <= 0.5).all()


def test_no_force_is_no_step(target):
    np.testing.assert_array_equal(descend([np.zeros((3, 2, 3, 5), np.float32)], target)[0], 0)


@pytest.mark.parametrize("shape", SHAPES)
def test_steps_agree_with_the_reference(target, shape, rng):
    forces = rng.normal(0, 1, (6, 3, *shape)).astype(np.float32)
    expected = refinement.adam_step(forces, 0.9, 0.99, 0.1, 0.5)
    # 1 - 0.99^t is about 0.01 t with 6e-8 of rounding: 6e-6 relative
    np.testing.assert_allclose(descend(forces, target), expected, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_append_intensity_channels_writes_the_last_four_channels_only(target, shape, rng):
    before = rng.integers(0, 2**16, (*shape, 32)).astype(np.uint16)
    image, valid = rng.normal(0, 8, shape).astype(np.float32), rng.integers(0, 2, shape).astype(np.uint8)
    after = before.copy()
    _native.append_intensity_channels(after, image, valid, 2.0, 15.0, target=target)
    np.testing.assert_array_equal(after[..., :-4], before[..., :-4])
    last = after.view(np.float16)[..., -4:].astype(np.float64)
    # half precision has steps of 1/64 from 16 on
    np.testing.assert_allclose(
        last[..., 0], np.clip(2.0 * image.astype(np.float64) + 15, 2, 29), atol=1 / 128 + 1e-5
    )
    np.testing.assert_array_equal(last[..., 1], valid)
    np.testing.assert_array_equal(last[..., 2:], 0)


def test_append_intensity_channels_without_validity_is_valid_everywhere(target):
    stored = np.zeros((1, 2, 3, 16), np.uint16)
    _native.append_intensity_channels(stored, np.zeros((1, 2, 3), np.float32), None, 1.0, 0.0, target=target)
    np.testing.assert_array_equal(stored.view(np.float16)[..., -3], 1)


@pytest.mark.parametrize("shape", SHAPES)
def test_combine_is_a_weighted_sum(target, shape, rng):
    x, y = rng.normal(0, 1, (2, *shape)).astype(np.float32)
    np.testing.assert_array_equal(_native.axpby(1.0, x, 0.0, y, target=target), x)
    found = _native.axpby(0.5, x, -3.0, y, target=target)
    np.testing.assert_allclose(
        found, 0.5 * x.astype(np.float64) - 3 * y.astype(np.float64), atol=2e-6
    )  # values of about 10


@pytest.mark.parametrize("shape", SHAPES)
def test_weights_multiply_and_divide_each_channel(target, shape, rng):
    field = rng.normal(0, 5, (3, *shape)).astype(np.float32)
    weight = rng.uniform(0.1, 2, shape).astype(np.float32)
    product, quotient = (f(field, weight, target=target) for f in (_native.multiply, _native.divide))
    np.testing.assert_array_equal(product, field * weight)  # one rounding each: the same in every program
    np.testing.assert_array_equal(quotient, field / weight)


@pytest.mark.parametrize("shape", SHAPES)
def test_select_takes_the_inside_where_the_mask_is_set(target, shape, rng):
    inside, outside = rng.normal(0, 1, (2, *shape)).astype(np.float32)
    mask = rng.integers(0, 3, shape).astype(np.uint8)
    found = _native.where(mask, inside, outside, target=target)
    np.testing.assert_array_equal(found, np.where(mask, inside, outside))


@pytest.mark.parametrize("shape", SHAPES)
def test_add_affine_maps_vectors_and_adds_a_map_of_the_index(target, shape, rng):
    u = rng.normal(0, 5, (3, *shape)).astype(np.float32)
    same = _native.add_affine(u, np.eye(3), np.zeros((3, 4)), target=target)
    np.testing.assert_array_equal(same, u)
    linear, index_map = rng.normal(0, 1, (3, 3)), rng.normal(0, 2, (3, 4))
    expected = np.einsum("ij,j...->i...", linear, np.float64(u)) + index_points(index_map, shape)
    found = _native.add_affine(u, linear, index_map, target=target)
    np.testing.assert_allclose(found, expected, atol=5e-5)  # sums of values up to 100 in float32


@pytest.mark.parametrize("shape", SHAPES)
def test_lengths_are_those_of_the_vectors(target, shape, rng):
    u = rng.normal(0, 5, (3, *shape)).astype(np.float32)
    np.testing.assert_allclose(_native.lengths(u, target=target), np.linalg.norm(u, axis=0), rtol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_above_is_strictly_above_and_inside_of_the_mask(target, shape, rng):
    values, mask = rng.integers(0, 3, shape).astype(np.float32), rng.integers(0, 2, shape).astype(np.uint8)
    np.testing.assert_array_equal(_native.threshold(values, None, 1.0, target=target), values > 1)
    np.testing.assert_array_equal(
        _native.threshold(values, mask, 1.0, target=target), (values > 1) & (mask > 0)
    )


@pytest.mark.parametrize("shape", [*SHAPES, (9, 12, 20)])
def test_detail_agrees_with_the_reference(target, shape, rng):
    image = rng.uniform(0.1, 1, shape).astype(np.float32)
    image[rng.uniform(0, 1, shape) < 0.02] = 0
    found = _native.detail(image, 0.05, 0.2, 0.9, target=target)
    count, total, square, slopes = refinement.detail(image, *np.float32([0.05, 0.2, 0.9]))
    assert found["count"] == count
    assert (found["sum"], found["square"]) == pytest.approx((total, square), rel=1e-12)  # sums in double
    assert found["slope"] == pytest.approx(slopes, rel=1e-12)


def test_detail_of_a_ramp_is_its_slope_and_along_an_axis_of_one_there_is_none(target):
    ramp = np.broadcast_to(np.arange(30, dtype=np.float32) + 1, (1, 20, 30)).copy()
    found = _native.detail(ramp, 0.0, 0.0, 100.0, target=target)
    assert found["count"] == 600
    assert found["slope"] == (0.0, 0.0, 20 * (28 + 2 * 0.25))  # at both ends half a difference


def test_no_foreground_has_no_detail(target):
    found = _native.detail(np.zeros((3, 4, 5), np.float32), 0.0, 0.0, 1.0, target=target)
    assert found == {"count": 0, "sum": 0, "square": 0, "slope": (0, 0, 0)}


@pytest.mark.parametrize("shape", [*SHAPES, (9, 12, 20)])
def test_texture_agrees_with_the_reference(target, shape, rng):
    image = (1000 + rng.normal(0, 3, shape)).astype(np.float32)  # an offset that a naive variance would lose
    noise, contrast = _native.texture(image, target=target)
    expected_noise, expected_contrast = refinement.texture(image)
    np.testing.assert_allclose(noise, expected_noise, atol=1e-3)  # sums of 27 differences of about 10
    np.testing.assert_allclose(contrast, expected_contrast, atol=1e-3)


def test_texture_of_white_noise_is_its_standard_deviation_and_of_a_ramp_none(target, rng):
    noise, contrast = _native.texture(rng.normal(0, 2, (40, 40, 40)).astype(np.float32), target=target)
    inner = (slice(1, -1),) * 3
    assert np.median(noise[inner]) / 0.6745 == pytest.approx(
        2, rel=0.03
    )  # of 54 872 voxels, neighbours correlated
    assert np.sqrt(np.mean(contrast[inner] ** 2)) == pytest.approx(2 * np.sqrt(26 / 27), rel=0.03)
    ramp = np.broadcast_to(np.arange(20, dtype=np.float32), (10, 10, 20)).copy()
    noise, contrast = _native.texture(ramp, target=target)
    assert noise.max() < 1e-5
    np.testing.assert_allclose(contrast[:, :, 1:-1], np.sqrt(2 / 3), rtol=1e-5)


@pytest.mark.parametrize("margin", [0, 2])
@pytest.mark.parametrize("shape", [*SHAPES, (9, 12, 20)])
def test_active_rows_agree_with_the_reference(target, shape, margin, rng):
    fixed, moving = (rng.uniform(0, 1, (2, *shape)) ** 8).astype(np.float32)
    found = _native.active_rows(fixed, 0.9, moving, 0.8, margin, target=target)
    expected = refinement.active_rows(fixed, np.float32(0.9), moving, np.float32(0.8), margin)
    some = expected[:, 1] > expected[:, 0]
    np.testing.assert_array_equal(found[some], expected[some])
    np.testing.assert_array_equal(found[~some, 0], found[~some, 1])


def test_without_foreground_no_row_is_active(target):
    black = np.zeros((2, 3, 4), np.float32)
    rows = _native.active_rows(black, 0.0, black, 0.0, 3, target=target)
    np.testing.assert_array_equal(rows[:, 0], rows[:, 1])


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 3, 65), (3, 5, 70)])
@pytest.mark.parametrize(("planes", "channels"), [(1, 16), (12, 16), (24, 32)])
def test_interleave_puts_the_planes_of_a_voxel_beside_each_other(target, shape, planes, channels, rng):
    given = rng.normal(0, 1, (planes, *shape)).astype(np.float32)
    features = _native.interleave(given, channels, target=target).view(np.float16)
    expected = np.zeros((*shape, channels))
    expected[..., :planes] = np.moveaxis(given, 0, -1)
    np.testing.assert_allclose(features, expected, rtol=2**-11, atol=2**-24)  # half precision
