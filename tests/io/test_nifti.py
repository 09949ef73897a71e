"""NIfTI in and out: the same points, values and header, and the same as nibabel and SimpleITK see."""

import nibabel
import numpy as np
import pytest
from fixtures.grids import GRIDS, OBLIQUE

from mmreg_rt import Grid, Volume, read_image, write_image
from mmreg_rt.errors import InputError
from mmreg_rt.io import as_volume, is_planar

FLOAT32_MM = 2e-5  # a NIfTI-1 header keeps coordinates of some hundred mm in float32


@pytest.fixture(params=GRIDS.values(), ids=GRIDS.keys())
def volume(request):
    data = np.random.default_rng(3).normal(size=request.param.shape).astype(np.float32)
    return Volume(data, request.param)


def test_what_is_written_is_read_back(volume, tmp_path):
    write_image(volume, tmp_path / "a.nii.gz")
    again = read_image(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(again.data, volume.data)
    assert again.grid.same_as(volume.grid, FLOAT32_MM)


def test_nibabel_sees_the_same_value_at_the_same_point(volume, tmp_path):
    write_image(volume, tmp_path / "a.nii")
    image = nibabel.load(tmp_path / "a.nii")
    for form in (image.get_sform(), image.get_qform()):
        index = np.rint(nibabel.affines.apply_affine(np.linalg.inv(form), volume.grid.points_mm())).astype(
            int
        )
        np.testing.assert_array_equal(image.get_fdata()[tuple(index.T)], volume.data.ravel())
        points = nibabel.affines.apply_affine(form, index)
        np.testing.assert_allclose(points, volume.grid.points_mm(), atol=10 * FLOAT32_MM)  # quaternion


def test_what_nibabel_writes_is_read_with_the_same_value_at_the_same_point(volume, tmp_path):
    x, y, z = volume.grid.shape[::-1]
    data = np.random.default_rng(4).normal(size=(x, y, z))
    affine = volume.grid.affine[:, [2, 1, 0, 3]]
    nibabel.save(nibabel.Nifti1Image(data, affine), tmp_path / "a.nii.gz")
    mine = read_image(tmp_path / "a.nii.gz")
    for i, j, k in np.ndindex(x, y, z):
        point = (affine @ (i, j, k, 1))[:3]
        index = np.rint(mine.grid.map_points([point])[0]).astype(int)
        assert mine.data[tuple(index)] == data[i, j, k]


def test_simpleitk_sees_the_same_value_at_the_same_point(volume, tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    write_image(volume, tmp_path / "a.nii.gz")
    image = sitk.ReadImage(str(tmp_path / "a.nii.gz"))
    for point, value in zip(volume.grid.points_mm(), volume.data.ravel(), strict=True):
        index = image.TransformPhysicalPointToIndex((point * (-1, -1, 1)).tolist())
        assert image[index] == value


def test_a_slice_of_simpleitk_is_read_with_the_same_value_at_the_same_point(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.GetImageFromArray(np.random.default_rng(5).normal(size=(6, 7)))
    image.SetSpacing((0.5, 0.8))
    image.SetOrigin((3.0, -4.0))
    image.SetDirection((0.6, 0.8, -0.8, 0.6))
    sitk.WriteImage(image, str(tmp_path / "a.nii.gz"))
    mine = read_image(tmp_path / "a.nii.gz")
    for x, y in np.ndindex(7, 6):
        left, posterior = image.TransformIndexToPhysicalPoint((x, y))
        index = np.rint(mine.grid.map_points([[-left, -posterior, mine.grid.affine[2, 3]]])[0]).astype(int)
        assert mine.data[tuple(index)] == image[x, y]


@pytest.mark.parametrize(
    "dtype", ["u1", "i1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f4", "<f8", ">i2", ">f4", "?", "<f2"]
)
def test_every_dtype_keeps_its_values(dtype, tmp_path):
    data = np.arange(24).reshape(2, 3, 4).astype(dtype)
    write_image(Volume(data, Grid((2, 3, 4), np.eye(4))), tmp_path / "a.nii.gz")
    again = read_image(tmp_path / "a.nii.gz").data
    np.testing.assert_array_equal(again, data)
    if dtype not in ("?", "<f2"):  # NIfTI has none of these: they become uint8 and float32
        assert again.dtype == data.dtype.newbyteorder("=")


def written_by_nibabel(path, endianness="<", kind=nibabel.Nifti1Image):
    """A file with everything in its header that must survive."""
    header = kind.header_class(endianness=endianness)
    header.set_data_dtype(np.int16)
    header.set_xyzt_units("mm", "sec")
    header["descrip"], header["aux_file"] = b"scan 7", b"notes"
    header["toffset"], header["slice_code"], header["cal_max"] = 2.5, 3, 900
    header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"keep me"))
    affine = OBLIQUE.affine[:, [2, 1, 0, 3]]
    data = np.arange(OBLIQUE.size, dtype=np.int16).reshape(OBLIQUE.shape[::-1])
    image = kind(data, affine, header)
    image.set_sform(affine, 4)
    image.set_qform(affine, 1)
    nibabel.save(image, path)


@pytest.mark.parametrize("endianness", "<>")
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_the_header_is_kept(endianness, kind, tmp_path):
    written_by_nibabel(tmp_path / "in.nii.gz", endianness, kind)
    write_image(read_image(tmp_path / "in.nii.gz"), tmp_path / "out.nii.gz")
    before, after = nibabel.load(tmp_path / "in.nii.gz"), nibabel.load(tmp_path / "out.nii.gz")
    np.testing.assert_array_equal(np.asanyarray(after.dataobj), np.asanyarray(before.dataobj))
    assert after.header.extensions[0].get_content() == b"keep me"
    for field in set(before.header.keys()) - {"vox_offset"}:
        np.testing.assert_array_equal(after.header[field], before.header[field], err_msg=field)


def test_another_image_on_the_grid_gets_its_dtype_and_the_geometry_of_the_header(tmp_path):
    written_by_nibabel(tmp_path / "in.nii.gz")
    fixed = read_image(tmp_path / "in.nii.gz")
    write_image(fixed.with_data(np.full(fixed.grid.shape, 0.5, np.float32)), tmp_path / "out.nii.gz")
    before, after = nibabel.load(tmp_path / "in.nii.gz"), nibabel.load(tmp_path / "out.nii.gz")
    for field in (
        "srow_x",
        "srow_y",
        "srow_z",
        "sform_code",
        "qform_code",
        "quatern_b",
        "qoffset_x",
        "pixdim",
    ):
        np.testing.assert_array_equal(after.header[field], before.header[field], err_msg=field)
    assert after.header.get_data_dtype() == np.float32
    assert before.header["cal_max"] == 900
    assert after.header["cal_max"] == 0  # a window for the other image
    np.testing.assert_array_equal(after.get_fdata(), 0.5)


def test_an_image_moved_to_another_grid_says_so(tmp_path):
    written_by_nibabel(tmp_path / "in.nii.gz")
    source = read_image(tmp_path / "in.nii.gz")
    moved = GRIDS["left-handed"]
    write_image(Volume(np.zeros(moved.shape), moved, source.source), tmp_path / "out.nii.gz")
    assert read_image(tmp_path / "out.nii.gz").grid.same_as(moved, FLOAT32_MM)
    assert nibabel.load(tmp_path / "out.nii.gz").header["descrip"].item() == b"scan 7"
    assert nibabel.load(tmp_path / "out.nii.gz").header["slice_code"] == 0  # how another grid was scanned


def test_scaled_integers_are_read_as_their_values(tmp_path):
    stored = np.arange(-12, 12, dtype=np.int16).reshape(2, 3, 4)
    image = nibabel.Nifti1Image(stored, np.eye(4))
    image.header.set_slope_inter(0.25, -7)
    nibabel.save(image, tmp_path / "a.nii")
    np.testing.assert_array_equal(
        read_image(tmp_path / "a.nii").data, nibabel.load(tmp_path / "a.nii").get_fdata().T
    )


def test_two_equal_images_give_two_equal_files(tmp_path):
    volume = Volume(np.ones((2, 3, 4), np.float32), Grid((2, 3, 4), np.eye(4)))
    write_image(volume, tmp_path / "a.nii.gz")
    write_image(volume, tmp_path / "b.nii.gz")
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_a_slice_keeps_its_two_dimensions(tmp_path):
    image = nibabel.Nifti1Image(np.arange(12.0).reshape(4, 3), np.diag([0.5, 2, 1, 1]))
    nibabel.save(image, tmp_path / "a.nii")
    volume = read_image(tmp_path / "a.nii")
    assert volume.grid.shape == (1, 3, 4)
    write_image(volume, tmp_path / "b.nii")
    assert nibabel.load(tmp_path / "b.nii").shape == (4, 3)


def test_an_extent_beyond_nifti_1_is_written_as_nifti_2(tmp_path):
    volume = Volume(np.arange(40000, dtype=np.int32).reshape(1, 1, -1), Grid((1, 1, 40000), np.eye(4)))
    write_image(volume, tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(read_image(tmp_path / "a.nii.gz").data, volume.data)


@pytest.mark.parametrize("endianness", "<>")
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_an_image_of_nibabel_is_the_same_as_its_file(endianness, kind, tmp_path):
    written_by_nibabel(tmp_path / "in.nii.gz", endianness, kind)
    from_file = read_image(tmp_path / "in.nii.gz")
    given = as_volume(nibabel.load(tmp_path / "in.nii.gz"))
    np.testing.assert_array_equal(given.data, from_file.data)
    assert given.grid.same_as(from_file.grid, 1e-9)
    write_image(given, tmp_path / "out.nii.gz")
    write_image(from_file, tmp_path / "again.nii.gz")
    assert (tmp_path / "out.nii.gz").read_bytes() == (tmp_path / "again.nii.gz").read_bytes()


def test_an_image_made_in_memory_is_taken_with_its_units():
    image = nibabel.Nifti1Image(np.arange(24.0).reshape(4, 3, 2, 1), np.diag([1e-3, 2e-3, 3e-3, 1]))
    image.header.set_xyzt_units("meter")
    assert as_volume(image).grid.spacing_mm == pytest.approx((3, 2, 1))
    assert as_volume(image).data.shape == (2, 3, 4)
    flat = as_volume(nibabel.Nifti1Image(np.zeros((4, 3)), np.eye(4)))
    assert flat.grid.shape == (1, 3, 4)
    assert is_planar(flat)


def test_paths_volumes_and_arrays_with_an_affine_are_images_too(tmp_path):
    volume = Volume.from_array(np.ones((2, 3, 4), np.float32), np.diag([3.0, 2, 1, 1]))
    write_image(volume, tmp_path / "a.nii")
    assert as_volume(volume) is volume
    assert as_volume(str(tmp_path / "a.nii")).grid == volume.grid
    assert as_volume((volume.data, volume.grid.affine)).grid == volume.grid
    for bad in (volume.data, None, 3):
        with pytest.raises(InputError, match="MMREG_E_IMAGE_KIND"):
            as_volume(bad)
    with pytest.raises(InputError, match="MMREG_E_NIBABEL_IMAGE"):
        as_volume(nibabel.Nifti1Image(np.zeros((4, 3, 2, 5)), np.eye(4)))
