"""``mmreg convert`` and what ``mmreg inspect`` says about each dialect."""

import json

import numpy as np
import pytest
from dialects.scenes import AFFINE, FIXED, MOVING, RIGID, chain, error_mm, field, points, saved, voxels
from fixtures.shell import run

from mmreg_rt import Composite, read_transform, write_transform
from mmreg_rt.io.dialects import DIALECTS
from mmreg_rt.io.endings import DIALECT_NAMES


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved(FIXED, tmp_path / "fixed.nii.gz")
    saved(MOVING, tmp_path / "moving.nii.gz")
    write_transform(AFFINE, tmp_path / "a.tfm")
    write_transform(field(FIXED), tmp_path / "u.nii.gz")
    return tmp_path


def test_the_shell_offers_the_dialects_that_there_are():
    assert set(DIALECT_NAMES) == set(DIALECTS)


@pytest.mark.parametrize(
    ("dialect", "name"),
    [("fsl", "f.mat"), ("niftyreg", "n.txt"), ("afni", "a.aff12.1D"), ("freesurfer", "t.lta"),
     ("minc", "t.xfm"), ("elastix", "e.txt"), ("ants", "t.mat"), ("slicer", "t.h5"), ("x5", "t.x5")],
)  # fmt: skip
def test_a_matrix_goes_there_and_back(dialect, name, folder):
    scans = ["--fixed", "fixed.nii.gz", "--moving", "moving.nii.gz"]
    run(["convert", "a.tfm", name, "--to", dialect, *scans])
    run(["convert", name, "b.tfm", "--from", dialect, *scans])
    again = read_transform(folder / "b.tfm")
    assert error_mm(again.map_points(points(FIXED)), AFFINE.map_points(points(FIXED))) < 1e-4


@pytest.mark.parametrize(
    ("dialect", "name"), [("fsl", "w.nii.gz"), ("spm", "y_t.nii"), ("niftyreg", "n.nii.gz")]
)
def test_a_chain_in_the_order_of_ants_becomes_one_field(dialect, name, folder):
    scans = ["--fixed", "fixed.nii.gz", "--moving", "moving.nii.gz"]
    run(["convert", "u.nii.gz", "a.tfm", name, "--to", dialect, *scans])
    run(["convert", name, "back.nii.gz", *scans])
    expected = Composite((field(FIXED), AFFINE)).map_points(voxels(FIXED))
    assert error_mm(read_transform(folder / "back.nii.gz").map_points(voxels(FIXED)), expected) < 1e-3


@pytest.mark.usefixtures("folder")
def test_the_inverse_is_written_on_request(folder):
    run("convert a.tfm i.xfm --inverse")
    np.testing.assert_allclose(
        read_transform(folder / "i.xfm").matrix, np.linalg.inv(AFFINE.matrix), atol=1e-9
    )


@pytest.mark.usefixtures("folder")
def test_what_a_dialect_cannot_hold_is_refused_and_nothing_is_written(folder):
    before = sorted(path.name for path in folder.iterdir())
    refused = run(
        "convert u.nii.gz f.mat --to fsl --fixed fixed.nii.gz --moving moving.nii.gz", code=3
    ).stderr
    assert "can only hold a rigid or affine transform" in refused
    assert "MMREG_E_TRANSFORM_NEEDS_SCAN" in run("convert a.tfm f.mat --to fsl", code=3).stderr
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("name", "words"),
    [("t.lta", "MOVING (src) to FIXED (dst)"), ("t.xfm", "inverted here"), ("a.1D", "DICOM order, LPS mm"),
     ("t.h5", "the last is applied first"), ("t.x5", "RAS mm")],
)  # fmt: skip
def test_inspect_says_what_the_file_means(name, words):
    run(["convert", "a.tfm", name, "--fixed", "fixed.nii.gz", "--moving", "moving.nii.gz"])
    assert words in run(f"inspect {name}").output
    assert words in json.loads(run(f"inspect {name} --json").stdout)["file"]


@pytest.mark.usefixtures("folder")
def test_warp_takes_a_transform_of_another_program(folder):
    write_transform(RIGID, folder / "r.xfm")
    (folder / "p.csv").write_text("x,y,z\n1,2,3\n")
    run("warp p.csv -t r.xfm -o out.csv")
    found = [float(v) for v in (folder / "out.csv").read_text().splitlines()[1].split(",")]
    np.testing.assert_allclose(found, RIGID.map_points([[1, 2, 3]])[0], atol=1e-9)


def test_a_chain_of_a_file_keeps_its_parts(folder):
    write_transform(chain(FIXED), folder / "c.h5")
    parts = read_transform(folder / "c.h5").parts
    assert [type(part).__name__ for part in parts] == ["DisplacementField", "Affine"]
