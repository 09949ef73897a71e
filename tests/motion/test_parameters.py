"""The six numbers of a rigid motion, and the displacement between frames."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mmreg_rt import Affine, Rigid
from mmreg_rt.motion import HEAD_MM, framewise_displacement_mm, rigid_parameters

CENTRE_MM = np.array([12.0, -30.0, 7.0])


def motion(shift_mm, angles):
    """The motion of these numbers, by another library."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles).as_matrix()  # about fixed axes, x first
    matrix[:3, 3] = CENTRE_MM + shift_mm - matrix[:3, :3] @ CENTRE_MM
    return matrix


@pytest.mark.parametrize("seed", range(5))
def test_numbers_are_those_of_the_motion(seed):
    rng = np.random.default_rng(seed)
    shift_mm, angles = rng.uniform(-20, 20, 3), rng.uniform(-1.2, 1.2, 3)
    found = rigid_parameters(Rigid(motion(shift_mm, angles)), CENTRE_MM)
    np.testing.assert_allclose(found, [*shift_mm, *angles], atol=1e-10)


def test_the_identity_has_no_motion():
    np.testing.assert_array_equal(rigid_parameters(Rigid(np.eye(4)), CENTRE_MM), np.zeros(6))


def test_of_an_affine_map_the_nearest_rotation_is_taken():
    matrix = motion([1.0, 2.0, 3.0], [0.1, 0.2, -0.3])
    stretched = matrix @ np.diag([1.1, 1.1, 1.1, 1.0])
    np.testing.assert_allclose(
        rigid_parameters(Affine(stretched), CENTRE_MM)[3:], [0.1, 0.2, -0.3], atol=1e-10
    )


def test_displacement_is_the_sum_of_shifts_and_arcs():
    parameters = np.zeros((4, 6))
    parameters[1] = [1, -2, 0, 0, 0, 0]
    parameters[2] = [1, -2, 0, 0.01, 0, -0.02]
    parameters[3] = parameters[2]
    np.testing.assert_allclose(
        framewise_displacement_mm(parameters), [np.nan, 3.0, 0.03 * HEAD_MM, 0.0], equal_nan=True
    )
    np.testing.assert_allclose(framewise_displacement_mm(parameters, 100.0)[2], 3.0)


def test_one_frame_has_no_displacement():
    np.testing.assert_array_equal(framewise_displacement_mm(np.zeros((1, 6))), [np.nan])
