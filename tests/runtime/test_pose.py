"""Six numbers and the window of a network: laws, and the angles as SciPy has them."""

import numpy as np
import pytest
from fixtures import scene
from fixtures.grids import rotation
from scipy.spatial.transform import Rotation

from mmreg_rt import Volume
from mmreg_rt.geometry import rigid_motion
from mmreg_rt.preprocess import PreprocessSpec
from mmreg_rt.preprocess.window import scale_jointly, window_grid
from mmreg_rt.transform import Rigid

RNG = np.random.default_rng(5)
GRIDS = {"plain": scene.PLAIN, "oblique": scene.OBLIQUE, "left-handed": scene.LEFT_HANDED}
SIZE, SPACING_MM = (8, 24, 20), (6.0, 2.0, 2.5)
SPEC = PreprocessSpec(multiple=4)


def random_rigid(reach_degrees=180.0, shift_mm=50.0):
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(RNG.normal(size=3), RNG.uniform(0, reach_degrees))
    matrix[:3, 3] = RNG.uniform(-shift_mm, shift_mm, 3)
    return matrix


def test_numbers_of_a_motion_make_the_motion_again():
    worst = max(
        abs(rigid_motion.matrix_of(rigid_motion.numbers_of(m)) - m).max()
        for m in [random_rigid() for _ in range(200)]
    )
    assert worst < 1e-9


@pytest.mark.parametrize("about_y", [90.0, -90.0, 90 - 1e-7])
def test_so_they_do_where_two_axes_fall_together(about_y):
    matrix = rigid_motion.matrix_of([1, 2, 3, 25.0, about_y, -40.0])
    np.testing.assert_allclose(rigid_motion.matrix_of(rigid_motion.numbers_of(matrix)), matrix, atol=1e-9)


def test_motions_within_reach_give_their_numbers_back():
    for _ in range(50):
        numbers = RNG.uniform(-1, 1, 6) * (30, 30, 30, 170, 85, 170)
        np.testing.assert_allclose(
            rigid_motion.numbers_of(rigid_motion.matrix_of(numbers)), numbers, atol=1e-9
        )


def test_angles_turn_about_fixed_axes_x_first():
    numbers = [4.0, 5.0, 6.0, 10.0, -20.0, 30.0]
    expected = Rotation.from_euler("xyz", numbers[3:], degrees=True).as_matrix()  # lower case: fixed axes
    np.testing.assert_allclose(rigid_motion.matrix_of(numbers)[:3, :3], expected, atol=1e-12)
    np.testing.assert_array_equal(rigid_motion.matrix_of(numbers)[:3, 3], numbers[:3])


def test_the_inverse_undoes():
    matrix = random_rigid()
    np.testing.assert_allclose(rigid_motion.inverse(matrix) @ matrix, np.eye(4), atol=1e-12)


@pytest.mark.parametrize("fixed", GRIDS.values(), ids=GRIDS.keys())
@pytest.mark.parametrize("orientation", ["RAS", "LAS", "LPS"])
def test_the_window_lies_where_it_is_asked_for(fixed, orientation):
    centre = np.array([5.0, -7.0, 11.0])
    grid = window_grid(fixed, PreprocessSpec(multiple=4, orientation=orientation), centre, SIZE, SPACING_MM)
    assert grid.shape == SIZE
    np.testing.assert_allclose(grid.spacing_mm, SPACING_MM)
    np.testing.assert_allclose(grid.centre_mm, centre, atol=1e-9)
    towards = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1)}
    for axis, letter in zip((2, 1, 0), orientation):
        component, sign = towards[letter]
        assert sign * grid.affine[component, axis] / SPACING_MM[axis] > np.cos(np.radians(30))


@pytest.mark.parametrize("fixed", GRIDS.values(), ids=GRIDS.keys())
def test_what_is_missing_leads_to_the_truth(fixed):
    grid = window_grid(fixed, SPEC, np.array([3.0, 2.0, 1.0]), SIZE, SPACING_MM)
    for _ in range(20):
        start, truth = random_rigid(), random_rigid()
        numbers = rigid_motion.missing(start, truth, grid)
        np.testing.assert_allclose(rigid_motion.updated(start, numbers, grid), truth, atol=1e-9)


def test_steps_multiply_from_the_left_onto_the_map_from_moving_to_fixed():
    grid = window_grid(scene.OBLIQUE, SPEC, np.array([3.0, 2.0, 1.0]), SIZE, SPACING_MM)
    start, numbers = random_rigid(), [3.0, 1, -2, 8, -5, 4]
    to_mm = rigid_motion.frame(grid)
    step = to_mm @ rigid_motion.matrix_of(numbers) @ np.linalg.inv(to_mm)
    found = np.linalg.inv(rigid_motion.updated(start, numbers, grid))
    np.testing.assert_allclose(found, step @ np.linalg.inv(start), atol=1e-9)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_shift_moves_what_the_window_shows_along_its_own_axes(axis):
    """Along x, y, z of the numbers: axes 2, 1, 0 of the array."""
    grid = window_grid(scene.OBLIQUE, SPEC, scene.OBLIQUE.centre_mm, SIZE, (4.0, 2.0, 2.0))
    image = np.random.default_rng(0).random(SIZE).astype(np.float32)
    shown = Volume(image, grid)  # the moving scan, lying just so
    voxels = 2
    numbers = np.zeros(6)
    numbers[2 - axis] = voxels * grid.spacing_mm[axis]
    found = Rigid(rigid_motion.updated(np.eye(4), numbers, grid)).warp(shown, grid).data
    inner = [slice(None)] * 3
    inner[axis] = slice(voxels, None)
    expected = np.roll(image, voxels, axis)
    np.testing.assert_allclose(found[tuple(inner)], expected[tuple(inner)], atol=1e-5)  # float32 places


def test_rounding_does_not_add_up_over_many_steps():
    grid = window_grid(scene.PLAIN, SPEC, scene.PLAIN.centre_mm, SIZE, SPACING_MM)
    matrix = np.eye(4)
    for _ in range(500):
        matrix = rigid_motion.updated(matrix, [0.1, 0, 0, 3.0, 1.0, 2.0], grid)
    np.testing.assert_allclose(matrix[:3, :3].T @ matrix[:3, :3], np.eye(3), atol=1e-14)


def test_motions_are_compared_by_how_far_points_lie_apart():
    corners = rigid_motion.corners_mm((3, 5, 7), (4.0, 2.0, 1.0))
    np.testing.assert_array_equal(abs(corners), np.tile([3.0, 4.0, 4.0], (8, 1)))  # x, y, z
    zero, shift = np.zeros(6), np.array([3.0, 0, 4, 0, 0, 0])
    np.testing.assert_allclose(rigid_motion.distance_mm(zero, shift, corners), 5)
    turn = rigid_motion.distance_mm(zero, [0, 0, 0, 0, 0, 90], np.array([[1.0, 0, 0]]))
    np.testing.assert_allclose(turn, np.sqrt(2))


def test_both_images_are_scaled_by_one_range():
    fixed, moving = np.float32([[[2, 4]]]), np.float32([[[0, 10]]])
    first, second = scale_jointly(fixed, moving)
    np.testing.assert_allclose(first, [[[0.2, 0.4]]])
    np.testing.assert_allclose(second, [[[0, 1]]])
    for image in scale_jointly(fixed * 0, moving * 0):
        assert (image == 0).all()
