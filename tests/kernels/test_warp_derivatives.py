"""What a linear warp passes back: the adjoint by its law, the slope by differences of the float64 twin."""

import numpy as np
import pytest
from reference import warp as twin

from mmreg_rt import _native

SHAPES = [((5, 6, 19), (4, 7, 33)), ((1, 9, 20), (1, 8, 18)), ((6, 1, 5), (3, 2, 4)), ((1, 1, 1), (2, 3, 4))]
STEP = 1e-4


def points(rng, moving_shape, shape):
    """Away from voxel centres, where the slope jumps; a third of them outside of the volume."""
    extents = np.array(moving_shape)[:, None, None, None]
    cell = np.floor(rng.uniform(-2, extents + 1, (3, *shape)))
    return cell + rng.uniform(0.1, 0.9, (3, *shape))


def displacement(p):
    return np.ascontiguousarray(p - np.indices(p.shape[1:]), np.float32)


def value(moving, p, border):
    """Of one channel at points (3, ...), in float64."""
    extents = np.array(moving.shape).reshape(3, *[1] * (p.ndim - 1))
    found = twin.linear(moving, np.clip(p, 0, extents - 1))
    return found * twin.fade(p, moving.shape) if border == "zero" else found


@pytest.mark.parametrize("border", ["zero", "extend"])
@pytest.mark.parametrize("shapes", SHAPES)
def test_the_slope_is_the_difference_of_the_twin(shapes, border, target, rng):
    moving_shape, shape = shapes
    moving = rng.normal(0, 1, (2, *moving_shape)).astype(np.float32)
    u = displacement(points(rng, moving_shape, shape))
    p = np.indices(shape) + u.astype(np.float64)
    upstream = rng.normal(0, 1, (2, *shape)).astype(np.float32)
    found = _native.warp_grad_displacement(moving, u, upstream, border=border, target=target)
    for axis in range(3):
        ahead, behind = p.copy(), p.copy()
        ahead[axis] += STEP
        behind[axis] -= STEP
        expected = sum(
            g.astype(np.float64)
            * (value(m.astype(np.float64), ahead, border) - value(m.astype(np.float64), behind, border))
            / (2 * STEP)
            for m, g in zip(moving, upstream, strict=True)
        )
        # sums of 16 products of about 1 in float32, at points known to 2e-6 voxel
        np.testing.assert_allclose(found[axis], expected, atol=5e-5)


@pytest.mark.parametrize("border", ["zero", "extend"])
@pytest.mark.parametrize("shapes", SHAPES)
def test_the_adjoint_is_the_adjoint(shapes, border, target, rng):
    moving_shape, shape = shapes
    moving = rng.normal(0, 1, (4, *moving_shape)).astype(np.float32)
    u = displacement(points(rng, moving_shape, shape))
    upstream = rng.normal(0, 1, (4, *shape)).astype(np.float32)
    warped = _native.warp(moving, u, border=border, target=target)
    back = _native.warp_grad_image(upstream, u, moving_shape, border=border, target=target)
    for k in range(4):
        forward = np.vdot(warped[k].astype(np.float64), upstream[k].astype(np.float64))
        backward = np.vdot(moving[k].astype(np.float64), back[k].astype(np.float64))
        # each product rounds at 1e-7 of about 1, and errors add like a random walk
        assert forward == pytest.approx(backward, abs=1e-5 * np.sqrt(upstream[k].size) + 1e-5)


def test_the_adjoint_of_the_identity_is_the_identity(target, rng):
    upstream = rng.normal(0, 1, (3, 4, 5, 37)).astype(np.float32)
    zero = np.zeros((3, 4, 5, 37), np.float32)
    # a sum of one value: exact on the CPU, to 2^-39 of the largest in whole numbers
    np.testing.assert_allclose(
        _native.warp_grad_image(upstream, zero, (4, 5, 37), target=target), upstream, atol=1e-7
    )


def test_many_voxels_that_meet_in_one_are_added_up(target):
    shape = (8, 16, 64)
    u = -np.indices(shape).astype(np.float32) + 1  # every voxel samples (1, 1, 1)
    upstream = np.full((1, *shape), 0.5, np.float32)
    back = _native.warp_grad_image(upstream, u, (3, 3, 3), target=target)
    assert back[0, 1, 1, 1] == pytest.approx(0.5 * np.prod(shape), rel=1e-6)
    assert np.count_nonzero(back) == 1


@pytest.mark.parametrize("what", [np.nan, np.inf, -1e30])
def test_points_that_are_nowhere_pass_nothing_back(what, target, rng):
    moving = rng.normal(0, 1, (1, 4, 5, 6)).astype(np.float32)
    u = np.full((3, 4, 5, 6), what, np.float32)
    upstream = np.ones((1, 4, 5, 6), np.float32)
    assert not _native.warp_grad_displacement(moving, u, upstream, target=target).any()
    assert not _native.warp_grad_image(upstream, u, (4, 5, 6), target=target).any()


def test_an_upstream_value_that_is_not_finite_comes_out_where_it_weighs_in(target):
    upstream = np.float32([0.25, np.nan, 0.5, np.inf, 0.75, -np.inf, 1]).reshape(1, 1, 1, 7)
    still = np.zeros((3, 1, 1, 7), np.float32)
    found = _native.warp_grad_image(upstream, still, (1, 1, 7), target=target)
    np.testing.assert_allclose(found, upstream, atol=1e-7)  # NaN and infinity in place, the rest as before
    halfway = still.copy()
    halfway[2] = 0.5
    found = _native.warp_grad_image(upstream, halfway, (1, 1, 7), target=target)
    # each voxel takes half of its own value and half of the one before; the last value falls on the border
    expected = [0.125, np.nan, np.nan, np.inf, np.inf, -np.inf, -np.inf]
    np.testing.assert_allclose(found[0, 0, 0], expected, atol=1e-7)
    together = -np.indices((1, 1, 7)).astype(np.float32)
    for values, expected in (
        ([1, 2, 3, np.inf, 4, np.inf, 5], np.inf),
        ([1, 2, 3, -np.inf, 4, 5, 6], -np.inf),
        ([1, 2, np.inf, -np.inf, 4, 5, 6], np.nan),
        ([1, 2, 3, 4, 5, 6, np.nan], np.nan),
    ):
        found = _native.warp_grad_image(
            np.float32(values).reshape(1, 1, 1, 7), together, (1, 1, 7), target=target
        )
        np.testing.assert_array_equal(found[0, 0, 0], [expected, 0, 0, 0, 0, 0, 0])


@pytest.mark.parametrize("border", ["zero", "extend"])
@pytest.mark.parametrize("what", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shapes", SHAPES)
def test_nothing_else_changes_beside_values_that_are_not_finite(shapes, what, border, target, rng):
    moving_shape, shape = shapes
    u = displacement(points(rng, moving_shape, shape))
    plain = rng.normal(0, 1, (3, *shape)).astype(np.float32)
    bad = rng.random(shape) < 0.02
    bad.flat[-1] = True  # at the end of a vector and of a piece
    upstream = plain.copy()
    upstream[1, bad] = what
    plain[1, bad] = 0
    found = _native.warp_grad_image(upstream, u, moving_shape, border=border, target=target)
    expected = _native.warp_grad_image(plain, u, moving_shape, border=border, target=target)
    reached = _native.warp_grad_image(
        np.where(bad, np.float32(1), np.float32(0))[None], u, moving_shape, border=border, target=target
    )[0]
    expected[1, reached > 0] = what
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("what", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", ["upstream", "moving"])
def test_the_slope_is_not_finite_where_such_a_value_weighs_in(side, what, target, rng):
    shape = (4, 5, 37)
    moving, upstream = rng.normal(0, 1, (2, 2, *shape)).astype(np.float32)
    u = displacement(np.indices(shape) + np.where(rng.random((3, *shape)) < 0.5, 0.25, 0.0))
    spoiled = {"moving": moving.copy(), "upstream": upstream.copy()}
    spoiled[side][1, 2, 3, 17] = what
    expected = _native.warp_grad_displacement(moving, u, upstream, target=target)
    found = _native.warp_grad_displacement(spoiled["moving"], u, spoiled["upstream"], target=target)
    bad = ~np.isfinite(found)
    np.testing.assert_array_equal(found[~bad], expected[~bad])
    if side == "upstream":
        where = np.zeros(shape, bool)
        where[2, 3, 17] = True
        np.testing.assert_array_equal(bad, np.broadcast_to(where, bad.shape))
    else:  # within one voxel along the axis, less than one along the others
        p = np.indices(shape) + u
        away = abs(p - np.reshape([2, 3, 17], (3, 1, 1, 1)))
        for axis in range(3):
            others = np.delete(away, axis, 0).max(0) < 1
            cell = np.floor(p[axis])  # the slope at a voxel's centre is that of the cell above it
            near = (cell == [2, 3, 17][axis]) | (cell + 1 == [2, 3, 17][axis])
            np.testing.assert_array_equal(bad[axis], others & near)


def test_threads_do_not_change_a_bit(target, rng):
    shape = (9, 21, 40)
    moving = rng.normal(0, 1, (3, *shape)).astype(np.float32)
    u = rng.normal(0, 2, (3, *shape)).astype(np.float32)
    upstream = rng.normal(0, 1, (3, *shape)).astype(np.float32)
    for made in (
        lambda threads: _native.warp_grad_displacement(moving, u, upstream, threads=threads, target=target),
        lambda threads: _native.warp_grad_image(upstream, u, shape, threads=threads, target=target),
    ):
        np.testing.assert_array_equal(made(1), made(3))


def test_arguments_that_do_not_fit_are_refused():
    moving, u = np.zeros((2, 3, 4, 5), np.float32), np.zeros((3, 3, 4, 5), np.float32)
    with pytest.raises(ValueError, match="channels of moving"):
        _native.warp_grad_displacement(moving, u, np.zeros((1, 3, 4, 5), np.float32))
    with pytest.raises(ValueError, match="displacement's grid"):
        _native.warp_grad_image(np.zeros((2, 3, 4, 6), np.float32), u, (3, 4, 5))
    with pytest.raises(ValueError, match="three positive"):
        _native.warp_grad_image(moving, u, (3, 0, 5))
