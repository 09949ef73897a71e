"""Axes not quite orthogonal, spacing not quite that of the affine: a tenth of a voxel decides."""

import nibabel
import numpy as np
import pytest
from fixtures.grids import rotation

from mmreg_rt import (
    Affine,
    DisplacementField,
    Grid,
    Volume,
    read_image,
    read_transform,
    write_image,
    write_transform,
)
from mmreg_rt.errors import GeometryError
from mmreg_rt.input_validation import check_grids

LPS = np.diag([-1.0, -1.0, 1.0])


def sheared(cosine, shape=(20, 24, 30), spacing_mm=(3.0, 0.8, 1.1), degrees=0.0, flip=1):
    affine = np.eye(4)
    shear = np.eye(3)
    shear[1, 2] = cosine
    affine[:3, :3] = rotation((1, 2, 3), degrees) @ shear @ np.diag([flip, 1, 1])[:, ::-1] * spacing_mm
    affine[:3, 3] = -20, 35, 60
    return Grid(shape, affine)


def corners_off_vox(affine, shape):
    """By how many voxels corners lie off the nearest orthogonal grid, centre on centre."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    axes = affine[:3, :3] / spacing
    values, vectors = np.linalg.eigh(axes.T @ axes)
    nearest = (
        axes @ vectors @ np.diag(values**-0.5) @ vectors.T
    )  # polar decomposition, not by singular values
    half = (np.array([*np.ndindex(2, 2, 2)]) - 0.5) * (np.array(shape) - 1)
    apart = half @ (nearest * spacing - affine[:3, :3]).T
    return np.linalg.norm(np.linalg.solve(affine[:3, :3], apart.T), axis=0).max()


CASES = [dict(), dict(degrees=25), dict(degrees=-70, flip=-1), dict(shape=(1, 60, 64), spacing_mm=(5, 1, 1))]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("cosine", [0.0005, 0.001, 0.003, 0.01, 0.05])
def test_what_moves_a_corner_by_a_tenth_of_a_voxel_is_refused(case, cosine):
    target = sheared(cosine, **case)
    off = corners_off_vox(target.affine, target.shape)
    assert target.shear_vox == pytest.approx(off, rel=1e-6)
    assert target.orthogonal().shear < 1e-12
    np.testing.assert_allclose(target.orthogonal().spacing_mm, target.spacing_mm, rtol=1e-12)
    assert target.orthogonal().handedness == target.handedness
    if off <= 0.1:
        check_grids(target, target)
        return
    with pytest.raises(GeometryError, match=r"MMREG_E_GRID_SHEAR"):
        check_grids(target, target)


def test_the_same_cosine_is_harmless_in_a_small_scan_and_not_in_a_large_one(tmp_path):
    small, large = sheared(0.01, (6, 7, 8)), sheared(0.01, (200, 256, 256))
    check_grids(small, small)
    with pytest.raises(GeometryError, match="MMREG_E_GRID_SHEAR"):
        check_grids(large, large)
    with pytest.raises(GeometryError, match="MMREG_E_GRID_SHEAR"):
        write_image(Volume(np.zeros(large.shape, np.uint8), large), tmp_path / "a.nii.gz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("case", CASES[:3])
@pytest.mark.parametrize("cosine", [0.0002, 0.001, 0.005])
def test_what_is_accepted_is_written_for_itk_and_for_us(case, cosine, tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    target = sheared(cosine, (8, 9, 10), **case)
    image = nibabel.Nifti1Image(
        np.random.default_rng(1).random(target.shape[::-1], np.float32), target.affine[:, [2, 1, 0, 3]]
    )
    image.header["qform_code"] = 0  # or ITK would take that
    nibabel.save(image, tmp_path / "in.nii.gz")
    with pytest.raises(RuntimeError, match="[Oo]rthonormal"):
        sitk.ReadImage(str(tmp_path / "in.nii.gz"))
    volume = read_image(tmp_path / "in.nii.gz")
    assert volume.grid.same_as(target, 1e-4)
    write_image(volume, tmp_path / "out.nii.gz")
    again, theirs = read_image(tmp_path / "out.nii.gz"), sitk.ReadImage(str(tmp_path / "out.nii.gz"))
    np.testing.assert_array_equal(again.data, volume.data)
    ends = np.array([*np.ndindex(2, 2, 2)]) * (np.array(target.shape) - 1)
    expected = target.map_indices(ends)
    seen = [theirs.TransformContinuousIndexToPhysicalPoint(tuple(map(float, end[::-1]))) for end in ends]
    limit_mm = 0.1 * max(target.spacing_mm)
    assert np.linalg.norm(np.array(seen) @ LPS - expected, axis=1).max() < limit_mm
    np.testing.assert_allclose(again.grid.map_indices(ends), np.array(seen) @ LPS, atol=1e-4)


@pytest.mark.parametrize("case", CASES[:3])
def test_a_field_on_a_sheared_grid_moves_points_as_it_did_once_written(case, tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    target = sheared(0.005, (8, 9, 10), **case)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation((1, 0, 2), 80), (40, 5, -9)
    field = Affine(matrix).to_field(target)
    write_transform(field, tmp_path / "u.nii.gz")
    written = read_transform(tmp_path / "u.nii.gz")
    assert isinstance(written, DisplacementField)
    points = target.map_indices(
        np.random.default_rng(5).uniform(0.2, 0.8, (30, 3)) * (np.array(target.shape) - 1)
    )
    np.testing.assert_allclose(written.map_points(points), field.map_points(points), atol=2e-4)
    theirs = sitk.DisplacementFieldTransform(
        sitk.ReadImage(str(tmp_path / "u.nii.gz"), sitk.sitkVectorFloat64)
    )
    moved = np.array([theirs.TransformPoint((p @ LPS).tolist()) for p in points]) @ LPS
    np.testing.assert_allclose(moved, field.map_points(points), atol=2e-4)


@pytest.mark.parametrize(("length", "percent", "accepted"), [
    (6, 0.5, True), (6, 1.5, False), (101, 0.05, True), (101, 0.09, True), (101, 0.12, False),
    (101, 0.9, False),
    (1, 0.9, True), (1, 1.1, False),
])  # fmt: skip
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_pixdim_may_differ_from_the_affine_by_a_tenth_of_a_voxel_at_the_end_of_an_axis(
    axis, length, percent, accepted, tmp_path
):
    shape = [4, 5, 6]
    shape[axis] = length
    image = nibabel.Nifti1Image(np.zeros(shape, np.uint8), np.diag([2.0, 1.0, 3.0, 1.0]))
    image.header["qform_code"] = 0
    image.header["pixdim"][1 + axis] *= 1 + percent / 100
    nibabel.save(image, tmp_path / "a.nii.gz")
    if accepted:
        assert read_image(tmp_path / "a.nii.gz").grid.spacing_mm[2 - axis] == pytest.approx((2, 1, 3)[axis])
        return
    with pytest.raises(GeometryError, match="MMREG_E_NIFTI_SPACING_DISAGREES"):
        read_image(tmp_path / "a.nii.gz")
