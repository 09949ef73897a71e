"""Jacobian determinant: laws, then the twin, on every target."""

import numpy as np
import pytest
import reference.jacobian

from mmreg_rt import _native

SHAPES = ((1, 1, 1), (1, 9, 40), (5, 7, 3), (16, 16, 16), (17, 31, 33))


@pytest.mark.parametrize("shape", SHAPES)
def test_no_displacement_has_determinant_one(target, shape):
    det = _native.jacobian(np.zeros((3, *shape), np.float32), target=target)
    np.testing.assert_array_equal(det, np.ones(shape, np.float32))


def test_a_scaling_has_the_product_of_its_factors(target):
    shape = (6, 7, 8)
    u = np.indices(shape).astype(np.float32) * np.float32([0.5, -0.25, 1.0])[:, None, None, None]
    np.testing.assert_allclose(_native.jacobian(u, target=target), 1.5 * 0.75 * 2, rtol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_agrees_with_the_reference(target, shape, rng):
    u = rng.normal(0, 0.3, (3, *shape)).astype(np.float32)
    # products of three factors of about 2 and single-precision rounding in each
    np.testing.assert_allclose(_native.jacobian(u, target=target), reference.jacobian.jacobian(u), atol=1e-5)


def test_threads_do_not_change_a_bit(target, rng):
    u = rng.normal(0, 0.3, (3, 20, 30, 41)).astype(np.float32)
    one = _native.jacobian(u, threads=1, target=target)
    np.testing.assert_array_equal(_native.jacobian(u, threads=5, target=target), one)
