"""Points as CSV."""

import numpy as np
import pytest

from mmreg_rt import read_points, write_points
from mmreg_rt.errors import InputError


def test_points_are_read_back_exactly(tmp_path):
    points = np.random.default_rng(15).normal(0, 100, (50, 3))
    write_points(points, tmp_path / "p.csv")
    np.testing.assert_array_equal(read_points(tmp_path / "p.csv"), points)


def test_spaces_empty_lines_and_windows_line_ends_do_no_harm(tmp_path):
    (tmp_path / "p.csv").write_bytes(b"x, y, z\r\n1, -2.5,3e1\r\n\r\n +4,.5,6.\r\n")
    np.testing.assert_array_equal(read_points(tmp_path / "p.csv"), [[1, -2.5, 30], [4, 0.5, 6]])


@pytest.mark.parametrize("points", [np.zeros((2, 2)), np.zeros(3), [[1, 2, np.nan]]])
def test_what_is_no_list_of_finite_points_is_not_written(points, tmp_path):
    with pytest.raises(InputError, match="MMREG_E_POINTS"):
        write_points(points, tmp_path / "p.csv")
    assert not list(tmp_path.iterdir())
