"""The interval of a mean paired difference."""

import numpy as np
import pytest
from benchmarks.harness.bootstrap import paired_difference


def test_a_constant_difference_has_no_width():
    found = paired_difference([0.7, 0.8, 0.9], [0.6, 0.7, 0.8])
    assert found.mean == pytest.approx(0.1)
    assert (found.low, found.high) == (pytest.approx(0.1), pytest.approx(0.1))
    assert (found.pairs, found.won, found.lost) == (3, 3, 0)


def test_exchanging_the_methods_mirrors_the_interval(rng):
    a, b = rng.random(20), rng.random(20)
    one, other = paired_difference(a, b), paired_difference(b, a)
    assert (one.mean, one.low, one.high) == pytest.approx((-other.mean, -other.high, -other.low))
    assert (one.won, one.lost) == (other.lost, other.won)


def test_the_interval_agrees_with_the_normal_one_for_many_pairs(rng):
    difference = rng.normal(0.05, 0.1, 400)
    found = paired_difference(difference, np.zeros(400), resamples=20_000)
    half = 1.96 * difference.std() / np.sqrt(400)
    # 20 000 resamples fix each end to about 2 % of the half width; 5 % leaves room for skewness
    assert found.low == pytest.approx(difference.mean() - half, abs=0.05 * half)
    assert found.high == pytest.approx(difference.mean() + half, abs=0.05 * half)


def test_the_seed_fixes_the_interval(rng):
    a, b = rng.random(15), rng.random(15)
    assert paired_difference(a, b) == paired_difference(a, b)


@pytest.mark.parametrize("values", [[], [0.5, float("nan")]])
def test_missing_results_are_refused(values):
    with pytest.raises(ValueError, match="finite numbers"):
        paired_difference(values, [0.1] * len(values))
