"""Grid and Volume: laws, then what they refuse."""

import pickle

import numpy as np
import pytest
from fixtures.grids import GRIDS, LEFT_HANDED, OBLIQUE, grid

from mmreg_rt import Grid, Volume
from mmreg_rt.errors import GeometryError, InputError, IntensityError

ULP_MM = 1e-11  # float64 rounding of coordinates of a few hundred mm, over a matrix inverse


@pytest.fixture(params=GRIDS.values(), ids=GRIDS.keys())
def any_grid(request):
    return request.param


def test_points_map_back_to_their_indices(any_grid):
    index = np.random.default_rng(1).uniform(-3, 9, (50, 3))
    np.testing.assert_allclose(any_grid.map_points(any_grid.map_indices(index)), index, atol=ULP_MM)


def test_a_step_along_an_axis_is_one_spacing(any_grid):
    steps = any_grid.map_indices(np.eye(3)) - any_grid.map_indices(np.zeros((1, 3)))
    np.testing.assert_allclose(np.linalg.norm(steps, axis=1), any_grid.spacing_mm, rtol=1e-14)


def test_the_points_are_those_of_the_array_in_its_order(any_grid):
    points = any_grid.points_mm().reshape(*any_grid.shape, 3)
    for index in np.ndindex(any_grid.shape):
        np.testing.assert_allclose(points[index], any_grid.map_indices([index])[0], atol=ULP_MM)


def test_the_centre_is_the_mean_of_the_corners_and_of_all_points(any_grid):
    np.testing.assert_allclose(any_grid.centre_mm, any_grid.corners_mm.mean(axis=0), atol=ULP_MM)
    np.testing.assert_allclose(any_grid.centre_mm, any_grid.points_mm().mean(axis=0), atol=ULP_MM)


def test_the_corners_of_a_plain_grid_are_its_extremes():
    plain = grid((2, 3, 4), (1, 1, 1), origin_mm=(10, 20, 30))
    np.testing.assert_array_equal(np.ptp(plain.corners_mm, axis=0), (3, 2, 1))
    np.testing.assert_array_equal(plain.corners_mm.min(axis=0), (10, 20, 30))


def test_every_voxel_is_inside_and_its_neighbour_beyond_the_border_is_not(any_grid):
    assert any_grid.contains(any_grid.points_mm()).all()
    beyond = [[any_grid.shape[0] - 0.4, 0, 0], [0, -0.6, 0], [0, 0, any_grid.shape[2]]]
    assert not any_grid.contains(any_grid.map_indices(beyond)).any()


def test_a_grid_resampled_at_its_own_spacing_is_itself(any_grid):
    assert any_grid.resampled(any_grid.spacing_mm).same_as(any_grid, 1e-9)


@pytest.mark.parametrize("spacing_mm", [0.5, 2.0, (1.0, 0.7, 3.0)])
def test_resampling_keeps_the_centre_and_half_a_voxel_of_the_field_of_view(any_grid, spacing_mm):
    other = any_grid.resampled(spacing_mm)
    np.testing.assert_allclose(other.centre_mm, any_grid.centre_mm, atol=ULP_MM)
    extent = np.array(any_grid.shape) * any_grid.spacing_mm
    lost = np.abs(np.array(other.shape) * other.spacing_mm - extent)
    # rounding to whole voxels moves each side by at most a quarter of the new voxel; one voxel always stays
    assert (lost <= np.maximum(0.5 * np.array(other.spacing_mm), other.spacing_mm - extent) + ULP_MM).all()


def test_handedness_counts_the_axes_as_files_do():
    assert Grid((2, 2, 2), np.eye(4)[:, [2, 1, 0, 3]]).handedness == "right"  # x, y, z of the file to R, A, S
    assert OBLIQUE.handedness == "right"
    assert LEFT_HANDED.handedness == "left"


def test_oblique_means_off_every_axis_of_the_patient():
    assert OBLIQUE.is_oblique
    assert not GRIDS["plain"].is_oblique
    assert not Grid((2, 2, 2), np.diag([-1.0, 2.0, 3.0, 1.0])).is_oblique


def test_shear_is_the_cosine_between_axes(any_grid):
    assert any_grid.shear < 1e-15
    sheared = np.eye(4)
    sheared[0, 1] = np.tan(np.deg2rad(30))
    assert Grid((2, 2, 2), sheared).shear == pytest.approx(0.5)


def test_a_single_slice_has_two_dimensions():
    assert GRIDS["slice"].dims == 2
    assert GRIDS["row"].dims == 3


def test_grids_of_equal_numbers_are_equal_and_hash_alike():
    again = Grid(OBLIQUE.shape, OBLIQUE.affine.copy())
    assert again == OBLIQUE
    assert hash(again) == hash(OBLIQUE)
    assert again != LEFT_HANDED


def test_same_as_asks_for_the_shape_and_every_voxel():
    moved = OBLIQUE.affine.copy()
    moved[0, 3] += 0.01
    assert OBLIQUE.same_as(Grid(OBLIQUE.shape, moved), 0.02)
    assert not OBLIQUE.same_as(Grid(OBLIQUE.shape, moved), 0.005)
    assert not OBLIQUE.same_as(Grid((5, 6, 8), OBLIQUE.affine))


def test_the_callers_affine_is_neither_kept_nor_changed():
    affine = np.eye(4)
    made = Grid((2, 2, 2), affine)
    affine[0, 0] = 5
    assert made.affine[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        made.affine[0, 0] = 2


def test_grids_travel_between_processes():
    assert pickle.loads(pickle.dumps(OBLIQUE)) == OBLIQUE


@pytest.mark.parametrize("shape", [(0, 2, 2), (2, 2), (2, 2, -1), (2, 2, 1.5), (2**11, 2**11, 2**11)])
def test_a_shape_that_is_none_is_refused(shape):
    with pytest.raises(GeometryError, match="MMREG_E_GRID_SHAPE"):
        Grid(shape, np.eye(4))


def test_a_resampled_grid_too_large_is_refused():
    with pytest.raises(GeometryError, match="larger spacing"):
        GRIDS["plain"].resampled(1e-4)
    with pytest.raises(GeometryError, match="MMREG_E_GRID_SPACING"):
        GRIDS["plain"].resampled(-1)


def test_a_matrix_without_the_last_row_of_an_affine_is_refused():
    with pytest.raises(GeometryError, match="MMREG_E_GRID_AFFINE"):
        Grid((2, 2, 2), np.ones((4, 4)))
    with pytest.raises(GeometryError, match="MMREG_E_GRID_AFFINE"):
        Grid((2, 2, 2), np.eye(3))


def test_a_two_dimensional_array_becomes_one_slice_in_the_plane_of_its_affine():
    volume = Volume.from_array(np.zeros((4, 5)), [[0, 0.5, 7], [2, 0, 8], [0, 0, 1]])
    assert volume.grid.shape == (1, 4, 5)
    np.testing.assert_allclose(volume.grid.map_indices([[0, 3, 2]]), [[8, 14, 0]])


@pytest.mark.parametrize("dtype", [np.complex64, object, "U3"])
def test_data_that_are_not_real_numbers_are_refused(dtype):
    with pytest.raises(InputError, match="MMREG_E_VOLUME_DTYPE"):
        Volume.from_array(np.zeros((2, 2, 2), dtype), np.eye(4))


def test_data_of_another_shape_than_the_grid_are_refused():
    with pytest.raises(InputError, match="MMREG_E_VOLUME_SHAPE"):
        Volume(np.zeros((2, 2, 3)), Grid((2, 2, 2), np.eye(4)))
    with pytest.raises(InputError, match="MMREG_E_VOLUME_SHAPE"):
        Volume.from_array(np.zeros((2, 2, 2, 2)), np.eye(4))


def test_float32_data_are_used_as_they_are_and_others_converted():
    data = np.ones((2, 3, 4), np.float32)
    assert Volume.from_array(data, np.eye(4)).as_float32() is data
    turned = Volume.from_array(np.ones((4, 3, 2), np.int16).T, np.eye(4)).as_float32()
    assert turned.dtype == np.float32
    assert turned.flags.c_contiguous


def test_a_value_beyond_float32_is_refused_and_infinity_is_not():
    data = np.zeros((1, 2, 3))
    data[0, 0, 0] = np.inf
    assert np.isinf(Volume.from_array(data, np.eye(4)).as_float32()[0, 0, 0])
    data[0, 1, 2] = 1e39
    with pytest.raises(IntensityError, match=r"\(0, 1, 2\)"):
        Volume.from_array(data, np.eye(4)).as_float32()
