"""Transforms: laws, then float64 twins, then edges, on grids that tell conventions apart."""

import numpy as np
import pytest
from fixtures.grids import GRIDS, LEFT_HANDED, OBLIQUE, grid, rotation
from scipy.ndimage import map_coordinates

from mmreg_rt import Affine, Composite, DisplacementField, Folding, Grid, Rigid, Volume
from mmreg_rt.errors import InputError, TransformError

FLOAT32 = 2**-23
# A displacement of some 10 mm in float32, and its position in voxels of a grid of some 10, both rounded once
# or twice: a few units in the last place of 16
FIELD_MM = 16 * 4 * FLOAT32
# The inverse is solved to 1e-3 voxels of 2 mm at the voxels of the field and interpolated there and on the
# grid asked for. Linear interpolation of waves of 1 mm and 40 mm misses by an eighth of their curvature,
# 0.025 / mm, times the square of each spacing: 0.020 mm on voxels of 2 x 1 x 1.2 mm, 0.009 mm on 1 mm.
INVERSE_MM = 2e-3 + 0.020 + 0.009


def matrix(linear, shift=(0, 0, 0)):
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = linear, shift
    return out


RIGID = Rigid(matrix(rotation((3, -1, 2), 20), (4.0, -2.5, 1.0)))
AFFINE = Affine(matrix(rotation((1, 1, 0), -10) @ np.diag([1.1, 0.9, 1.05]), (-1.0, 0.5, 2.0)))


@pytest.fixture(params=GRIDS.values(), ids=GRIDS.keys())
def any_grid(request):
    return request.param


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def waves(target, amplitude_mm=1.0, length_mm=40.0):
    """A smooth displacement that does not fold: slope at most ``2 pi amplitude / length``, 0.16."""
    x, y, z = (target.points_mm() - target.centre_mm).T * 2 * np.pi / length_mm
    u = amplitude_mm * np.stack([np.sin(y), np.sin(z + 1), np.cos(x)])
    return DisplacementField(u.reshape(3, *target.shape).astype(np.float32), target)


def ramp(target):
    """An image linear in space, so that its linear interpolation is exact: 3 + 0.5 x - 0.25 y + z / 8."""
    values = target.points_mm() @ (0.5, -0.25, 0.125) + 3
    return Volume(values.reshape(target.shape).astype(np.float32), target)


def around(target):
    """A plain grid that holds the target and a margin of some 15 mm."""
    low, high = target.corners_mm.min(axis=0) - 15, target.corners_mm.max(axis=0) + 15
    z, y, x = (int(n) for n in np.ceil((high - low)[::-1] / 1.5) + 1)
    return grid((z, y, x), (1.5, 1.5, 1.5), origin_mm=low)


# ---- laws --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("identity", [Rigid(np.eye(4)), Affine(np.eye(4))], ids=["rigid", "affine"])
def test_the_identity_keeps_every_value(any_grid, identity, rng):
    volume = Volume(rng.normal(size=any_grid.shape).astype(np.float32), any_grid)
    # the map from index to index is two matrix products: its offsets are zero to 1e-14 voxels, not exactly
    np.testing.assert_allclose(identity.warp(volume).data, volume.data, atol=1e-5)


def test_a_displacement_of_zero_keeps_every_value(any_grid, rng):
    volume = Volume(rng.normal(size=any_grid.shape).astype(np.float32), any_grid)
    zero = DisplacementField(np.zeros((3, *any_grid.shape), np.float32), any_grid)
    np.testing.assert_allclose(zero.warp(volume).data, volume.data, atol=1e-5)
    np.testing.assert_array_equal(zero.map_points(any_grid.points_mm()), any_grid.points_mm())


@pytest.mark.parametrize("interpolation", ["nearest", "linear"])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("kind", ["rigid", "field"])
def test_one_voxel_along_an_axis_shifts_by_one(any_grid, axis, kind, interpolation, rng):
    volume = Volume(rng.normal(size=any_grid.shape).astype(np.float32), any_grid)
    shift = Rigid(matrix(np.eye(3), any_grid.affine[:3, axis]))
    moved = (shift if kind == "rigid" else shift.to_field(any_grid)).warp(volume, interpolation=interpolation)
    expected = np.roll(volume.data, -1, axis)
    expected[(slice(None),) * axis + (-1,)] = volume.data.min()  # pulled from outside
    np.testing.assert_allclose(
        moved.data, expected, atol=1e-5
    )  # |v| < 4 times float32 of a position below 10


@pytest.mark.parametrize("transform", [RIGID, AFFINE], ids=["rigid", "affine"])
def test_warping_is_a_pull_back(any_grid, transform):
    moving = ramp(around(Grid(any_grid.shape, transform.matrix @ any_grid.affine)))
    expected = transform.map_points(any_grid.points_mm()) @ (0.5, -0.25, 0.125) + 3
    for way in (transform, transform.to_field(any_grid)):
        warped = way.warp(moving, any_grid)
        # values of some 60 and their interpolation weights in float32
        np.testing.assert_allclose(warped.data.ravel(), expected, atol=64 * 4 * FLOAT32)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_warping_by_a_field_is_a_pull_back(any_grid, interpolation):
    moving, field = ramp(around(any_grid)), waves(any_grid)
    expected = field.map_points(any_grid.points_mm()) @ (0.5, -0.25, 0.125) + 3
    warped = field.warp(moving, interpolation=interpolation).data.ravel()
    # linear: as above; cubic: the mirrored border of the prefilter bends the ramp, less by 0.27 each voxel
    np.testing.assert_allclose(warped, expected, atol=64 * 4 * FLOAT32 if interpolation == "linear" else 2e-3)


def test_then_applies_the_first_one_first(any_grid):
    points = any_grid.points_mm()
    field = waves(any_grid)
    for first in (RIGID, AFFINE, field):
        for second in (RIGID, AFFINE, field):
            expected = second.map_points(first.map_points(points))
            np.testing.assert_allclose(first.then(second).map_points(points), expected, atol=1e-11)


def test_two_rigid_transforms_make_a_rigid_one_and_otherwise_an_affine():
    assert type(RIGID.then(RIGID.inverse())) is Rigid
    assert type(RIGID.then(AFFINE)) is Affine
    assert type(AFFINE.then(RIGID)) is Affine


def test_a_chain_sampled_to_a_field_maps_voxel_centres_as_the_chain_does(any_grid):
    other = waves(around(any_grid), 2.0, 60.0)
    for chain in (
        Composite((RIGID, other)),
        Composite((waves(any_grid), AFFINE)),
        Composite((waves(any_grid), AFFINE, other, RIGID)),
    ):
        field = chain.to_field(any_grid)
        moved = any_grid.points_mm() + field.displacement_mm.reshape(3, -1).T
        np.testing.assert_allclose(moved, chain.map_points(any_grid.points_mm()), atol=8 * FIELD_MM)


def test_composition_is_associative(any_grid):
    a, b, c = waves(any_grid), AFFINE, waves(around(any_grid))
    points = any_grid.points_mm()
    left, right = a.then(b).then(c), a.then(b.then(c))
    np.testing.assert_allclose(left.map_points(points), right.map_points(points), atol=1e-11)


@pytest.mark.parametrize("transform", [RIGID, AFFINE], ids=["rigid", "affine"])
def test_an_affine_and_its_inverse_undo_each_other_exactly(transform, rng):
    points = rng.uniform(-100, 100, (50, 3))
    assert type(transform.inverse()) is type(transform)
    np.testing.assert_allclose(
        transform.inverse().map_points(transform.map_points(points)), points, atol=1e-11
    )


@pytest.mark.parametrize("large", [Rigid(np.eye(4)), RIGID, AFFINE], ids=["small", "turned", "stretched"])
def test_a_field_and_its_inverse_undo_each_other(large):
    fixed = grid((14, 20, 18), (2.0, 1.0, 1.2), 15)
    field = waves(fixed).then(large).to_field(fixed)
    moving = grid((30, 40, 36), (1.0, 1.0, 1.0), -8, origin_mm=fixed.centre_mm - (16, 18, 14))
    inverse = field.inverse(moving)
    assert inverse.grid == moving
    points = fixed.map_indices(np.random.default_rng(6).uniform(4, 9, (200, 3)))
    moved = field.map_points(points)
    assert moving.contains(moved).all()
    assert np.linalg.norm(inverse.map_points(moved) - points, axis=1).max() < INVERSE_MM


def test_the_inverse_of_a_chain_is_the_inverses_backwards():
    fixed = grid((12, 16, 14), (2.0, 1.0, 1.2), 15)
    chain = Composite((waves(fixed), AFFINE))
    points = fixed.map_indices(np.random.default_rng(6).uniform(3, 8, (50, 3)))
    back = chain.inverse().map_points(chain.map_points(points))
    assert np.linalg.norm(back - points, axis=1).max() < INVERSE_MM


@pytest.mark.parametrize("name", ["slice", "row", "thin", "voxel"])
def test_thin_fields_are_inverted_as_any_other(name):
    target = GRIDS[name]
    shift = Rigid(matrix(rotation((0, 0, 1), 3), (0.3, -0.2, 0.1))).to_field(target)
    moved = shift.map_points(target.points_mm())
    index, last = target.map_points(moved), np.array(target.shape) - 1
    inside = ((index >= 0) & (index <= last) | (last == 0)).all(axis=1)
    assert inside.any()
    missed = shift.inverse().map_points(moved) - target.points_mm()
    assert np.abs(missed[inside]).max() < 1e-4  # no waves: what is left is rounding


def test_the_jacobian_of_an_affine_is_its_determinant(any_grid):
    if min(any_grid.shape) == 1:
        pytest.skip("along an axis of one voxel a field does not change")
    expected = np.linalg.det(AFFINE.matrix[:3, :3])
    # differences of displacements of some 10 mm in float32 over steps of 0.3 mm
    np.testing.assert_allclose(AFFINE.jacobian_determinant(any_grid).data, expected, atol=3e-4)


def test_the_jacobian_does_not_depend_on_how_the_grid_lies():
    turned = Rigid(matrix(rotation((1, 2, 3), 50), (5, 6, 7)))
    plain = grid((9, 10, 11), (1.0, 2.0, 1.5))
    field = waves(plain)
    lying = Grid(plain.shape, turned.matrix @ plain.affine)
    u = np.einsum("ij,jdhw->idhw", turned.matrix[:3, :3], field.displacement_mm).astype(np.float32)
    np.testing.assert_allclose(
        DisplacementField(u, lying).jacobian_determinant().data, field.jacobian_determinant().data, atol=1e-5
    )


def test_what_does_not_fold_is_counted_zero_and_what_turns_inside_out_in_full():
    assert waves(OBLIQUE).folding().folded_voxels == 0
    assert waves(OBLIQUE).folding().min_jacobian > 0.5
    mirror = Affine(np.diag([-1.0, 1.0, 1.0, 1.0])).folding(OBLIQUE)
    assert mirror.counts[0] == OBLIQUE.size
    assert mirror.min_jacobian == pytest.approx(-1, abs=1e-4)


def test_a_fold_between_two_voxels_is_seen_by_one_sided_differences_alone():
    plain = grid((1, 1, 9), (1, 1, 1))
    u = np.zeros((3, 1, 1, 9), np.float32)
    u[0, 0, 0, 4] = 1.5  # voxel 4 jumps over voxel 5: forward -0.5 at 4, central 1 - 0.75 at 5
    found = DisplacementField(u, plain).folding()
    assert found.counts[0] == 0
    assert found.folded_voxels == 1
    assert found.min_jacobian == pytest.approx(-0.5)


def test_folding_is_summed_up_over_its_nine_ways():
    found = Folding((0, 1, 2, 0, 0, 0, 0, 0, 0), (0.5, -0.1, -0.2, 1, 1, 1, 1, 1, 1))
    assert (found.folded_voxels, found.min_jacobian) == (2, -0.2)


# ---- twins -------------------------------------------------------------------------------------------


def test_points_are_displaced_as_the_twin_displaces_them(any_grid, rng):
    field = waves(any_grid)
    points = any_grid.map_indices(rng.uniform(-2, 9, (60, 3)))
    index = any_grid.map_points(points)
    moved = [
        map_coordinates(u.astype(float), index.T, order=1, mode="nearest") for u in field.displacement_mm
    ]
    np.testing.assert_allclose(field.map_points(points), points + np.transpose(moved), atol=1e-12)


@pytest.mark.parametrize("interpolation", ["nearest", "linear"])
@pytest.mark.parametrize("moving_grid", [OBLIQUE, LEFT_HANDED], ids=["oblique", "left-handed"])
def test_a_chain_warps_as_the_twin_does(any_grid, moving_grid, interpolation, rng):
    near = Rigid(matrix(np.eye(3), moving_grid.centre_mm - any_grid.centre_mm + 0.123))
    chain = Composite((waves(any_grid), near))
    moving = Volume(rng.uniform(0, 1, moving_grid.shape).astype(np.float32), moving_grid)
    index = moving_grid.map_points(chain.map_points(any_grid.points_mm()))
    order = {"nearest": 0, "linear": 1}[interpolation]
    lowest = float(moving.data.min())
    expected = map_coordinates(
        moving.data.astype(float), index.T, order=order, mode="grid-constant", cval=lowest
    )
    warped = chain.warp(moving, any_grid, interpolation).data.ravel()
    far = (
        np.abs(index - np.floor(index) - 0.5).min(axis=1) > 1e-4
    )  # a tie between two voxels may fall either way
    np.testing.assert_allclose(warped[far], expected[far], atol=1e-5)  # |v| <= 1, positions below 32
    assert far.mean() > 0.9


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int64, np.float32, bool])
def test_labels_keep_their_dtype_and_take_no_value_between(dtype, rng):
    labels = rng.integers(0, 2, LEFT_HANDED.shape).astype(dtype) * dtype(113)
    warped = waves(OBLIQUE).warp_labels(Volume(labels, LEFT_HANDED))
    assert warped.data.dtype == dtype
    assert set(np.unique(warped.data)) <= {dtype(0), labels.max()}


# ---- edges and refusals ------------------------------------------------------------------------------


def test_warping_onto_a_volume_takes_its_grid_and_its_header():
    fixed = Volume(np.zeros(OBLIQUE.shape), OBLIQUE, source="its header")
    moving = ramp(LEFT_HANDED)
    assert RIGID.warp(moving, fixed).source == "its header"
    assert RIGID.warp_labels(Volume(np.zeros(OBLIQUE.shape), OBLIQUE), fixed).grid == OBLIQUE


def test_without_a_grid_a_field_uses_its_own_and_an_affine_that_of_the_image():
    moving = ramp(LEFT_HANDED)
    assert waves(OBLIQUE).warp(moving).grid == OBLIQUE
    assert Composite((waves(OBLIQUE), RIGID)).warp(moving).grid == OBLIQUE
    assert RIGID.warp(moving).grid == LEFT_HANDED
    with pytest.raises(TransformError, match="MMREG_E_TRANSFORM_NEEDS_GRID"):
        RIGID.jacobian_determinant()


def test_a_field_on_another_grid_goes_on_with_its_border_value():
    small, wide = grid((3, 3, 3), (1, 1, 1)), grid((9, 9, 9), (1, 1, 1), origin_mm=(-3, -3, -3))
    constant = DisplacementField(np.full((3, 3, 3, 3), 0.25, np.float32), small)
    np.testing.assert_array_equal(constant.to_field(wide).displacement_mm, np.float32(0.25))


def test_the_arrays_of_the_caller_are_not_changed(rng):
    u = rng.normal(0, 0.1, (3, *OBLIQUE.shape)).astype(np.float32)
    kept = u.copy()
    field = DisplacementField(u, OBLIQUE)
    field.inverse()
    field.warp(ramp(OBLIQUE))
    np.testing.assert_array_equal(u, kept)


@pytest.mark.parametrize("linear", [np.diag([1, 1, 1.01]), np.diag([1, 1, -1.0])], ids=["scaled", "mirrored"])
def test_a_rigid_transform_refuses_what_is_no_rotation(linear):
    with pytest.raises(TransformError, match="MMREG_E_TRANSFORM_NOT_RIGID"):
        Rigid(matrix(linear))


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (np.ones((4, 4)), "MATRIX"),
        (np.eye(3), "MATRIX"),
        (np.diag([1, 1, 0, 1.0]), "SINGULAR"),
        (np.diag([1, np.nan, 1, 1]), "NOT_FINITE"),
    ],
)
def test_an_affine_refuses_what_is_none(bad, code):
    with pytest.raises(TransformError, match=f"MMREG_E_TRANSFORM_{code}"):
        Affine(bad)


def test_an_empty_chain_is_refused():
    with pytest.raises(TransformError, match="MMREG_E_TRANSFORM_EMPTY"):
        Composite(())


def test_labels_that_need_more_than_32_bits_are_refused():
    with pytest.raises(InputError, match="MMREG_E_LABELS_RANGE"):
        RIGID.warp_labels(Volume(np.full(OBLIQUE.shape, 2**31), OBLIQUE))
