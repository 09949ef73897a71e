"""Composition, exponential and inverse of displacements: laws, then the twin, on every target."""

import numpy as np
import pytest
import reference.displacement as reference
from reference.fields import smooth, window

from mmreg_rt import _native

SHAPES = ((1, 1, 1), (1, 9, 40), (5, 7, 3), (6, 10, 16), (17, 12, 70))


@pytest.mark.parametrize("shape", SHAPES)
def test_composition_with_nothing_changes_nothing(target, shape, rng):
    u, zero = rng.normal(0, 2, (3, *shape)).astype(np.float32), np.zeros((3, *shape), np.float32)
    np.testing.assert_array_equal(_native.compose(u, zero, target=target), u)
    np.testing.assert_array_equal(_native.compose(zero, u, target=target), u)


@pytest.mark.parametrize("amplitude", [0.4, 5.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_composition_agrees_with_the_reference(target, shape, amplitude, rng):
    first = rng.normal(0, amplitude, (3, *shape)).astype(np.float32)
    second = rng.normal(0, amplitude, (3, *shape)).astype(np.float32)
    out = _native.compose(first, second, target=target)
    # positions to 70 in single precision times slopes of up to 4 amplitudes per voxel
    np.testing.assert_allclose(out, reference.compose(first, second), atol=5e-5 * max(amplitude, 1))


def test_a_constant_velocity_flows_by_itself(target):
    v = np.full((3, 6, 7, 40), 1.25, np.float32)
    np.testing.assert_array_equal(_native.integrate(v, 6, target=target), v)


@pytest.mark.parametrize("steps", [0, 1, 4, 7])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_exponential_agrees_with_the_reference(target, shape, steps, rng):
    v = smooth(shape, 3, 30, rng)
    # each squaring doubles the error of the one before; the first starts from 2^-steps
    np.testing.assert_allclose(
        _native.integrate(v, steps, target=target), reference.integrate(v, steps), atol=1e-4
    )


def test_the_exponential_of_the_opposite_velocity_is_the_inverse(target, rng):
    shape = (24, 26, 40)
    v = (smooth(shape, 3, 40, rng) * window(shape)).astype(np.float32)
    there, back = _native.integrate(v, 7, target=target), _native.integrate(-v, 7, target=target)
    left = _native.compose(there, back, target=target)
    assert np.abs(v).max() > 1.5
    assert np.abs(left).max() < 0.05  # linear interpolation of fields that bend over 40 voxels


@pytest.mark.parametrize("shape", SHAPES)
def test_the_inverse_undoes_a_smooth_field(target, shape, rng):
    u = smooth(shape, 2, 40, rng)
    v, residual = _native.invert(u, tolerance=1e-4, target=target)
    check = reference.residual(u, v)
    assert check.max() < 1.5e-4  # the tolerance, and single-precision positions
    assert residual["largest"] == pytest.approx(check.max(), abs=3e-5)
    assert residual["mean"] == pytest.approx(check.mean(), abs=3e-5)


def test_the_inverse_is_found_where_the_fixed_point_iteration_diverges(target):
    shape = (20, 22, 40)
    centre = np.reshape([(n - 1) / 2 for n in shape], (3, 1, 1, 1))
    u = (1.4 * (np.indices(shape) - centre)).astype(np.float32)  # magnification 2.4: |du/dp| > 1
    v, residual = _native.invert(u, tolerance=1e-3, target=target)
    assert residual["largest"] < 1e-3
    expected = np.broadcast_to((1 / 2.4 - 1) * (np.indices(shape) - centre), v.shape)
    np.testing.assert_allclose(v, expected, atol=1e-3)  # the tolerance


def test_the_inverse_is_found_for_a_steep_diffeomorphism(target, rng):
    shape = (30, 32, 40)
    u = _native.integrate((smooth(shape, 9, 30, rng) * window(shape)).astype(np.float32), 8, target=target)
    folding = _native.folding(u, target=target)
    assert max(folding["count"]) == 0  # no fold, but steep
    assert np.abs(np.diff(u, axis=3)).max() > 0.8
    _, residual = _native.invert(u, tolerance=1e-3, target=target)
    assert residual["largest"] < 1e-3


def test_the_residual_of_a_field_that_folds_is_reported(target, rng):
    u = rng.normal(0, 3, (3, 8, 9, 40)).astype(np.float32)
    v, residual = _native.invert(u, target=target)
    assert np.isfinite(v).all()
    assert residual["largest"] == pytest.approx(reference.residual(u, v).max(), rel=1e-4)


@pytest.mark.parametrize("operation", ["compose", "integrate", "invert"])
def test_threads_do_not_change_a_bit(target, operation, rng):
    u = smooth((20, 30, 41), 2, 12, rng)
    run = {
        "compose": lambda t: _native.compose(u, u, threads=t, target=target),
        "integrate": lambda t: _native.integrate(u, 5, threads=t, target=target),
        "invert": lambda t: _native.invert(u, threads=t, target=target)[0],
    }[operation]
    np.testing.assert_array_equal(run(5), run(1))


def test_wrong_arguments_are_refused():
    u = np.zeros((3, 4, 5, 6), np.float32)
    with pytest.raises(ValueError, match="same shape"):
        _native.compose(u, u[:, :, :, :5].copy())
    with pytest.raises(ValueError, match="steps must be"):
        _native.integrate(u, -1)
    with pytest.raises(ValueError, match="must be positive"):
        _native.invert(u, iterations=0)
    with pytest.raises(ValueError, match="displacement must have"):
        _native.folding(u[:, :0])
