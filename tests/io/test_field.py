"""Displacement fields in the dialect of ITK and ANTs: a point oracle on grids that tell conventions apart."""

import nibabel
import numpy as np
import pytest
from fixtures.grids import GRIDS, LEFT_HANDED, OBLIQUE, grid

from mmreg_rt import DisplacementField, Grid, Volume, read_image, read_transform, write_image, write_transform
from mmreg_rt.errors import InputError, TransformError
from mmreg_rt.io import is_planar

LPS = np.array([-1.0, -1.0, 1.0])
HEADER_MM = 1e-4  # geometry in float32, once as matrix and once as quaternion


@pytest.fixture(params=GRIDS.values(), ids=GRIDS.keys())
def field(request):
    u = np.random.default_rng(9).normal(0, 2, (3, *request.param.shape)).astype(np.float32)
    return DisplacementField(u, request.param)


def inside(target, count=20):
    index = np.random.default_rng(10).uniform(0, 1, (count, 3)) * (np.array(target.shape) - 1)
    return target.map_indices(index)


def test_what_is_written_is_read_back(field, tmp_path):
    write_transform(field, tmp_path / "u.nii.gz")
    again = read_transform(tmp_path / "u.nii.gz")
    np.testing.assert_array_equal(again.displacement_mm, field.displacement_mm)
    assert again.grid.same_as(field.grid, HEADER_MM)


def test_the_file_has_the_layout_of_ants(tmp_path):
    u = np.empty((3, *OBLIQUE.shape), np.float32)
    u[0], u[1], u[2] = 1, 2, 3
    field = DisplacementField(u, OBLIQUE)
    write_transform(field, tmp_path / "u.nii.gz")
    image = nibabel.load(tmp_path / "u.nii.gz")
    assert image.shape == (*OBLIQUE.shape[::-1], 1, 3)
    assert image.header.get_intent()[0] == "vector"
    assert image.header.get_xyzt_units()[0] == "mm"
    assert image.get_data_dtype() == np.float32
    np.testing.assert_array_equal(np.unique(image.get_fdata().reshape(-1, 3), axis=0), [[-1, -2, 3]])  # LPS


def test_itk_displaces_points_by_our_file_as_we_do(field, tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    if field.grid.shape[0] == 1:
        pytest.skip("SimpleITK reads a field of one slice as a 2-D image, and then wants two components")
    write_transform(field, tmp_path / "u.nii.gz")
    image = sitk.ReadImage(str(tmp_path / "u.nii.gz"), sitk.sitkVectorFloat64)
    theirs = sitk.DisplacementFieldTransform(image)
    points = inside(field.grid)
    moved = np.array([theirs.TransformPoint((p * LPS).tolist()) for p in points]) * LPS
    # ITK leaves points alone that rounding puts outside of a field of one slice
    ours = field.map_points(points)
    kept = (moved == points).all(axis=1) if 1 in field.grid.shape else np.zeros(len(points), bool)
    np.testing.assert_allclose(moved[~kept], ours[~kept], atol=HEADER_MM)
    assert kept.mean() < 0.7


@pytest.mark.parametrize("target", [OBLIQUE, LEFT_HANDED], ids=["oblique", "left-handed"])
def test_ants_warps_by_our_file_as_we_do(target, tmp_path):
    ants = pytest.importorskip("ants")
    rng = np.random.default_rng(11)
    moving_grid = grid((12, 13, 14), (1.0, 1.2, 0.9), -20, origin_mm=target.centre_mm - 6)
    moving = Volume(rng.uniform(0, 1, moving_grid.shape).astype(np.float32), moving_grid)
    field = DisplacementField(rng.normal(0, 0.5, (3, *target.shape)).astype(np.float32), target)
    write_transform(field, tmp_path / "u.nii.gz")
    write_image(moving, tmp_path / "moving.nii.gz")
    write_image(Volume(np.zeros(target.shape, np.float32), target), tmp_path / "fixed.nii.gz")
    fixed_image, moving_image = (ants.image_read(str(tmp_path / f"{n}.nii.gz")) for n in ("fixed", "moving"))
    theirs = ants.apply_transforms(fixed_image, moving_image, [str(tmp_path / "u.nii.gz")])
    index = moving_grid.map_points(field.map_points(target.points_mm())).reshape(*target.shape, 3)
    well_inside = ((index > 0.01) & (index < np.array(moving_grid.shape) - 1.01)).all(axis=-1)
    assert well_inside.mean() > 0.5
    ours = field.warp(moving).data
    # positions from headers in float32, noise with a slope of up to 1 a voxel
    np.testing.assert_allclose(ours[well_inside], theirs.numpy().T[well_inside], atol=1e-3)


def test_the_fields_of_ants_displace_points_as_ants_does(tmp_path):
    ants = pytest.importorskip("ants")
    write_image(Volume(np.zeros(OBLIQUE.shape, np.float32), OBLIQUE), tmp_path / "fixed.nii.gz")
    fixed = ants.image_read(str(tmp_path / "fixed.nii.gz"))
    u = np.random.default_rng(12).normal(0, 1, (*fixed.shape, 3))
    vectors = ants.from_numpy(
        u, fixed.origin, fixed.spacing, np.asarray(fixed.direction), has_components=True
    )
    ants.image_write(vectors, str(tmp_path / "u.nii.gz"))
    theirs = ants.transform_from_displacement_field(vectors)
    points = inside(OBLIQUE)
    expected = np.array([ants.apply_ants_transform_to_point(theirs, p * LPS) for p in points]) * LPS
    ours = read_transform(tmp_path / "u.nii.gz").map_points(points)
    np.testing.assert_allclose(ours, expected, atol=1e-3)  # float32 of points around 100 mm


def vector_file(path, u_ras, intent, target=OBLIQUE, unit="mm", dtype=np.float32, dims=5):
    """A field file by nibabel: components as the intent wants them, ``u_ras`` of shape (3, D, H, W)."""
    components = u_ras if intent == 1006 else u_ras * LPS.reshape(3, 1, 1, 1)
    data = components.T[:, :, :, None] if dims == 5 else components.T
    image = nibabel.Nifti1Image(data.astype(dtype), target.affine[:, [2, 1, 0, 3]])
    image.header.set_intent(intent)
    image.header.set_xyzt_units(unit)
    nibabel.save(image, path)


@pytest.mark.parametrize("intent", [1006, 1007], ids=["DISPVECT", "VECTOR"])
def test_the_intent_decides_between_ras_and_lps(intent, tmp_path):
    u = np.random.default_rng(13).normal(0, 2, (3, *OBLIQUE.shape)).astype(np.float32)
    vector_file(tmp_path / "u.nii.gz", u, intent)
    np.testing.assert_array_equal(read_transform(tmp_path / "u.nii.gz").displacement_mm, u)


def test_a_field_of_two_components_on_a_slice_leaves_z_alone(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.GetImageFromArray(np.random.default_rng(14).normal(size=(6, 7, 2)), isVector=True)
    image.SetSpacing((0.5, 0.8))
    image.SetOrigin((3.0, -4.0))
    image.SetDirection((0.0, 1.0, -1.0, 0.0))
    sitk.WriteImage(image, str(tmp_path / "u.nii.gz"))
    field = read_transform(tmp_path / "u.nii.gz")
    theirs = sitk.DisplacementFieldTransform(sitk.Cast(image, sitk.sitkVectorFloat64))
    assert field.grid.shape == (1, 6, 7)
    points = inside(field.grid)
    moved = field.map_points(points)
    expected = np.array([theirs.TransformPoint((p[:2] * LPS[:2]).tolist()) for p in points]) * LPS[:2]
    np.testing.assert_allclose(moved[:, :2], expected, atol=1e-5)
    np.testing.assert_array_equal(moved[:, 2], points[:, 2])


def planar_field(amplitude_mm=0.4):
    flat = Grid((1, 30, 28), np.array([[0, 0.3, 0.4, 2], [0, -0.4, 0.3, 9], [1, 0, 0, 5], [0, 0, 0, 1]]))
    u = np.random.default_rng(15).normal(0, amplitude_mm, (3, *flat.shape)).astype(np.float32)
    u[2] = 0
    return DisplacementField(u, flat)


def test_a_planar_field_displaces_points_in_two_dimensional_itk_as_in_ours(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    field = planar_field()
    write_transform(field, tmp_path / "u.nii.gz", planar=True)
    np.testing.assert_array_equal(
        read_transform(tmp_path / "u.nii.gz").displacement_mm, field.displacement_mm
    )
    image = sitk.ReadImage(str(tmp_path / "u.nii.gz"), sitk.sitkVectorFloat64)
    assert (image.GetDimension(), image.GetNumberOfComponentsPerPixel()) == (2, 2)
    theirs, points = sitk.DisplacementFieldTransform(image), inside(field.grid)
    moved = np.array([theirs.TransformPoint((p[:2] * LPS[:2]).tolist()) for p in points]) * LPS[:2]
    np.testing.assert_allclose(moved, field.map_points(points)[:, :2], atol=HEADER_MM)


def test_a_planar_field_warps_in_two_dimensional_ants_as_in_ours(tmp_path):
    ants = pytest.importorskip("ants")
    field = planar_field()
    image = nibabel.Nifti1Image(
        np.random.default_rng(16).uniform(0, 1, (28, 30)).astype(np.float32),
        field.grid.affine[:, [2, 1, 0, 3]],
    )
    nibabel.save(image, tmp_path / "moving.nii.gz")
    moving = read_image(tmp_path / "moving.nii.gz")
    assert is_planar(moving)
    write_transform(field, tmp_path / "u.nii.gz", planar=True)
    theirs = ants.image_read(str(tmp_path / "moving.nii.gz"))
    assert theirs.dimension == 2
    warped = ants.apply_transforms(theirs, theirs, [str(tmp_path / "u.nii.gz")]).numpy().T
    ours = field.warp(moving).data[0]
    # ANTs gives 0 right outside the image, where ours fades to 0 within a voxel
    np.testing.assert_allclose(ours[4:-4, 4:-4], warped[4:-4, 4:-4], atol=1e-3)


def test_what_leaves_its_plane_is_not_written_as_planar(tmp_path):
    lifted = planar_field()
    lifted.displacement_mm[2] = 0.5
    for field in (lifted, DisplacementField(np.zeros((3, *OBLIQUE.shape), np.float32), OBLIQUE)):
        with pytest.raises(TransformError, match="MMREG_E_FIELD_NOT_PLANAR"):
            write_transform(field, tmp_path / "u.nii.gz", planar=True)
    assert not list(tmp_path.iterdir())


def test_an_image_is_no_field_and_a_field_is_no_image(tmp_path):
    write_image(Volume(np.zeros(OBLIQUE.shape, np.float32), OBLIQUE), tmp_path / "image.nii.gz")
    with pytest.raises(TransformError, match="MMREG_E_FIELD_LAYOUT"):
        read_transform(tmp_path / "image.nii.gz")
    write_transform(
        DisplacementField(np.zeros((3, *OBLIQUE.shape), np.float32), OBLIQUE), tmp_path / "u.nii.gz"
    )
    with pytest.raises(InputError, match="MMREG_E_NIFTI_IS_FIELD"):
        read_image(tmp_path / "u.nii.gz")
