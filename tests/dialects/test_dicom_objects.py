"""Registration objects of DICOM: valid for dciodvfy, and referring to both scans, which stay unchanged."""

import shutil
import subprocess

import numpy as np
import pytest
from bad_inputs.declared import refused
from dialects.dicom_oracles import series
from dialects.scenes import AFFINE, FIXED, RIGID, chain
from fixtures.dicom import dicom_slice

from mmreg_rt import Grid, read_transform, write_transform

pydicom = pytest.importorskip("pydicom")


@pytest.mark.parametrize("kind", ["rigid", "affine", "field"])
def test_dciodvfy_finds_no_error(kind, tmp_path):
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (Debian package dicom3tools)")
    transform = {"rigid": RIGID, "affine": AFFINE, "field": chain(FIXED)}[kind]
    write_transform(transform, tmp_path / "reg.dcm", **series(tmp_path))
    done = subprocess.run(["dciodvfy", "-new", str(tmp_path / "reg.dcm")], capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert "Error" not in said, said
    assert "SpatialRegistration" in said


def test_an_object_refers_to_every_slice_and_takes_new_names(tmp_path):
    scans = series(tmp_path)
    before = {path: path.read_bytes() for folder in scans.values() for path in folder.iterdir()}
    write_transform(RIGID, tmp_path / "reg.dcm", **scans)
    made = pydicom.dcmread(tmp_path / "reg.dcm")
    slices = [pydicom.dcmread(path) for path in sorted(before)]
    referred = {
        str(instance.ReferencedSOPInstanceUID)
        for one in made.ReferencedSeriesSequence
        for instance in one.ReferencedInstanceSequence
    }
    assert referred == {str(one.SOPInstanceUID) for one in slices}
    assert made.SOPInstanceUID not in referred
    assert made.SeriesInstanceUID not in {one.SeriesInstanceUID for one in slices}
    assert (made.PatientName, made.StudyInstanceUID) == (slices[0].PatientName, slices[0].StudyInstanceUID)
    assert {path: path.read_bytes() for folder in scans.values() for path in folder.iterdir()} == before


def test_scans_of_two_studies_are_both_referred_to(tmp_path):
    for which, number in (("fixed", 1), ("moving", 2)):
        (tmp_path / which).mkdir()
        dicom_slice(tmp_path / which, f"1.2.{number}", f"1.3.{number}", f"1.4.{number}")
    write_transform(RIGID, tmp_path / "reg.dcm", fixed=tmp_path / "fixed", moving=tmp_path / "moving")
    made = pydicom.dcmread(tmp_path / "reg.dcm")
    (other,) = made.StudiesContainingOtherReferencedInstancesSequence
    assert (made.StudyInstanceUID, other.StudyInstanceUID) == ("1.3.1", "1.3.2")


def test_the_order_of_the_items_does_not_matter(tmp_path):
    write_transform(AFFINE, tmp_path / "reg.dcm", **series(tmp_path))
    made = pydicom.dcmread(tmp_path / "reg.dcm")
    made.RegistrationSequence = list(made.RegistrationSequence)[::-1]
    pydicom.dcmwrite(tmp_path / "turned.dcm", made)
    np.testing.assert_allclose(read_transform(tmp_path / "turned.dcm").matrix, AFFINE.matrix, atol=1e-9)


def test_without_dicom_scans_or_with_two_frames_nothing_is_written(tmp_path):
    scans = series(tmp_path)
    with refused("MMREG_E_TRANSFORM_NEEDS_SCAN", "moving"):
        write_transform(RIGID, tmp_path / "reg.dcm", fixed=scans["fixed"])
    with refused("MMREG_E_TRANSFORM_NEEDS_SCAN", "fixed"):
        write_transform(RIGID, tmp_path / "reg.dcm", fixed=Grid((2, 2, 2), np.eye(4)), moving=scans["moving"])
    dicom_slice(scans["fixed"], "9.9.9", name="other.dcm")
    with refused("MMREG_E_DICOM_FRAMES", "found 2"):
        write_transform(RIGID, tmp_path / "reg.dcm", **scans)
    assert not (tmp_path / "reg.dcm").exists()
