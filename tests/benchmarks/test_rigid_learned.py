"""Learned rigid motions as they are measured: the window of the authors' arrays, and what is counted."""

from types import SimpleNamespace

import numpy as np
import pytest

for package in ("torch", "lightning", "pydantic"):
    pytest.importorskip(package)
rigid_learned = pytest.importorskip("benchmarks.accuracy.rigid_learned")

from mmreg_rt import Grid, Volume  # noqa: E402
from mmreg_rt.geometry import rigid_motion  # noqa: E402
from mmreg_rt.preprocess import PreprocessSpec  # noqa: E402


def network(size, spacing_mm):
    rigid = SimpleNamespace(size=size, spacing_mm=spacing_mm)
    return SimpleNamespace(manifest=SimpleNamespace(rigid=rigid, preprocess=PreprocessSpec(multiple=4)))


@pytest.fixture
def image(rng):
    grid = Grid((8, 12, 12), np.diag([3.0, 1, 1, 1])[[2, 1, 0, 3]])
    return Volume(rng.random((8, 12, 12), np.float32), grid)


def test_an_array_on_the_networks_own_window_is_seen_as_it_is(image):
    seen = rigid_learned.in_window(image, network((8, 12, 12), (3.0, 1.0, 1.0)))
    np.testing.assert_allclose(seen, image.data, atol=1e-6)


def test_another_window_lies_around_the_same_middle(image):
    points = image.grid.points_mm() - image.grid.centre_mm
    ramp = Volume(
        points[:, 0].reshape(8, 12, 12).astype(np.float32), image.grid
    )  # x runs along the last axis
    seen = rigid_learned.in_window(ramp, network((4, 6, 4), (3.0, 1.0, 2.0)))
    np.testing.assert_allclose(seen[1:3, 1:5], np.broadcast_to([-3, -1, 1, 3], (2, 4, 4)), atol=1e-5)


def test_errors_are_those_of_the_surface_over_all_starts():
    surface = np.array([[0.0, 0, 0], [10, 0, 0]])
    truth = SimpleNamespace(matrix=np.eye(4), surface_mm=surface)
    pair = SimpleNamespace(truth=truth, starts=[np.eye(4)] * 4)
    pair.error_mm = lambda found: rigid_learned.Pair.error_mm(pair, found)
    shifts = iter([0.0, 4.0, 6.0, 8.0])
    found = rigid_learned.measured([pair], lambda *_: rigid_motion.matrix_of([next(shifts), 0, 0, 0, 0, 0]))
    assert found["errors_mm"] == [0, 4, 6, 8]
    assert (found["error_mm_p50"], found["below_5_mm"], found["registrations"]) == (5, 0.5, 4)
