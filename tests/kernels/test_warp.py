"""Pull-back of images and labels: laws, then the twin, then edges, on every target."""

import numpy as np
import pytest
import reference.warp as reference
from reference.fields import smooth

from mmreg_rt import _native

SHAPES = (
    (1, 1, 1),
    (1, 9, 40),
    (5, 7, 3),
    (6, 10, 16),
    (7, 11, 70),
)  # one voxel, 2-D, thin, one vector, many
KINDS = ("nearest", "linear", "cubic")


def coefficients(image, kind, target):
    return _native.prefilter(image, target=target) if kind == "cubic" else image


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_no_displacement_is_the_identity(target, shape, kind, rng):
    moving = rng.random((2, *shape), np.float32)
    still = np.zeros((3, *shape), np.float32)
    out = _native.warp(coefficients(moving, kind, target), still, kind, target=target)
    # the spline goes through the voxels up to single-precision rounding of a gain of 6 per axis
    np.testing.assert_allclose(out, moving, atol=1e-5 if kind == "cubic" else 0, rtol=0)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("kind", ["nearest", "linear"])
def test_one_voxel_along_an_axis_shifts_by_one(target, axis, kind, rng):
    shape = (6, 7, 40)
    moving = rng.random((1, *shape), np.float32)
    u = np.zeros((3, *shape), np.float32)
    u[axis] = 1
    expected = np.roll(moving, -1, 1 + axis)
    expected[(slice(None),) * (1 + axis) + (-1,)] = 0  # pulled from outside
    np.testing.assert_array_equal(_native.warp(moving, u, kind, target=target), expected)


@pytest.mark.parametrize("kind", ["linear", "cubic"])
def test_a_ramp_is_sampled_exactly(target, kind, rng):
    shape = (20, 21, 66)
    p = np.indices(shape).astype(np.float32)
    ramp = (p * np.float32([0.5, -1, 2])[:, None, None, None]).sum(0, keepdims=True)
    u = smooth(shape, 2, 40, rng)
    out = _native.warp(coefficients(ramp, kind, target), u, kind, "extend", target=target)
    expected = ((p + u) * np.float32([0.5, -1, 2])[:, None, None, None]).sum(0)
    inner = (
        slice(8, -8),
    ) * 3  # a mirrored ramp has a kink at the border, gone after a few voxels of the spline
    # values to 150 with 24 bits, and positions to 66 with 24 bits
    np.testing.assert_allclose(out[0][inner], expected[inner], atol=2e-3 if kind == "cubic" else 1e-4)


@pytest.mark.parametrize("border", ["zero", "extend"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("amplitude", [0.3, 4.0])
def test_agrees_with_the_reference_on_rough_fields(target, shape, kind, border, amplitude, rng):
    moving = rng.random((2, 9, 8, 37), np.float32)
    u = rng.normal(0, amplitude, (3, *shape)).astype(np.float32)
    out = _native.warp(moving, u, kind, border, target=target)
    # positions carry 2^-24 * 70 of rounding, times a slope of at most 2 per axis
    np.testing.assert_allclose(out, reference.warp(moving, u, kind, border), atol=3e-5)


@pytest.mark.parametrize(("kind", "channels"), [("linear", 1), ("linear", 5), ("cubic", 3)])
@pytest.mark.parametrize("width", [9, 32, 33, 64])
@pytest.mark.parametrize("amplitude", [0.0, 1.5, 9.0])
def test_agrees_with_the_reference_on_smooth_fields(target, kind, channels, width, amplitude, rng):
    moving = rng.random((channels, 9, 11, width), np.float32)
    u = smooth((7, 8, 70), amplitude, 60, rng) + np.float32(0.25)
    out = _native.warp(moving, u, kind, target=target)
    np.testing.assert_allclose(out, reference.warp(moving, u, kind), atol=3e-5)  # as above


def test_the_mask_marks_points_in_the_footprint_of_the_moving_voxels(target, rng):
    moving, u = rng.random((1, 8, 9, 40), np.float32), rng.normal(0, 6, (3, 8, 9, 45)).astype(np.float32)
    valid = np.full((8, 9, 45), 7, np.uint8)
    _native.warp(moving, u, valid=valid, target=target)
    np.testing.assert_array_equal(valid, reference.footprint(reference.points(u), (8, 9, 40)))


def test_labels_are_copied_exactly(target, rng):
    moving = rng.integers(-(2**31), 2**31, (8, 9, 40)).astype(np.int32)  # some have the bits of a float NaN
    u = rng.normal(0, 3, (3, 7, 6, 45)).astype(np.float32)
    np.testing.assert_array_equal(
        _native.warp_labels(moving, u, target=target), reference.warp_labels(moving, u)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_point_that_is_not_a_number_gives_nan_and_touches_no_other(target, kind, rng):
    moving = rng.random((1, 6, 7, 40), np.float32)
    u = np.zeros((3, 6, 7, 40), np.float32)
    clean = _native.warp(moving, u, kind, target=target)
    u[:, 2, 3, 5] = np.nan
    u[1, 3, 3, 30] = np.inf
    u[2, 4, 3, 31] = -np.inf
    out = _native.warp(moving, u, kind, target=target)
    bad = ~np.isfinite(u).all(0)
    assert np.isnan(out[0][bad]).all()
    np.testing.assert_allclose(out[0][~bad], clean[0][~bad], atol=1e-6)  # another order of sums
    labels = _native.warp_labels(np.ones((6, 7, 40), np.int32), u, target=target)
    np.testing.assert_array_equal(labels, ~bad)


def test_far_away_points_give_the_border(target, rng):
    moving = rng.random((1, 6, 7, 40), np.float32)
    u = np.full((3, 6, 7, 40), 1e30, np.float32)
    np.testing.assert_array_equal(_native.warp(moving, u, target=target), np.zeros_like(moving))
    extended = _native.warp(moving, u, border="extend", target=target)
    np.testing.assert_array_equal(extended, np.full_like(moving, moving[0, -1, -1, -1]))


@pytest.mark.parametrize("kind", KINDS)
def test_threads_do_not_change_a_bit(target, kind, rng):
    moving, u = rng.random((4, 20, 30, 41), np.float32), rng.normal(0, 2, (3, 20, 30, 41)).astype(np.float32)
    one = _native.warp(moving, u, kind, threads=1, target=target)
    np.testing.assert_array_equal(_native.warp(moving, u, kind, threads=5, target=target), one)


def test_wrong_arguments_are_refused(rng):
    moving, u = rng.random((1, 4, 5, 6), np.float32), np.zeros((3, 4, 5, 6), np.float32)
    with pytest.raises(ValueError, match="displacement must have shape"):
        _native.warp(moving, u[:2])
    with pytest.raises(ValueError, match="moving must have 1"):
        _native.warp(moving[:, :0], u)
    with pytest.raises(ValueError, match="interpolation must be"):
        _native.warp(moving, u, "lanczos")
    with pytest.raises(ValueError, match="border must be"):
        _native.warp(moving, u, border="wrap")
    with pytest.raises(ValueError, match="valid must have the shape"):
        _native.warp(moving, u, valid=np.zeros((4, 5, 7), np.uint8))
    with pytest.raises(TypeError):
        _native.warp(moving.astype(np.float64), u)
