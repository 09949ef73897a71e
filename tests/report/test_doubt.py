"""The number that the verdict on an alignment rests on: bounded, higher where a measure is worse."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from fixtures.pretend import EVIDENCE

from mmreg_rt.report.doubt import NAMES, SLICES, VOLUMES, doubt, measures

WORSE = [
    {"drift_mm": 3.0},
    {"residual_mm": 3.0},
    {"scatter_mm": 2.0, "far_fraction": 0.6},
    {"agreement": 0.1},
    {"agreement_moved": 0.5},
    {"agreement_moved_most": 0.7},
    {"turned_information": 1.1},
]


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("change", WORSE, ids=lambda change: next(iter(change)))
def test_what_is_worse_never_lowers_the_doubt(dims, change):
    good = EVIDENCE
    assert doubt(replace(good, **change), 1.0, dims) >= doubt(good, 1.0, dims)


@pytest.mark.parametrize("dims", [2, 3])
def test_all_that_is_worse_together_raises_it_much(dims):
    worse = replace(EVIDENCE, **{k: v for change in WORSE for k, v in change.items()})
    assert doubt(EVIDENCE, 1.0, dims) < 0.1
    assert doubt(worse, 1.0, dims) > 0.95


@pytest.mark.parametrize("weights", [SLICES, VOLUMES])
def test_no_measure_counts_in_favour_of_a_worse_result(weights):
    assert len(weights.of) == len(NAMES)
    assert min(weights.of) >= 0


@pytest.mark.parametrize("dims", [2, 3])
def test_it_is_a_share_for_any_evidence(dims):
    """Infinities of either sign, and measures that are 0, are bounded before they are weighed."""
    extremes = (0.0, 1e30, -1e30, math.inf)
    for moved, agreed in itertools.product(extremes, extremes):
        e = replace(EVIDENCE, drift_mm=abs(moved), residual_mm=abs(moved), scatter_mm=abs(moved),
                    agreement=agreed, agreement_elsewhere=0.0)  # fmt: skip
        assert 0 <= doubt(e, 1.0, dims) <= 1


def test_it_does_not_change_with_the_unit_of_length():
    e = EVIDENCE
    scaled = replace(
        e, **{k: 7 * getattr(e, k) for k in ("drift_mm", "residual_mm", "scatter_mm", "body_mm")}
    )
    np.testing.assert_allclose(measures(scaled, 7.0, 3), measures(e, 1.0, 3), rtol=1e-12)
