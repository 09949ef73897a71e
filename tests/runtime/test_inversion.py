"""The inverse of a field between scans that lie turned and far apart: laws, then a Newton twin in float64."""

import warnings

import numpy as np
import pytest
from fixtures.grids import GRIDS, grid, rotation
from scipy.ndimage import map_coordinates

from mmreg_rt import Affine, Composite, DisplacementField, Rigid, Volume, read_transform, write_transform
from mmreg_rt.errors import OutsideWarning
from mmreg_rt.transform.inversion import grid_under

APART_MM = np.array([150.0, -120.0, 60.0])  # 200 mm
FIXED = {
    "plain": grid((22, 24, 26), (2.0, 2.0, 2.0), 0, origin_mm=(-25, -23, -21)),
    "oblique": grid((12, 30, 26), (3.5, 1.0, 1.5), 25, origin_mm=(-31.0, 12.5, 77.0)),
    "left-handed": grid((20, 24, 18), (1.5, 2.0, 1.3), -70, (1, 1, -1), (14.0, -90.0, 3.5)),
    "slice": grid((1, 40, 44), (3.0, 1.0, 1.2), origin_mm=(-20, 30, 8)),
}
# Interpolation of waves of 1.2 mm and 50 mm, an eighth of their curvature times the squared spacing, on both
# grids that the sampled inverse comes from; and the float32 of positions around 300 mm.
SAMPLED_MM = 2 * (2 * np.pi / 50) ** 2 * 1.2 / 8 * 3.5**2 * 1.5 + 1e-3


def turned(name, degrees):
    """A motion about a skew line through the middle of the scan and 200 mm away; of a slice in its plane."""
    target = FIXED[name]
    axis = (0, 0, 1) if name == "slice" else (1, -2, 3)
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(axis, degrees)
    away = APART_MM * (1, 1, name != "slice")
    matrix[:3, 3] = target.centre_mm + away - matrix[:3, :3] @ target.centre_mm
    return Rigid(matrix)


def waves(target, amplitude_mm=1.2, length_mm=50.0):
    x, y, z = (target.points_mm() - target.centre_mm).T * 2 * np.pi / length_mm
    u = amplitude_mm * np.stack([np.sin(y), np.sin(z + 1) if target.dims == 3 else np.cos(x), np.cos(x)])
    if target.dims == 2:
        u[2] = 0
    return DisplacementField(u.reshape(3, *target.shape).astype(np.float32), target)


@pytest.fixture(params=FIXED)
def name(request):
    return request.param


@pytest.fixture(params=[30, 75, 120, 180])
def field(name, request):
    return waves(FIXED[name]).then(turned(name, request.param)).to_field(FIXED[name])


def points_in(target, count=60):
    index = np.random.default_rng(8).uniform(0, 1, (count, 3)) * (np.array(target.shape) - 1)
    return target.map_indices(index)


def forward(field, points):
    """The field as its docstring says, in float64: linear between voxels, the border value outside."""
    index = field.grid.map_points(points).T
    moved = [map_coordinates(u.astype(float), index, order=1, mode="nearest") for u in field.displacement_mm]
    return points + np.transpose(moved)


def newton(field, wanted, start):
    """Where the field leads to ``wanted``: Newton's method, slopes by differences of a thousandth of a mm."""
    found, step = start.copy(), 1e-3
    for _ in range(60):
        missed = forward(field, found) - wanted
        slope = np.stack(
            [
                (forward(field, found + step * e) - forward(field, found - step * e)) / (2 * step)
                for e in np.eye(3)
            ],
            axis=-1,
        )
        found -= 0.7 * np.linalg.solve(slope, missed[..., None])[..., 0]
    assert np.abs(forward(field, found) - wanted).max() < 1e-6
    return found


def test_points_come_back_to_where_they_were(field):
    points = points_in(field.grid)
    with warnings.catch_warnings():
        warnings.simplefilter("error", OutsideWarning)
        moved = field.map_points(points)
        back = field.inverse().map_points(moved)
        again = field.inverse().inverse().map_points(points)
    np.testing.assert_allclose(back, points, atol=1e-5)
    np.testing.assert_array_equal(again, moved)


def test_points_agree_with_newtons_method(field):
    index = np.random.default_rng(9).uniform(0.1, 0.9, (40, 3)) * (np.array(field.grid.shape) - 1)
    middle = field.grid.map_indices(index)
    wanted = forward(field, middle) + np.where(field.grid.dims == 3, 0.3, 0.0)
    expected = newton(field, wanted, middle)
    np.testing.assert_allclose(field.inverse().map_points(wanted), expected, atol=1e-5)


def test_the_sampled_inverse_covers_what_the_field_leads_to_and_is_right_there(field, tmp_path):
    write_transform(field, tmp_path / "t.nii.gz")
    written = read_transform(tmp_path / "t.nii.gz")
    inverse = written.inverse()
    moved = written.map_points(written.grid.points_mm())
    assert inverse.grid.contains(moved).all()
    assert inverse.grid.size < 1.6 * written.grid.size + 10_000  # a margin, not another space
    write_transform(inverse, tmp_path / "back.nii.gz")
    back = read_transform(tmp_path / "back.nii.gz")
    inner = written.grid.map_points(written.grid.points_mm())
    inner = (
        (inner >= 1) & (inner <= np.array(written.grid.shape) - 2) | (np.array(written.grid.shape) == 1)
    ).all(1)
    missed = np.linalg.norm(back.map_points(moved) - written.grid.points_mm(), axis=1)
    assert missed[inner].max() < SAMPLED_MM


def test_an_image_of_the_fixed_scan_comes_out_where_the_moving_scan_lies(field):
    fixed = field.grid
    slope = np.array([0.5, -0.25, 0.125])  # linear in space, so that interpolation adds no error
    image = Volume((fixed.points_mm() @ slope + 300).reshape(fixed.shape).astype(np.float32), fixed)
    inverse = field.inverse()
    for target in (
        None,
        grid_under(field.moved, fixed, np.eye(3)),
    ):  # by default, and on a grid of another direction
        if target is not None and fixed.dims == 2:
            continue
        warped = inverse.warp(image, target, outside=np.nan)
        there = warped.grid.points_mm()
        covered = np.flatnonzero(inverse.covers(there))[::7]
        back = inverse.map_points(there[covered])
        index = fixed.map_points(back)
        inner = ((index > 0.2) & (index < np.array(fixed.shape) - 1.2) | (np.array(fixed.shape) == 1)).all(
            axis=1
        )
        assert inner.mean() > 0.5
        found, expected = warped.data.ravel()[covered], back @ slope + 300
        np.testing.assert_allclose(found[inner], expected[inner], atol=SAMPLED_MM * 0.6 + 64 * 2**-20)


def test_the_inverse_is_that_of_strong_affine_parts_too():
    fixed = FIXED["oblique"]
    matrix = np.eye(4)
    matrix[:3, :3] = rotation((2, 1, -1), 95) @ np.array([[1.3, 0.2, 0], [0, 0.7, 0.1], [0, 0, 1.1]])
    matrix[:3, 3] = 200, 30, -50
    field = waves(fixed).then(Affine(matrix)).to_field(fixed)
    points = points_in(fixed)
    np.testing.assert_allclose(field.inverse().map_points(field.map_points(points)), points, atol=1e-5)
    assert field.inverse().grid.contains(field.map_points(fixed.points_mm())).all()
    assert field.inverse().grid.shear < 1e-6


def test_what_moves_in_at_the_border_is_inverted_too():
    target = grid((20, 20, 20), (2, 2, 2))
    u = np.zeros((3, *target.shape), np.float32)
    z = np.arange(20, dtype=np.float32).reshape(-1, 1, 1)
    u[2] = 9 * np.exp(-z / 6)  # 9 mm at the lower border, from outside in
    field = DisplacementField(u, target)
    points = target.points_mm()
    np.testing.assert_allclose(field.inverse().map_points(field.map_points(points)), points, atol=1e-5)


def test_chains_are_inverted_and_lie_where_they_lead():
    fixed = FIXED["oblique"]
    motion = turned("oblique", 60)
    elsewhere = Affine(np.diag([1.1, 0.9, 1.0, 1.0]))
    chains = (
        Composite((waves(fixed), motion)),
        Composite((motion.inverse(), waves(fixed).then(motion).to_field(fixed))),
        Composite((elsewhere, waves(grid((40, 60, 60), (2, 2, 2), origin_mm=(-90, -30, 30))))),
    )
    for chain in chains:
        start = chain.default_grid()
        points = points_in(start)
        points = points[chain.covers(points)]
        assert len(points) > 20
        moved = chain.map_points(points)
        np.testing.assert_allclose(chain.inverse().map_points(moved), points, atol=1e-4)
        assert chain.inverse().default_grid().contains(moved).all()


@pytest.mark.parametrize("thin", ["slice", "row", "thin", "voxel"])
def test_a_grid_under_a_motion_keeps_axes_of_one_voxel(thin):
    target = GRIDS[thin]
    motion = turned("plain", 40)
    under = grid_under(motion.moved, target, motion.matrix[:3, :3])
    assert [n == 1 for n in under.shape] == [n == 1 for n in target.shape]
    assert under.contains(motion.map_points(target.points_mm())).all()
    assert under.handedness == target.handedness


# ---- what lies outside is told ------------------------------------------------------------------------


def test_points_outside_of_the_field_are_told_with_their_share():
    field = waves(FIXED["plain"]).then(turned("plain", 30)).to_field(FIXED["plain"])
    points = points_in(field.grid, 9)
    points[:3] += 500
    with pytest.warns(OutsideWarning, match=r"3 of 9 points \(33.3%\)"):
        field.map_points(points)
    moved = forward(field, points[3:])
    with pytest.warns(OutsideWarning, match=r"1 of 7 points \(14.3%\)"):
        field.inverse().map_points([*moved, points[4]])  # a fixed point is none of the moving scan
    with pytest.warns(OutsideWarning, match=r"3 of 9 points"):
        Composite((Rigid(np.eye(4)), field)).map_points(points)
    assert list(field.covers(points)) == [False] * 3 + [True] * 6


def test_warps_that_land_mostly_or_wholly_outside_are_told_with_their_share():
    target = grid((4, 5, 10), (1, 1, 1))
    image = Volume(np.ones(target.shape, np.float32), target)
    labels = Volume(np.ones(target.shape, np.uint8), target)

    def shift(voxels):
        matrix = np.eye(4)
        matrix[0, 3] = voxels
        return Rigid(matrix)

    for transform in (shift(7), shift(7).to_field(target)):
        with pytest.warns(OutsideWarning, match=r"70\.0% of the 200 voxels come from outside"):
            transform.warp(image)
        with pytest.warns(OutsideWarning, match=r"70\.0% of the 200 voxels come from outside"):
            transform.warp_labels(labels)
    with pytest.warns(OutsideWarning, match=r"All of the 200 voxels come from outside"):
        shift(400).warp(image)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shift(4).warp(image)
        shift(4).to_field(target).warp(image)


def test_a_grid_beyond_the_field_is_told_with_its_share():
    field = DisplacementField(np.zeros((3, *FIXED["plain"].shape), np.float32), FIXED["plain"])
    wide = grid((22, 24, 52), (2.0, 2.0, 2.0), 0, origin_mm=(-25, -23, -21))
    image = Volume(np.ones(wide.shape, np.float32), wide)
    with pytest.warns(OutsideWarning, match=r"50\.0% of the grid lies outside the field"):
        field.warp(image, wide)
