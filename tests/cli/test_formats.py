"""Scans of every format in the shell: results have the format of the fixed scan, choices have options."""

import json
from pathlib import Path

import numpy as np
import pytest
from fixtures import dicom_files as made
from fixtures import pretend
from fixtures.grids import OBLIQUE
from fixtures.shell import run

from mmreg_rt import Grid, Volume, io, read_image
from mmreg_rt.io import images

PLANE = Grid((1, 30, 34), np.array([[0, 0, -0.5, 0], [0, -0.7, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]]))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, registrar):  # noqa: ARG001  the stand-in is used by all
    monkeypatch.chdir(tmp_path)


def scans(ending, dtype=np.uint8):
    for name in ("fixed", "moving"):
        grid = PLANE if ending in (".png", ".tif") else OBLIQUE
        data = np.random.default_rng(1).integers(0, 200, grid.shape).astype(dtype)
        io.write_image(Volume(data, grid), f"{name}{ending}")


@pytest.mark.parametrize(
    ("ending", "option", "written"),
    [
        (".nii.gz", "", ".nii.gz"),
        (".nii", "", ".nii.gz"),
        (".nrrd", "", ".nrrd"),
        (".mha", "", ".mha"),
        (".mgh", "", ".mgh"),
        (".tif", "--spacing 0.5x0.7", ".tif"),
        (".png", "--spacing 0.5x0.7", ".png"),
        (".nrrd", "--format nii.gz", ".nii.gz"),
        (".nii", "--format mha", ".mha"),
    ],
)
def test_results_have_the_format_and_the_grid_of_the_fixed_scan(ending, option, written):
    scans(ending)
    run(f"register fixed{ending} moving{ending} -o out --labels moving{ending} {option}")
    names = {path.name for path in Path("out").iterdir()}
    assert {f"warped{written}", f"labels{written}"} <= names
    spacing = {"spacing_mm": (0.5, 0.7)} if ending in (".png", ".tif") else {}
    fixed = read_image(f"fixed{ending}", **spacing)
    for name in ("warped", "labels"):
        assert read_image(f"out/{name}{written}", **spacing).grid.same_as(fixed.grid)
    listed = json.loads(Path("out/result.json").read_text())["files"]
    assert f"warped{written}" in listed


def test_each_scan_has_its_own_spacing(registrar, monkeypatch):
    scans(".png")
    seen = []
    monkeypatch.setattr(
        registrar(), "register", lambda _, f, m, **__: seen.extend((f, m)) or pretend.registration(f, m)
    )
    run("register fixed.png moving.png -o out --spacing 2 --moving-spacing 0.5x3")
    assert [scan.grid.spacing_mm for scan in seen] == [(1.0, 2.0, 2.0), (1.0, 3.0, 0.5)]
    options = json.loads(Path("out/result.json").read_text())["options"]
    assert (options["fixed_spacing"], options["moving_spacing"]) == ([2.0, 2.0], [0.5, 3.0])


@pytest.mark.parametrize("spacing", ["0", "x", "1x2x3", "-1", "nan", "inf"])
def test_a_spacing_that_is_none_is_refused_by_the_command_line(spacing):
    scans(".png")
    run(f"register fixed.png moving.png -o out --spacing {spacing}", code=2)


def test_a_dicom_series_is_registered_and_its_folder_is_named_nowhere():
    pytest.importorskip("pydicom", reason="the extra dicom is not installed")
    data = np.random.default_rng(1).integers(0, 900, OBLIQUE.shape).astype(np.int16)
    for name in ("SECRET^PATIENT", "other"):
        made.save(made.slices(data, OBLIQUE), Path(name))
    run("register SECRET^PATIENT other -o out")
    assert read_image("out/warped").grid.same_as(read_image("SECRET^PATIENT").grid, 1e-5)
    listed = json.loads(Path("out/result.json").read_text())["files"]
    assert listed["warped"]["bytes"] == sum(path.stat().st_size for path in Path("out/warped").iterdir())
    run("register SECRET^PATIENT other -o out")  # our own folder is replaced
    assert len(list(Path("out/warped").iterdir())) == OBLIQUE.shape[0]
    (Path("out") / "warped" / "mine.txt").write_text("kept")
    assert "MMREG_E_OUTPUT_FOREIGN" in run("register SECRET^PATIENT other -o out", code=3).stderr
    assert (Path("out") / "warped" / "mine.txt").read_text() == "kept"
    run("register SECRET^PATIENT other -o nifti --format nii.gz")
    assert Path("nifti/warped.nii.gz").exists()
    io.write_image(Volume(data, OBLIQUE), "other.nrrd")
    run("register SECRET^PATIENT other.nrrd -o mixed")
    assert Path("mixed/warped.nii.gz").exists()
    refused = run("register SECRET^PATIENT other.nrrd -o never --format dicom", code=3).stderr
    assert "MMREG_E_DICOM_DERIVED" in refused
    assert not Path("never/warped").exists()
    for page in ("result.json", "report.html"):
        text = (Path("out") / page).read_text()
        assert "SECRET" not in text
        assert "ID-17" not in text


def test_one_of_several_series_is_chosen_by_an_option():
    pytest.importorskip("pydicom", reason="the extra dicom is not installed")
    for n in (1, 2):
        data = np.full(OBLIQUE.shape, n, np.int16)
        made.save(made.slices(data, OBLIQUE, SeriesNumber=n), Path("study") / str(n))
    refused = run("inspect study", code=3).stderr
    assert "--series 1" in refused
    assert "1: CT, series number 1, 5 images of 7 x 6" in refused
    assert json.loads(run("inspect study --series 2 --json").stdout)["max"] == 2


@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".mgz"])
def test_warp_takes_every_image_of_a_series_in_any_format(ending):
    frames = np.random.default_rng(2).normal(size=(3, *OBLIQUE.shape)).astype(np.float32)
    images.write_frames(frames, OBLIQUE, None, Path(f"a{ending}"))
    for written in (".nrrd", ".nii.gz", ".mgz"):
        io.write_image(Volume(frames[0], OBLIQUE), f"one{ending}")
        run(f"warp a{ending} --like one{ending} -o b{written} --overwrite")
        for frame in range(3):
            again = read_image(f"b{written}", frame=frame)
            np.testing.assert_allclose(again.data, frames[frame], atol=2e-4)
    assert json.loads(run(f"inspect a{ending} --json").stdout)["frames"] == 3
