"""NaN and infinity propagate, and are left out only where `ops/op_list.h` says so; on every target."""

import numpy as np
import pytest

from mmreg_rt import _native

NOT_FINITE = [np.nan, np.inf, -np.inf]
SHAPE = (5, 6, 37)  # no multiple of any vector
SPOTS = [(0, 0, 0), (2, 3, 17), (4, 5, 36)]
PLAIN = np.linspace(0, 1, 257).tolist()


@pytest.fixture(params=NOT_FINITE, ids=str)
def what(request):
    return request.param


def spoiled(image, spot, what):
    out = image.copy()
    out[(..., *spot)] = what
    return out


def around(spot, reach, shape=SHAPE):
    """Which voxels lie within `reach` of a spot, along each axis."""
    return np.all([abs(i - s) <= r for i, s, r in zip(np.indices(shape), spot, reach)], axis=0)


# ---- filters and features: what a voxel weighs in


@pytest.mark.parametrize("spot", SPOTS)
def test_filters_pass_it_on(target, spot, what, rng):
    image = spoiled(rng.random((1, *SHAPE), np.float32), spot, what)
    smooth = _native.gaussian(image, (0.7, 0.0, 0.5), target=target)[0]
    mean = _native.box(image, (1, 2, 1), target=target)[0]
    assert not np.isfinite(smooth[around(spot, (3, 0, 2))]).any()
    assert not np.isfinite(mean[around(spot, (1, 2, 1))]).any()


@pytest.mark.parametrize("spot", SPOTS)
def test_averages_of_blocks_pass_it_on_and_no_other_block_changes(target, spot, what, rng):
    image = rng.random((1, *SHAPE), np.float32)
    found = _native.pool(spoiled(image, spot, what), (2, 2, 3), target=target)
    expected = _native.pool(image, (2, 2, 3), target=target)
    block = (0, spot[0] // 2, spot[1] // 2, spot[2] // 3)
    np.testing.assert_equal(found[block], np.float32(what))
    expected[block] = what
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("radius", [0, 1, 3])
@pytest.mark.parametrize("spot", SPOTS)
def test_features_of_self_similarity_pass_it_on(target, spot, radius, what, rng):
    image = spoiled(rng.random(SHAPE, np.float32), spot, what)
    # a voxel looks at the patches around its six neighbours, two voxels away, and not at its own
    seen = [around(np.add(spot, step), (radius,) * 3) for step in 2 * np.vstack([np.eye(3), -np.eye(3)])]
    where = np.any(seen, axis=0)
    assert where.any()
    assert np.isnan(_native.mind(image, radius, 2, target=target)[:, where]).all()
    stored = _native.mind_half(image, radius, 2, target=target).view(np.float16)
    assert np.isnan(stored[where][:, :12]).all()


@pytest.mark.parametrize("spot", SPOTS)
def test_noise_and_contrast_pass_it_on_and_no_other_voxel_changes(target, spot, what, rng):
    image = rng.random(SHAPE, np.float32)
    near = around(spot, (1, 1, 1))
    for found, expected in zip(
        _native.texture(spoiled(image, spot, what), target=target), _native.texture(image, target=target)
    ):
        assert not np.isfinite(found[near]).any()
        np.testing.assert_array_equal(found[~near], expected[~near])


def test_costs_pass_it_on(target, what, rng):
    fixed, moving = rng.random((2, 3, 4, 5, 16)).astype(np.float16)
    fixed[1, 2, 3, 4] = what
    for operation, kind in ((_native.cost_volume, np.float32), (_native.cost_volume_half, np.float16)):
        cost = operation(fixed.view(np.uint16), moving.view(np.uint16), 12, (1, 1, 1), target=target).view(
            kind
        )
        assert not np.isfinite(cost[1, 2, 3]).any()
        assert np.isfinite(np.delete(cost.reshape(60, 27), 33, 0)).all()  # cell (1, 2, 3) is the 33rd
    smooth = _native.smooth_cost(
        spoiled(rng.random((*SHAPE, 27), np.float32), (36, 5), what), 1, target=target
    )
    assert not np.isfinite(smooth[:, :, 35:, 5]).any()


@pytest.mark.parametrize("radius", [(1, 1, 1), (0, 1, 1), (0, 0, 0)])
def test_a_cost_that_is_nan_is_never_the_least(target, radius):
    count = int(np.prod(2 * np.array(radius) + 1))
    u = np.zeros((3, 2, 3, 4), np.float32)
    cost = np.full((2, 3, 4, count), 5, np.float32)
    cost[..., 0] = 1
    for places in ([count // 2], [count - 1], [count // 2, count - 1]):
        cost[..., places] = np.nan
        expected = np.broadcast_to(-np.float32(radius)[:, None, None, None], u.shape)
        if count > 1:
            np.testing.assert_array_equal(
                _native.coupled_convex(cost, u, radius, 0.0, target=target), expected
            )
    nothing = np.full_like(cost, np.nan)
    np.testing.assert_array_equal(_native.coupled_convex(nothing, u, radius, 0.0, target=target), 0)


# ---- similarity


@pytest.mark.parametrize("spot", SPOTS)
def test_local_correlation_is_nan(target, spot, what, rng):
    fixed, moving = rng.random((2, *SHAPE), np.float32)
    for pair in ((spoiled(fixed, spot, what), moving), (fixed, spoiled(moving, spot, what))):
        value, squared = _native.local_ncc(*pair, 1, target=target)
        assert np.isnan(value) and np.isnan(squared).all()
        assert np.isnan(_native.local_ncc_value(*pair, 1, target=target))


@pytest.mark.parametrize("parzen", [False, True])
@pytest.mark.parametrize("bins", [(9, 11), (256, 256)])
def test_joint_histograms_leave_it_out(target, parzen, bins, rng):
    fixed, moving = rng.normal(0, 1, (2, 9, 17, 33)).astype(np.float32)
    mask = np.ones(fixed.shape, np.uint8)
    for k, what in enumerate(NOT_FINITE):
        mask[k, 2, 3] = mask[4, k, 5] = mask[8, 16, 30 + k] = 0
        fixed[k, 2, 3] = moving[4, k, 5] = fixed[8, 16, 30 + k] = moving[8, 16, 30 + k] = what
    counts = [
        _native.joint_histogram(fixed, moving, m, bins, (-1.0, 2.0), (-2.5, 2.5), parzen, target=target)
        for m in (None, mask)
    ]
    np.testing.assert_array_equal(*counts)
    assert counts[0].sum() == pytest.approx(mask.sum(), rel=1e-6)  # rounded moments


def identity():
    return np.eye(3, 4, dtype=np.float32)


@pytest.mark.parametrize("spot", SPOTS)
def test_points_are_unknown_where_it_has_a_weight_and_nowhere_else(target, spot, what, rng):
    image = rng.random(SHAPE, np.float32)
    points = np.indices(SHAPE).reshape(3, -1).astype(np.float32)
    found = _native.sample_points(spoiled(image, spot, what), points, target=target).reshape(SHAPE)
    expected = spoiled(image, spot, np.nan)
    np.testing.assert_array_equal(found, expected)
    low = np.maximum(np.array(spot) - 1, 0)
    beside = np.stack([low + 0.5, np.clip(low - 0.5, 0, None) + 0.5, np.array(spot)], 1).astype(np.float32)
    near = np.all(abs(beside - np.array(spot)[:, None]) < 1, axis=0)
    unknown = np.isnan(_native.sample_points(spoiled(image, spot, what), beside, target=target))
    np.testing.assert_array_equal(unknown, near)


@pytest.fixture
def samples(rng):
    points = rng.uniform(1, 18, (3, 3001)).astype(np.float32)
    return points, rng.uniform(0, 1, 3001).astype(np.float32), rng.random((20, 20, 20), np.float32)


def kept_samples(samples, keep):
    points, values, _ = samples
    return np.ascontiguousarray(points[:, keep]), values[keep]


def assert_same_samples(some, moving, others, moving_too, rng, target):
    gain = rng.normal(0, 1, (16, 16)).astype(np.float32)
    found = _native.sample_histogram(*some, moving, identity()[None], 16, target=target)
    expected = _native.sample_histogram(*others, moving_too, identity()[None], 16, target=target)
    np.testing.assert_allclose(found, expected, atol=1e-3)  # 3000 samples in another order, in float32
    assert found.sum() == pytest.approx(others[1].size, rel=1e-5)
    slope = _native.sample_gradient(*some, moving, identity(), gain, target=target)
    expected = _native.sample_gradient(*others, moving_too, identity(), gain, target=target)
    np.testing.assert_allclose(slope, expected, atol=1e-5 * np.abs(expected).max())


def test_samples_of_unknown_value_or_place_are_left_out(target, samples, rng):
    points, values, moving = samples
    bad, keep = rng.permutation(3001)[:60], np.ones(3001, bool)
    keep[bad] = False
    left = points.copy(), values.copy()
    for k, i in enumerate(bad):
        if k % 2:
            left[1][i] = NOT_FINITE[k % 3]
        else:
            left[0][k % 3, i] = NOT_FINITE[k // 2 % 3]
    assert_same_samples(left, moving, kept_samples(samples, keep), moving, rng, target)


def test_samples_beside_unknown_voxels_are_left_out(target, samples, what, rng):
    points, _, moving = samples
    spots = rng.integers(2, 18, (12, 3))
    holed = moving.copy()
    holed[tuple(spots.T)] = what
    near = (abs(points[:, :, None] - spots.T[:, None, :]) < 1).all(0).any(1)
    assert 20 < near.sum() < 500
    assert_same_samples(samples[:2], holed, kept_samples(samples, ~near), moving, rng, target)


# ---- displacements


@pytest.mark.parametrize("spot", SPOTS)
def test_the_inverse_is_nan_there_and_so_are_its_residuals(target, spot, what, rng):
    u = rng.uniform(-0.2, 0.2, (3, *SHAPE)).astype(np.float32)
    u[(1, *spot)] = what
    v, residual = _native.invert(u, target=target)
    assert np.isnan(v[(..., *spot)]).all()
    assert np.isnan(residual["largest"]) and np.isnan(residual["mean"])
    far = ~around(spot, (2, 2, 2))
    assert np.isfinite(v[:, far]).all()


@pytest.mark.parametrize("shape", [SHAPE, (1, 6, 37), (5, 1, 37), (5, 6, 1)])
def test_determinants_pass_it_on_and_no_other_voxel_changes(target, shape, what, rng):
    u = rng.uniform(-0.1, 0.1, (3, *shape)).astype(np.float32)
    spot = tuple(n // 2 for n in shape)
    near = np.any([around(spot, reach, shape) for reach in np.eye(3)], axis=0)
    if 1 not in shape:
        near[spot] = False  # left out by central differences, but not along an axis of 1: 0 * NaN is NaN
    found = _native.jacobian(spoiled(u, spot, what), target=target)
    assert not np.isfinite(found[near]).any()
    np.testing.assert_array_equal(found[~near], _native.jacobian(u, target=target)[~near])


@pytest.mark.parametrize("spot", SPOTS)
def test_a_determinant_that_is_nan_is_a_fold(target, spot, rng):
    u = spoiled(rng.uniform(-0.1, 0.1, (3, *SHAPE)).astype(np.float32), spot, np.nan)
    found = _native.folding(u, target=target)
    near = around(spot, (1, 0, 0)) | around(spot, (0, 1, 0)) | around(spot, (0, 0, 1))
    centre = near & ~around(spot, (0, 0, 0))  # central differences leave the voxel itself out
    on_border = [s in (0, n - 1) for s, n in zip(spot, SHAPE)]
    assert found["count"][0] == centre.sum() + any(on_border)
    assert np.isfinite(found["smallest"]).all()
    assert _native.count_folds(u, 0.1, target=target) == near.sum()


def stored_features(rng, shape):
    half = rng.uniform(0, 1, (*shape, 16)).astype(np.float16)
    half[..., -4] = rng.uniform(2, 29, shape)
    half[..., -3], half[..., -2:] = 1, 0
    return half


@pytest.mark.parametrize("part", ["feature", "intensity", "validity", "displacement"])
@pytest.mark.parametrize("spot", SPOTS)
def test_voxels_that_cannot_be_compared_are_left_out(target, part, spot, what, rng):
    fixed, moving = stored_features(rng, SHAPE), stored_features(rng, SHAPE)
    u = rng.uniform(0.1, 0.9, (3, *SHAPE)).astype(np.float32)
    gain = rng.normal(0, 1, (32, 32)).astype(np.float32)
    rows = np.tile(np.int32([0, SHAPE[2]]), (SHAPE[0] * SHAPE[1], 1))

    def force(fixed, u, rows):
        return _native.similarity_gradient(
            fixed.view(np.uint16), moving.view(np.uint16), u, rows, gain, target=target
        )

    bad = fixed.copy(), u.copy()
    if part == "displacement":
        bad[1][(1, *spot)] = what
    else:
        bad[0][(*spot, {"feature": 3, "intensity": -4, "validity": -3}[part])] = what
    pull, counts, sums = force(*bad, rows)
    expected, all_counts, all_sums = force(fixed, u, rows)
    only = np.zeros_like(rows)  # the voxel by itself
    only[spot[0] * SHAPE[1] + spot[1]] = spot[2], spot[2] + 1
    _, own_counts, own_sums = force(fixed, u, only)
    expected[(..., *spot)] = 0
    np.testing.assert_array_equal(pull, expected)
    np.testing.assert_allclose(counts, all_counts - own_counts, atol=1e-4)  # float32 sums of 1110 voxels
    np.testing.assert_allclose(sums, np.subtract(all_sums, own_sums), rtol=1e-4)


def test_an_intensity_that_is_nan_stays_nan(target):
    stored = np.zeros((1, 1, 3, 16), np.uint16)
    image = np.float32([np.nan, np.inf, -np.inf]).reshape(1, 1, 3)
    _native.append_intensity_channels(stored, image, None, 1.0, 0.0, target=target)
    np.testing.assert_array_equal(stored.view(np.float16)[0, 0, :, -4], [np.nan, 29, 2])


# ---- what is left out, and said to be


def test_detail_leaves_out_nan_and_what_lies_next_to_it(target, rng):
    image = rng.uniform(0.5, 1, (12, 13, 37)).astype(np.float32)
    spot = (6, 6, 20)
    found = _native.detail(spoiled(image, spot, np.nan), 0.0, 0.0, 1.0, target=target)
    near = np.zeros(image.shape, bool)
    for axis in range(3):
        for away in (-3, -1, 0, 1, 3):  # the rim of the foreground, and the neighbours
            index = list(spot)
            index[axis] += away
            near[tuple(index)] = True
    before = _native.detail(image, 0.0, 0.0, 1.0, target=target)
    assert before["count"] - found["count"] == near.sum()
    assert all(np.isfinite(v).all() for v in map(np.asarray, found.values()))


def test_blocks_leave_it_out(target, what, rng):
    image = rng.uniform(0, 1, (4, 6, 9)).astype(np.float32)
    out = _native.pool_mapped(spoiled(image, (1, 1, 1), what), [2, 2, 3], 0, 1, PLAIN, target=target)
    block = image[:2, :2, :3].astype(np.float64).copy()
    block[1, 1, 1] = np.nan
    assert out[0, 0, 0] == pytest.approx(np.nanmean(block), abs=1e-6)


def test_background_is_what_is_not_above_it(target):
    image = np.full((1, 1, 9), np.nan, np.float32)
    image[0, 0, 4] = 2
    black = np.zeros_like(image)
    np.testing.assert_array_equal(_native.active_rows(image, 1.0, black, 1.0, 0, target=target), [[4, 5]])
    np.testing.assert_array_equal(_native.threshold(image, None, 1.0, target=target)[0, 0], np.arange(9) == 4)


def test_elementwise_operations_and_lengths_pass_it_on(target, what, rng):
    u = spoiled(rng.normal(0, 1, (3, *SHAPE)).astype(np.float32), SPOTS[1], what)
    weight = np.full(SHAPE, 2, np.float32)
    for out in (
        _native.axpby(2.0, u[0], 1.0, u[0], target=target),
        _native.multiply(u, weight, target=target)[0],
        _native.divide(u, weight, target=target)[0],
        _native.lengths(u, target=target),
    ):
        assert not np.isfinite(out[SPOTS[1]])
        assert np.isfinite(np.delete(out.ravel(), np.ravel_multi_index(SPOTS[1], SHAPE))).all()


def test_the_step_of_the_descent_passes_it_on(target, what, rng):
    force, mean = rng.normal(0, 1, (2, 3, *SHAPE)).astype(np.float32)
    square = rng.uniform(0.5, 1, SHAPE).astype(np.float32)
    step = _native.adam_step(
        spoiled(force, SPOTS[1], what), mean, square, 1, 0.9, 0.99, 0.1, 0.5, target=target
    )
    for values in (step, mean, square):
        assert not np.isfinite(values[(..., *SPOTS[1])]).any()
        assert np.isfinite(values).sum() == values.size - values.size // square.size
