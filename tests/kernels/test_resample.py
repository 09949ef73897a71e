"""Resampling through an affine map of indices, and the spline prefilter, on every target."""

import numpy as np
import pytest
import reference.warp as reference

from mmreg_rt import _native

IDENTITY = np.eye(3, 4)


def rotation(angle, offset=(0, 0, 0), axis=0):
    m = np.eye(3)
    i, j = [a for a in range(3) if a != axis]
    m[i, i] = m[j, j] = np.cos(angle)
    m[i, j], m[j, i] = -np.sin(angle), np.sin(angle)
    return np.column_stack([m, offset])


def scaling(factors, offset):
    return np.column_stack([np.diag(np.asarray(factors, float)), offset])


MAPS = {
    "identity": IDENTITY,
    "shift": scaling((1, 1, 1), (0.25, -1.5, 3)),
    "up": scaling((0.5, 0.4, 0.45), (-0.25, 0.3, -0.2)),
    "down": scaling((2, 1.7, 2.3), (0.5, 0, -3)),
    "far down": scaling((1, 1, 7.7), (0.5, 0, 0)),
    "flipped": scaling((-1, 1, -1), (8, 0, 39)),
    "no extent": scaling((0, 1, 0), (3, 0, 5.5)),
    "small rotation": rotation(0.05, (1, 0, 2)),
    "rotation": rotation(0.6, (3, 4, -2), axis=1),
    "axes swapped": np.array([[0, 0, 0.2, 0], [0, 1, 0, 0], [3.0, 0, 0, 1]]),
    "outside": scaling((1, 1, 1), (100, 0, 0)),
}


@pytest.mark.parametrize("kind", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 9, 40), (5, 7, 3), (6, 10, 16), (7, 11, 70)])
def test_the_identity_map_changes_nothing(target, shape, kind, rng):
    moving = rng.random((2, *shape), np.float32)
    values = _native.prefilter(moving, target=target) if kind == "cubic" else moving
    out = _native.resample_affine(values, IDENTITY, shape, kind, target=target)
    # the spline goes through the voxels up to single-precision rounding of a gain of 6 per axis
    np.testing.assert_allclose(out, moving, atol=1e-5 if kind == "cubic" else 0, rtol=0)


@pytest.mark.parametrize("border", ["zero", "extend"])
@pytest.mark.parametrize("kind", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("name", MAPS)
def test_agrees_with_the_reference(target, name, kind, border, rng):
    moving = rng.random((2, 9, 10, 40), np.float32)
    shape = (8, 11, 45)
    index_map = MAPS[name] + (1e-3 if kind == "nearest" else 0)  # away from ties, where rounding decides
    out = _native.resample_affine(moving, index_map, shape, kind, border, target=target)
    expected = reference.resample_affine(moving, index_map, shape, kind, border)
    # positions to 350 in single precision (2^-24 * 350), times a slope of at most 2
    np.testing.assert_allclose(out, expected, atol=5e-5)


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("size", [(1, 1, 1), (1, 30, 31), (5, 2, 3), (4, 6, 200)])
def test_agrees_with_the_reference_on_small_and_thin_volumes(target, name, size, rng):
    moving = rng.random((1, *size), np.float32)
    for kind in ("linear", "cubic"):
        out = _native.resample_affine(moving, MAPS[name], (3, 5, 37), kind, "extend", target=target)
        expected = reference.resample_affine(moving, MAPS[name], (3, 5, 37), kind, "extend")
        np.testing.assert_allclose(out, expected, atol=5e-5)  # as above


@pytest.mark.parametrize("name", MAPS)
def test_the_mask_marks_points_in_the_footprint_of_the_moving_voxels(target, name, rng):
    moving = rng.random((1, 9, 10, 40), np.float32)
    index_map = MAPS[name] + 1e-3  # away from the edges of the footprint, where rounding decides
    valid = np.full((8, 11, 45), 7, np.uint8)
    _native.resample_affine(moving, index_map, valid.shape, valid=valid, target=target)
    expected = reference.footprint(reference.index_points(index_map, valid.shape), (9, 10, 40))
    np.testing.assert_array_equal(valid, expected)


@pytest.mark.parametrize("name", ["up", "rotation"])
@pytest.mark.parametrize("kind", ["nearest", "linear", "cubic"])
def test_threads_do_not_change_a_bit(target, kind, name, rng):
    moving = rng.random((2, 20, 30, 41), np.float32)
    one = _native.resample_affine(moving, MAPS[name], (30, 31, 50), kind, threads=1, target=target)
    five = _native.resample_affine(moving, MAPS[name], (30, 31, 50), kind, threads=5, target=target)
    np.testing.assert_array_equal(five, one)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 9, 40), (2, 3, 2), (5, 7, 3), (20, 17, 37), (3, 70, 90)])
def test_the_prefilter_solves_the_spline_system(target, shape, rng):
    image = rng.random((2, *shape), np.float32)
    out = _native.prefilter(image, target=target)
    expected = reference.prefilter(image)
    # a gain of up to 3 per axis on values of 1
    np.testing.assert_allclose(out, expected, atol=1e-5)
    if min(shape) > 1:  # scipy refuses nothing, but mirrors an axis of 1 in its own way
        np.testing.assert_allclose(out, reference.scipy_coefficients(image), atol=1e-5)


def test_threads_do_not_change_a_bit_of_the_prefilter(target, rng):
    image = rng.random((2, 20, 30, 41), np.float32)
    np.testing.assert_array_equal(
        _native.prefilter(image, threads=5, target=target), _native.prefilter(image, threads=1, target=target)
    )


def test_wrong_arguments_are_refused(rng):
    moving = rng.random((1, 4, 5, 6), np.float32)
    with pytest.raises(ValueError, match="index_map must have shape"):
        _native.resample_affine(moving, np.eye(3), (4, 5, 6))
    with pytest.raises(ValueError, match="shape must be three positive"):
        _native.resample_affine(moving, IDENTITY, (4, 0, 6))
    with pytest.raises(ValueError, match="index_map must be finite"):
        _native.resample_affine(moving, np.full((3, 4), np.nan), (4, 5, 6))
