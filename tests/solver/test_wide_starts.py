"""Alignment where the usual position does not hold: vessel trees shifted far, half turns, any turn."""

import numpy as np
import pytest
from benchmarks.datasets.vessels import retina
from fixtures.head import (
    AFFINE,
    FIXED,
    INSIDE,
    SHAPE,
    bright_between,
    bright_first,
    error_mm,
    grid,
    rigid,
    scan,
)

from mmreg_rt import _native

PLANE = np.eye(4)[:, [2, 1, 0, 3]]  # axes 0, 1, 2 along z, y, x; pixels of 1 mm


def picture_error(found, made):
    """Mean distance over the fixed picture, pixels."""
    n = made.fixed.shape[-1]
    pixels = np.stack(np.meshgrid([0], *2 * [np.linspace(0, n - 1, 12)]), -1).reshape(-1, 3)
    index = np.linalg.inv(PLANE) @ found @ PLANE
    difference = (index - made.truth)[:3]
    return np.linalg.norm(pixels @ difference[:, :3].T + difference[:, 3], axis=1).mean()


@pytest.mark.parametrize(
    ("seed", "size", "shift", "degrees"),
    [
        (3, 256, (50, -20), 4),
        (4, 320, (-20, 66), -8),
        (5, 400, (40, 60), 3),
        (6, 320, (30, 40), 150),
        (17, 400, (76, 29), 6),
    ],
)
def test_vessels_lie_on_each_other(seed, size, shift, degrees):
    made = retina(seed, size, shift, degrees)
    found = _native.align(made.fixed, PLANE, made.moving, PLANE, kind="rigid")
    assert picture_error(found["rigid"], made) < 1.0
    assert found["agreement"] > 3 * found["agreement_elsewhere"]
    assert found["rival"] < 0.7


@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)])
@pytest.mark.parametrize("degrees", [180, 120])
def test_a_turned_head_is_found(axis, degrees):
    truth = rigid(axis, degrees, (9, -6, 4))
    affine = grid(SHAPE, (2.0, 2.0, 2.0), None, truth[:3, 3])
    found = _native.align(FIXED, AFFINE, scan(SHAPE, affine, bright_between, truth, seed=1), affine)
    assert error_mm(found["rigid"], truth) < 0.6  # a third of a voxel
    assert found["rival"] < 0.9


@pytest.mark.parametrize("degrees", [65, 110, 180, 235, 305])
def test_a_turned_slice_is_found(degrees):
    shape, truth = (1, 96, 90), rigid((0, 0, 1), degrees, (12, -8, 0))
    flat = grid(shape, (3.0, 1.0, 1.0))
    moving = scan(shape, flat, bright_between, truth, seed=1)
    found = _native.align(scan(shape, flat, bright_first), flat, moving, flat)
    assert error_mm(found["rigid"], truth, INSIDE * [1, 1, 0]) < 0.5


def test_a_mirrored_scan_is_not_sure():
    """No rotation can match it: whatever is returned, the edges or a rival say so."""
    found = _native.align(FIXED, AFFINE, scan(SHAPE, AFFINE, bright_between)[:, :, ::-1].copy(), AFFINE)
    assert found["agreement"] < 3 * found["agreement_elsewhere"] or found["rival"] > 0.7


def test_threads_do_not_change_a_bit_of_a_wide_search():
    made = retina(7, 256, (30, 40), 120)
    one, three = (_native.align(made.fixed, PLANE, made.moving, PLANE, threads=t) for t in (1, 3))
    for name in ("rigid", "affine", "agreement", "agreement_elsewhere", "rival"):
        np.testing.assert_array_equal(one[name], three[name])


@pytest.mark.parametrize("limit_ms", [1.0, 20.0])
def test_a_wide_search_ends_when_time_is_up(limit_ms):
    made = retina(8, 400, (40, 60), 90)
    found = _native.align(made.fixed, PLANE, made.moving, PLANE, limit_ms=limit_ms)
    assert not found["complete"]
    assert np.isfinite(found["rigid"]).all()
