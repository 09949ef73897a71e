"""Two 2-D files in, files of two components out, as the tools of 2-D imaging read them."""

import json

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner
from fixtures import scene
from fixtures.scene import FLAT

from mmreg_rt.cli import main

sitk = pytest.importorskip("SimpleITK")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planar")
    pair = scene.pair(FLAT, FLAT, lambda p: scene.moved(p, plane=True))
    for name, volume in zip(("fixed", "moving"), pair, strict=True):
        image = nibabel.Nifti1Image(volume.data[0].T, np.diag([1.1, 1.1, 1.0, 1.0]))
        assert image.header["dim"][0] == 2
        image.to_filename(folder / f"{name}.nii.gz")
    words = [
        "register",
        str(folder / "fixed.nii.gz"),
        str(folder / "moving.nii.gz"),
        "-o",
        str(folder / "out"),
    ]
    outcome = CliRunner().invoke(main, words, catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output
    return folder


@pytest.mark.parametrize("name", ["transform", "inverse"])
def test_fields_have_two_components_and_simpleitk_reads_them_in_2d(folder, name):
    field = sitk.ReadImage(str(folder / "out" / f"{name}.nii.gz"), sitk.sitkVectorFloat64)
    assert (field.GetDimension(), field.GetNumberOfComponentsPerPixel()) == (2, 2)


def test_simpleitk_warps_as_the_result_says(folder):
    field = sitk.ReadImage(str(folder / "out" / "transform.nii.gz"), sitk.sitkVectorFloat64)
    fixed, moving, warped = (
        sitk.ReadImage(str(path), sitk.sitkFloat32)
        for path in (folder / "fixed.nii.gz", folder / "moving.nii.gz", folder / "out" / "warped.nii.gz")
    )
    again = sitk.Resample(moving, fixed, sitk.DisplacementFieldTransform(field), sitk.sitkLinear, 0.0)
    inner = (slice(6, -6),) * 2  # at the border both fade to 0, each in its way
    difference = (sitk.GetArrayFromImage(again) - sitk.GetArrayFromImage(warped))[inner]
    assert np.abs(difference).max() < 0.02  # of a range of 130: float32 mm


def test_the_result_says_that_nothing_folds(folder):
    quality = json.loads((folder / "out" / "result.json").read_text())["quality"]
    assert quality["folded_voxels"] == quality["inverse_folded_voxels"] == 0


def test_tilted_slices_come_to_their_end_with_fields_of_three_components(tmp_path):
    pair = scene.pair(FLAT, FLAT, lambda p: scene.moved(p, plane=True))
    tilted = np.diag([1.1, 1.1, 1.0, 1.0])
    tilted[1:3, 1:3] = [[1.1 * np.cos(0.2), -np.sin(0.2)], [1.1 * np.sin(0.2), np.cos(0.2)]]
    for name, volume in zip(("fixed", "moving"), pair, strict=True):
        nibabel.Nifti1Image(volume.data[0].T, tilted).to_filename(tmp_path / f"{name}.nii.gz")
    words = ["register", "fixed.nii.gz", "moving.nii.gz", "-o", "out"]
    words[1:3] = (str(tmp_path / name) for name in words[1:3])
    outcome = CliRunner().invoke(main, [*words[:-1], str(tmp_path / "out")], catch_exceptions=False)
    assert outcome.exit_code in (0, 7), outcome.output
    assert nibabel.load(tmp_path / "out" / "transform.nii.gz").shape[-1] == 3
    warnings = json.loads((tmp_path / "out" / "result.json").read_text())["warnings"]
    assert any("three components" in warning for warning in warnings)
