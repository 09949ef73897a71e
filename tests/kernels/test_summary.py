"""Sums, extrema and the check for numbers that are not finite, on every target."""

import numpy as np
import pytest

from mmreg_rt import _native

SIZES = (1, 3, 16, 37, 16384, 50001)


@pytest.mark.parametrize("size", SIZES)
def test_summary_agrees_with_numpy_in_double(target, size, rng):
    values = rng.normal(3, 10, size).astype(np.float32)
    found = _native.summary(values, target=target)
    exact = values.astype(np.float64)
    assert found["sum"] == pytest.approx(exact.sum(), rel=1e-12, abs=1e-9)
    assert found["mean"] == pytest.approx(exact.mean(), rel=1e-12, abs=1e-9)
    assert (found["smallest"], found["largest"]) == (exact.min(), exact.max())
    assert found["not_finite"] == 0


def test_a_large_sum_loses_nothing(target):
    values = np.ones(20_000_000, np.float32)  # in single precision the sum would stop at 2^24
    assert _native.summary(values, target=target)["sum"] == 20_000_000


def test_what_is_not_finite_is_counted_and_left_out(target, rng):
    values = rng.random((3, 11, 37), np.float32)
    values[0, 0, 0], values[1, 2, 3], values[2, 10, 36] = np.nan, np.inf, -np.inf
    found = _native.summary(values, target=target)
    good = values[np.isfinite(values)].astype(np.float64)
    assert found["not_finite"] == 3
    assert found["sum"] == pytest.approx(good.sum(), rel=1e-12)
    assert found["mean"] == pytest.approx(good.mean(), rel=1e-12)
    assert (found["smallest"], found["largest"]) == (good.min(), good.max())


def test_nothing_finite_sums_to_nothing(target):
    for values in (np.full(5, np.nan, np.float32), np.zeros(0, np.float32)):
        found = _native.summary(values, target=target)
        assert found == {"sum": 0, "mean": 0, "smallest": 0, "largest": 0, "not_finite": values.size}


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 9, 40), (5, 7, 3), (17, 31, 40)])
def test_reach_is_the_longest_displacement(target, shape, rng):
    u = rng.normal(0, 3, (3, *shape)).astype(np.float32)
    found = _native.max_displacement(u, target=target)
    assert found["longest"] == pytest.approx(np.linalg.norm(u.astype(np.float64), axis=0).max(), rel=1e-6)
    assert found["not_finite"] == 0


def test_reach_counts_voxels_that_are_not_finite(target, rng):
    u = rng.normal(0, 3, (3, 5, 7, 40)).astype(np.float32)
    u[:, 1, 2, 3], u[1, 4, 6, 39] = np.nan, np.inf
    found = _native.max_displacement(u, target=target)
    good = u[:, np.isfinite(u).all(0)].astype(np.float64)
    assert found["not_finite"] == 2
    assert found["longest"] == pytest.approx(np.linalg.norm(good, axis=0).max(), rel=1e-6)


def test_threads_do_not_change_a_bit(target, rng):
    values = rng.normal(0, 1, 300_001).astype(np.float32)
    assert _native.summary(values, threads=5, target=target) == _native.summary(
        values, threads=1, target=target
    )
