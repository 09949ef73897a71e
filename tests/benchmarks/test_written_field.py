"""The field that mmreg_rt writes is the field that the benchmark scores."""

import numpy as np
import pytest
from benchmarks.harness import folding

import mmreg_rt


@pytest.fixture
def field(rng):
    """A rough field on an oblique, anisotropic, left-handed grid; affine columns in the order of the axes."""
    tilt = 0.3
    turn = np.array([[np.cos(tilt), -np.sin(tilt), 0], [np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = (turn @ np.diag([-1.5, 2.0, 3.0]))[:, ::-1]
    affine[:3, 3] = 40, -20, 7
    grid = mmreg_rt.Grid((5, 6, 7), affine)
    return mmreg_rt.DisplacementField(rng.normal(0, 1, (3, *grid.shape)).astype(np.float32), grid)


def test_it_moves_the_same_points_to_the_same_places(field, tmp_path):
    mmreg_rt.write_transform(field, tmp_path / "transform.nii.gz")
    u, affine = folding.read_field(tmp_path / "transform.nii.gz")
    voxels = np.moveaxis(np.indices(u.shape[:3]), 0, -1).reshape(-1, 3)
    start, end = (at @ affine[:3, :3].T + affine[:3, 3] for at in (voxels, voxels + u.reshape(-1, 3)))
    np.testing.assert_allclose(
        field.map_points(start), end, atol=1e-4
    )  # float32 header and field, points of 50 mm


def test_its_folds_are_counted_alike_by_the_package_and_by_the_benchmark(field, tmp_path):
    mmreg_rt.write_transform(field, tmp_path / "transform.nii.gz")
    counted, own = folding.count(folding.read_field(tmp_path / "transform.nii.gz")[0]), field.folding()
    assert counted.central == own.counts[0] > 0
    assert sorted(counted.one_sided) == sorted(own.counts[1:])  # the axes are in another order
    # determinants of about 1 from float32 sums
    assert min(counted.minimum_central, counted.minimum_one_sided) == pytest.approx(
        own.min_jacobian, abs=1e-4
    )
