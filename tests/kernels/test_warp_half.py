"""Images in half precision: warped in float32, and narrowed once."""

import numpy as np
import pytest
from reference.fields import smooth

from mmreg_rt import _native

KINDS = ("nearest", "linear", "cubic")
SHAPES = ((1, 1, 1), (1, 9, 40), (5, 7, 3), (7, 11, 70))
LARGEST = np.finfo(np.float16).max


def halves(shape, rng):
    """Any of the 65536 that there are: subnormal, infinite and NaN ones too."""
    return rng.integers(0, 2**16, shape).astype(np.uint16).view(np.float16)


def assert_same(found, expected):
    """Bit by bit; a NaN is a NaN, whatever its payload."""
    assert found.dtype == expected.dtype == np.float16
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    number = ~np.isnan(found)
    np.testing.assert_array_equal(found.view(np.uint16)[number], expected.view(np.uint16)[number])


def displacements(shape, rng):
    """Rough, where values are gathered one by one, and smooth, where rows are loaded."""
    rough = rng.normal(0, 4, (3, *shape)).astype(np.float32)
    rough[1, 0, 0, 0] = np.nan
    return rough, smooth(shape, 1.5, 60, rng) + np.float32(0.25)


@pytest.mark.parametrize("border", ["zero", "extend"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("width", [1, 9, 37, 64])
def test_it_is_widening_warping_and_narrowing(target, shape, kind, border, width, rng):
    for u in displacements(shape, rng):
        for moving in (
            halves((4, 9, 8, width), rng),
            rng.normal(0, 1, (4, 9, 8, width)).astype(np.float16),
        ):
            wide = _native.warp(moving.astype(np.float32), u, kind, border, target=target)
            assert_same(_native.warp(moving, u, kind, border, target=target), wide.astype(np.float16))


@pytest.mark.parametrize("kind", ["nearest", "linear"])
@pytest.mark.parametrize("shape", SHAPES)
def test_no_displacement_is_the_identity(target, shape, kind, rng):
    moving = rng.integers(0, 0x7C00, (2, *shape)).astype(np.uint16).view(np.float16)  # all that are finite
    still = np.zeros((3, *shape), np.float32)
    assert_same(_native.warp(moving, still, kind, target=target), moving)


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ((1, 1 + 2**-10), 1),  # half way between two halves, to the even one
        ((1 + 2**-10, 1 + 2**-9), 1 + 2**-9),
        ((0, 2**-24), 0),  # the least subnormal
        ((2**-24, 3 * 2**-24), 2 * 2**-24),
        ((LARGEST, LARGEST), LARGEST),
        ((-LARGEST, LARGEST), 0),
        (
            (np.inf, 1),
            np.inf,
        ),  # though planes that the point lies on weigh nothing, and 0 times infinity is NaN
        ((np.nan, 1), np.nan),
    ],
)
def test_the_value_half_way_between_two_voxels(target, pair, expected):
    moving = np.float16(pair).reshape(1, 1, 1, 2)
    u = np.zeros((3, 1, 1, 1), np.float32)
    u[2] = 0.5
    np.testing.assert_array_equal(_native.warp(moving, u, target=target).item(), np.float16(expected))


def test_nearest_copies_infinity_and_nan(target):
    moving = np.float16([np.inf, -np.inf, np.nan, 1]).reshape(1, 1, 1, 4)
    u = np.full((3, 1, 1, 4), 0.25, np.float32)
    assert_same(_native.warp(moving, u, "nearest", target=target), moving)


@pytest.mark.parametrize("kind", ["linear", "cubic"])
def test_the_largest_number_does_not_overflow(target, kind, rng):
    moving = np.full((1, 9, 10, 40), LARGEST)
    u = rng.normal(0, 3, (3, 9, 10, 40)).astype(np.float32)
    # weights add up to 1 within a few 2^-24, and 2^-12 more would be needed
    np.testing.assert_array_equal(_native.warp(moving, u, kind, "extend", target=target), moving)


def test_points_that_are_nowhere(target):
    u = np.zeros((3, 1, 1, 4), np.float32)
    u[:, 0, 0, 1:] = np.nan, np.inf, 1e30
    warped = _native.warp(np.ones((1, 1, 1, 4), np.float16), u, target=target)
    np.testing.assert_array_equal(warped[0, 0, 0], [1, np.nan, np.nan, 0])


def test_the_mask_is_that_of_the_float_warp(target, rng):
    moving, u = halves((1, 8, 9, 40), rng), rng.normal(0, 6, (3, 8, 9, 45)).astype(np.float32)
    found, expected = np.full((2, 8, 9, 45), 7, np.uint8)
    _native.warp(moving, u, valid=found, target=target)
    _native.warp(moving.astype(np.float32), u, valid=expected, target=target)
    np.testing.assert_array_equal(found, expected)
    assert set(np.unique(found)) == {0, 1}


@pytest.mark.parametrize("kind", KINDS)
def test_threads_do_not_change_a_bit(target, kind, rng):
    moving, u = halves((4, 20, 30, 41), rng), rng.normal(0, 2, (3, 20, 30, 41)).astype(np.float32)
    one = _native.warp(moving, u, kind, threads=1, target=target)
    assert_same(_native.warp(moving, u, kind, threads=5, target=target), one)


def test_other_types_are_refused():
    moving, u = np.ones((1, 4, 5, 6), np.float16), np.zeros((3, 4, 5, 6), np.float32)
    with pytest.raises(TypeError, match="float16"):
        _native.warp(moving, u.astype(np.float16))
    with pytest.raises(TypeError, match="float16"):
        _native.warp(moving, u, out=np.empty_like(u[:1]))
