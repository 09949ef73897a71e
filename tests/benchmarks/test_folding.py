"""The independent fold counter: known stretches, known folds, and files read back."""

import nibabel as nib
import numpy as np
import pytest
from benchmarks.harness import folding

SHAPE = (7, 6, 5)


def test_a_linear_map_has_its_determinant_everywhere_by_all_differences(rng):
    gradient = rng.normal(0, 0.2, (3, 3))
    u = np.einsum("ab,xyzb->xyza", gradient, np.moveaxis(np.indices(SHAPE), 0, -1))
    found = folding.count(u)
    expected = np.linalg.det(np.eye(3) + gradient)
    assert found.total == 0
    assert found.minimum_central == pytest.approx(expected)
    assert found.minimum_one_sided == pytest.approx(expected)


def test_a_mirrored_map_is_folded_at_every_voxel():
    u = np.zeros((*SHAPE, 3))
    u[..., 0] = -2.0 * np.arange(SHAPE[0])[:, None, None]
    found = folding.count(u)
    assert found.central == found.any_one_sided == found.voxels == 7 * 6 * 5
    assert set(found.one_sided) == {6 * 5 * 4}  # where all three neighbours of a combination exist


def test_a_fold_between_two_voxels_is_seen_by_one_sided_differences_only():
    u = np.zeros((*SHAPE, 3))
    u[3, 2, 2, 0] = 1.5  # passes its right neighbour: forward determinant -0.5, central ones 1 -+ 0.75
    found = folding.count(u)
    assert found.central == 0
    # forward in x at voxel 3 (four combinations), backward in x at voxel 4 (the other four)
    assert found.one_sided == (1,) * 8
    assert found.any_one_sided == 2
    assert found.minimum_one_sided == pytest.approx(-0.5)


def test_a_fold_at_the_last_voxel_of_the_grid_counts():
    u = np.zeros((*SHAPE, 3))
    u[-1, :, :, 0] = -1.5
    found = folding.count(u)
    # central: the last plane, where only one neighbour exists; one-sided: the last two planes, forward
    assert found.central == 6 * 5
    assert found.any_one_sided == 2 * 6 * 5


def test_a_value_that_is_not_a_number_is_a_fold():
    u = np.zeros((*SHAPE, 3))
    u[1, 1, 1, 0] = np.nan
    assert folding.count(u).total > 0


def test_a_single_slice_has_no_change_across_it():
    u = np.zeros((6, 5, 1, 3))
    u[..., 1] = 0.5 * np.arange(5)[None, :, None]
    assert folding.count(u).minimum_one_sided == pytest.approx(1.5)


@pytest.mark.parametrize("flip", [(1, 1, 1), (-1, -1, 1), (-1, 1, -1)])
def test_a_written_field_is_read_in_voxels_of_the_ras_grid(tmp_path, rng, flip):
    spacing_mm = np.array([1.0, 2.0, 2.5])
    affine = np.diag([*(spacing_mm * flip), 1.0])
    ras_mm = rng.normal(0, 1, (*SHAPE, 3))
    image = nib.Nifti1Image((ras_mm * (-1, -1, 1))[:, :, :, None].astype(np.float32), affine)
    image.header.set_intent("vector")
    nib.save(image, tmp_path / "u.nii.gz")
    u, read_affine = folding.read_field(tmp_path / "u.nii.gz")
    turned = ras_mm[tuple(slice(None, None, f) for f in flip)]
    np.testing.assert_allclose(u, turned / spacing_mm, rtol=1e-5, atol=1e-6)  # the file holds float32
    np.testing.assert_allclose(np.diag(read_affine)[:3], spacing_mm)


def test_a_file_that_is_no_field_is_refused(tmp_path):
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.float32), np.eye(4)), tmp_path / "scan.nii.gz")
    with pytest.raises(ValueError, match="expected a displacement field"):
        folding.read_field(tmp_path / "scan.nii.gz")
