"""Folding from central and one-sided differences: laws, then the twin, on every target."""

import numpy as np
import pytest
import reference.displacement
import reference.jacobian

from mmreg_rt import _native

SHAPES = ((1, 1, 1), (1, 9, 40), (2, 2, 2), (5, 7, 3), (6, 10, 16), (7, 11, 70))


@pytest.mark.parametrize("shape", SHAPES)
def test_no_displacement_does_not_fold(target, shape):
    found = _native.folding(np.zeros((3, *shape), np.float32), target=target)
    assert found["smallest"] == (1.0,) * 9
    assert found["count"] == (0,) * 9


def test_a_fold_of_one_voxel_that_central_differences_miss_is_counted(target):
    u = np.zeros((3, 5, 6, 40), np.float32)
    u[2, 2, 3, 20] = 1.5  # overtakes its neighbour ahead: difference ahead -1.5, central 0
    found = _native.folding(u, target=target)
    assert found["count"][0] == 0
    assert found["count"][1:] == (1,) * 8  # seen ahead from voxel 20 and back from voxel 21
    assert found["smallest"][1:] == pytest.approx((-0.5,) * 8)


@pytest.mark.parametrize("amplitude", [0.1, 0.4, 1.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_agrees_with_the_reference(target, shape, amplitude, rng):
    u = rng.normal(0, amplitude, (3, *shape)).astype(np.float32)
    found = _native.folding(u, target=target)
    central = reference.jacobian.jacobian(u)
    smallest, count = reference.displacement.folding(u)
    # products of three factors of a few units
    np.testing.assert_allclose(found["smallest"], [central.min(), *smallest], rtol=1e-5, atol=1e-5)
    assert found["count"] == ((central <= 0).sum(), *count)


def test_a_determinant_that_is_not_a_number_counts_as_folded(target):
    u = np.zeros((3, 5, 6, 40), np.float32)
    u[0, 2, 3, 20] = np.nan
    found = _native.folding(u, target=target)
    assert min(found["count"]) >= 4  # the voxel and a neighbour along each axis
    assert found["smallest"] == (1.0,) * 9


def test_threads_do_not_change_the_result(target, rng):
    u = rng.normal(0, 0.4, (3, 20, 30, 41)).astype(np.float32)
    assert _native.folding(u, threads=5, target=target) == _native.folding(u, threads=1, target=target)
