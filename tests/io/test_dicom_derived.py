"""A derived series: the values of the warped scan at the places of the fixed one, with references to both."""

import shutil
import subprocess

import numpy as np
import pytest
from fixtures import dicom_files as made
from fixtures.grids import LEFT_HANDED, OBLIQUE

from mmreg_rt import Grid, Rigid, Volume, read_image
from mmreg_rt.errors import MmregError

pydicom = pytest.importorskip("pydicom", reason="the extra dicom is not installed")
from mmreg_rt.io.dicom import derived  # noqa: E402


@pytest.fixture(params=[(OBLIQUE, made.CT, made.MR), (LEFT_HANDED, made.MR, made.CT)], ids=["CT", "MR"])
def pair(request, tmp_path):
    """A fixed and a moving series, and the moving one on the grid of the fixed one."""
    grid, kind, other = request.param
    rng = np.random.default_rng(1)
    moved = Grid(
        grid.shape, np.array([[1.0, 0, 0, 2], [0, 1, 0, 1], [0, 0, 1, -3], [0, 0, 0, 1]]) @ grid.affine
    )
    fixed, moving = (
        made.save(
            made.slices(rng.integers(0, 900, where.shape).astype(np.int16), where, sop), tmp_path / name
        )
        for name, where, sop in (("fixed", grid, kind), ("moving", moved, other))
    )
    fixed, moving = read_image(fixed), read_image(moving)
    return fixed, moving, Rigid(np.eye(4)).warp(moving, fixed)


def test_the_series_has_the_values_at_the_places_of_the_fixed_scan(pair, tmp_path):
    fixed, moving, warped = pair
    derived.write(warped, fixed, moving, tmp_path / "out")
    again = read_image(tmp_path / "out")
    assert again.grid.same_as(fixed.grid, 1e-5)
    step = (warped.data.max() - warped.data.min()) / 65535
    np.testing.assert_allclose(again.data, warped.data, atol=step)


def test_whole_numbers_are_kept_as_they_are(pair, tmp_path):
    fixed, moving, warped = pair
    labels = warped.with_data(np.arange(warped.data.size, dtype=np.uint16).reshape(warped.data.shape))
    derived.write(labels, fixed, moving, tmp_path / "out")
    np.testing.assert_array_equal(read_image(tmp_path / "out").data, labels.data)


def test_the_series_is_new_and_refers_to_its_sources(pair, tmp_path):
    fixed, moving, warped = pair
    derived.write(warped, fixed, moving, tmp_path / "out")
    slices = [pydicom.dcmread(path) for path in sorted((tmp_path / "out").iterdir())]
    one_fixed, one_moving = pydicom.dcmread(fixed.source.files[0]), pydicom.dcmread(moving.source.files[0])
    uids = {s.SOPInstanceUID for s in slices} | {slices[0].SeriesInstanceUID}
    assert len(uids) == len(slices) + 1
    assert not uids & {uid for _, uid in (*fixed.source.references, *moving.source.references)}
    for number, one in enumerate(slices):
        assert one.FrameOfReferenceUID == one_fixed.FrameOfReferenceUID
        assert one.StudyInstanceUID == one_fixed.StudyInstanceUID
        assert one.PatientID == one_fixed.PatientID
        assert (one.Modality, one.SOPClassUID) == (one_moving.Modality, one_moving.SOPClassUID)
        assert one.ImageType[:2] == ["DERIVED", "SECONDARY"]
        assert "registration" in one.DerivationDescription
        sources = {item.ReferencedSOPInstanceUID for item in one.SourceImageSequence}
        assert sources == {uid for _, uid in moving.source.references}
        assert one.ReferencedImageSequence[0].ReferencedSOPInstanceUID == fixed.source.references[number][1]


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
def test_dciodvfy_finds_no_error(pair, tmp_path):
    def errors(path):
        done = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, check=False)
        return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]

    fixed, moving, warped = pair
    derived.write(warped, fixed, moving, tmp_path / "out")
    assert errors(moving.source.files[0]) == []  # nor in the source
    for path in sorted((tmp_path / "out").iterdir()):
        assert errors(path) == []


def test_scans_that_are_not_from_dicom_are_refused_and_nothing_is_left(pair, tmp_path):
    fixed, moving, warped = pair
    other = Volume(moving.data, moving.grid)
    for arguments in ((warped, fixed, other), (warped, other, moving), (moving, fixed, moving)):
        with pytest.raises(MmregError, match="MMREG_E_DICOM_DERIVED"):
            derived.write(*arguments, tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fixed", "moving"]
    derived.write(warped, fixed, moving, tmp_path / "out")
    with pytest.raises(MmregError, match="MMREG_E_OUTPUT"):
        derived.write(warped, fixed, moving, tmp_path / "out")
