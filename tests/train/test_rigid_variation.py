"""Moving scans that end earlier, and deformed ones whose organ is known to lie elsewhere."""

import numpy as np
import pytest
from fixtures import scene

torch = pytest.importorskip("torch", reason="training needs PyTorch")
variation = pytest.importorskip("mmreg_train.data.rigid.augmentation")

from mmreg_rt import Grid, Volume  # noqa: E402
from mmreg_rt.geometry import rigid_motion  # noqa: E402


def test_a_scan_that_is_cut_ends_earlier_and_is_the_same_inside():
    rng = np.random.default_rng(0)
    grid = Grid((10, 12, 4), np.diag([2.0, 2, 2, 1])[[2, 1, 0, 3]])
    scan = Volume(rng.uniform(1, 2, grid.shape).astype(np.float32), grid)
    sizes = []
    for _ in range(50):
        data = variation.blank_borders(scan, 6.0, rng).data
        inside = np.argwhere(data)
        box = tuple(slice(a, b + 1) for a, b in zip(inside.min(0), inside.max(0)))
        np.testing.assert_array_equal(data[box], scan.data[box])
        assert np.count_nonzero(data) == data[box].size
        sizes.append(data[box].shape)
    smallest, largest = np.min(sizes, 0), np.max(sizes, 0)
    assert (smallest >= (4, 6, 2)).all()  # 3 voxels of each side, of the shortest axis a third
    assert (smallest < (6, 8, 4)).all() and (largest > (8, 10, 2)).all()


@pytest.mark.parametrize("grid", [scene.PLAIN, scene.OBLIQUE], ids=["plain", "oblique"])
def test_points_of_a_deformed_scan_are_where_it_shows_them(grid):
    """A ball that can be seen: the middle of what is shown is where the fit brings the old middle."""
    middle = grid.centre_mm + 4
    away = np.linalg.norm(grid.points_mm() - middle, axis=1).reshape(grid.shape)
    ball = Volume((away < 14).astype(np.float32), grid)
    surface = middle + 14 * _directions()
    moved_mm = []
    for seed in range(4):
        scan, change = variation.deform(ball, surface, 12.0, np.random.default_rng(seed))
        weights = scan.data.ravel()
        shown = (grid.points_mm() * weights[:, None]).sum(0) / weights.sum()
        expected = rigid_motion.moved(change, middle[None])[0]
        assert np.linalg.norm(shown - expected) < 1.0  # of voxels of 2 mm; the ball is no ball any more
        assert np.linalg.det(change[:3, :3]) == pytest.approx(1)
        moved_mm.append(np.linalg.norm(expected - middle))
    assert 2 < max(moved_mm) < 12


def test_a_deformation_is_a_function_of_what_it_is_drawn_from():
    scan = Volume(np.random.default_rng(0).random((8, 9, 7), np.float32), Grid((8, 9, 7), np.eye(4)))
    points = scan.grid.centre_mm + _directions()
    found = [variation.deform(scan, points, 3.0, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(found[0][0].data, found[1][0].data)
    assert np.array_equal(found[0][1], found[1][1])
    assert not np.array_equal(found[0][0].data, found[2][0].data)
    still, change = variation.deform(scan, points, 0.0, np.random.default_rng(1))
    np.testing.assert_allclose(still.data, scan.data, atol=1e-6)
    np.testing.assert_allclose(change, np.eye(4), atol=1e-9)


def _directions():
    """Unit vectors in all directions."""
    vectors = np.random.default_rng(0).normal(size=(200, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
