"""Images of nibabel that were changed in memory mean what they mean once saved."""

import nibabel
import numpy as np
import pytest
from fixtures.grids import GRIDS

from mmreg_rt import Volume, read_image, write_image
from mmreg_rt.errors import GeometryError, MmregError
from mmreg_rt.io import as_volume

KINDS = [nibabel.Nifti1Image, nibabel.Nifti2Image]
MOVED = np.array(
    [[0.0, -2.0, 0, 30], [1.5, 0, 0, -20], [0, 0, 3.0, 7], [0, 0, 0, 1]]
)  # turned, other spacing, elsewhere


def stored(path, kind=nibabel.Nifti1Image, dtype=np.int16):
    target = GRIDS["oblique"]
    data = np.random.default_rng(2).integers(0, 200, target.shape[::-1]).astype(dtype)
    image = kind(data, target.affine[:, [2, 1, 0, 3]])
    image.set_sform(image.affine, 1)
    image.set_qform(image.affine, 1)
    nibabel.save(image, path)
    return nibabel.load(path)


def edit_in_place(image):
    image.affine[:3, 3] += (10, -7, 0.5)


def edit_axes(image):
    image.affine[:] = MOVED


def edit_forms(image):
    image.set_sform(MOVED, 2)
    image.set_qform(MOVED, 2)


def edit_sform_alone(image):
    image.set_qform(None, 0)
    image.set_sform(MOVED, 4)
    image.header.set_zooms((1.5, 2, 3))


def edit_qform_alone(image):
    image.set_sform(None, 0)
    image.set_qform(MOVED, 1)


def edit_unit(image):
    image.header.set_xyzt_units("micron")


def edit_nothing(image):
    pass


EDITS = [edit_in_place, edit_axes, edit_forms, edit_sform_alone, edit_qform_alone, edit_unit, edit_nothing]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_image_lies_where_its_file_does(edit, kind, tmp_path):
    image = stored(tmp_path / "in.nii.gz", kind)
    edit(image)
    meant = image.affine.copy()
    given = as_volume(image)
    np.testing.assert_array_equal(image.affine, meant)  # nothing of the caller's is touched
    nibabel.save(image, tmp_path / "saved.nii.gz")
    from_file = read_image(tmp_path / "saved.nii.gz")
    assert given.grid.same_as(from_file.grid, 1e-9)
    np.testing.assert_array_equal(given.data, from_file.data)
    write_image(given, tmp_path / "ours.nii.gz")
    written = nibabel.load(tmp_path / "ours.nii.gz")
    np.testing.assert_allclose(written.affine, meant, atol=1e-4)
    np.testing.assert_allclose(nibabel.load(tmp_path / "saved.nii.gz").affine, written.affine, atol=1e-6)
    assert written.header.get_xyzt_units() == image.header.get_xyzt_units()


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_on_an_edited_image_is_written_where_the_image_lies(kind, tmp_path):
    image = stored(tmp_path / "in.nii.gz", kind)
    edit_axes(image)
    fixed = as_volume(image)
    write_image(Volume(fixed.as_float32() * 2, fixed.grid, fixed.source), tmp_path / "out.nii.gz")
    np.testing.assert_allclose(nibabel.load(tmp_path / "out.nii.gz").affine, MOVED, atol=1e-5)


def forms_apart(image):
    shifted = image.affine.copy()
    shifted[:3, 3] += 7
    image.set_qform(shifted, 1)


def spacing_apart(image):
    image.header["pixdim"][1:4] *= 1.5
    image.header["qform_code"] = 0


def sform_without_spacing(image):  # as nibabel leaves pixdim behind
    image.set_qform(None, 0)
    image.set_sform(MOVED, 4)


def no_forms(image):
    image.header["sform_code"] = image.header["qform_code"] = 0
    image._affine = image.header.get_best_affine()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spoil", [forms_apart, spacing_apart, sform_without_spacing, no_forms])
def test_a_header_that_is_refused_in_a_file_is_refused_in_an_image(spoil, kind, tmp_path):
    image = stored(tmp_path / "in.nii.gz", kind)
    spoil(image)
    nibabel.save(image, tmp_path / "saved.nii.gz")
    with pytest.raises(MmregError) as of_file:
        read_image(tmp_path / "saved.nii.gz")
    with pytest.raises(GeometryError) as of_image:
        as_volume(image)
    assert of_image.value.code == of_file.value.code
    assert "nibabel image" in str(of_image.value)


def test_images_made_in_memory_and_of_other_formats_lie_where_they_say():
    for kind in (*KINDS, nibabel.Nifti1Pair, nibabel.MGHImage):
        image = kind(np.zeros((4, 5, 6), np.float32), MOVED)
        volume = as_volume(image)
        np.testing.assert_allclose(volume.grid.affine, MOVED[:, [2, 1, 0, 3]], atol=1e-5)
