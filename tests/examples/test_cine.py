"""The cine example: its curve follows the known motion, of its own series and of a NIfTI file."""

import csv
import runpy
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from fixtures.cine import PIXEL_MM, Cine

pytest.importorskip("matplotlib", reason="matplotlib is not installed")
FOLDER = Path(__file__).parents[2] / "examples" / "cine"
GUARD_S = 300  # of a run of seconds: a hang, not a busy machine


@pytest.fixture
def run(tmp_path):
    def finished(*words, code=0):
        command = [sys.executable, FOLDER / "cine.py", *words, "-o", tmp_path / "motion.png"]
        done = subprocess.run(
            list(map(str, command)),
            capture_output=True,
            text=True,
            timeout=GUARD_S,
            cwd=tmp_path,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr

    return finished


def curves(path):
    """Return the times, and the motion (T, 2) down and along in mm, of a table of one point."""
    with path.open() as file:
        rows = np.array([list(map(float, row)) for row in list(csv.reader(file))[1:]])
    return rows[:, 0], rows[:, 3:]


def check_picture(path):
    from matplotlib import image

    pixels = image.imread(path)
    assert min(pixels.shape[:2]) > 400
    assert pixels[..., :3].std() > 0.1


def test_the_simulated_series_is_followed_within_half_a_pixel(run, tmp_path):
    printed = run("--table", tmp_path / "motion.csv")
    simulated = runpy.run_path(str(FOLDER / "simulated.py"))
    times, motion_mm = curves(tmp_path / "motion.csv")
    point = np.array(simulated["LESION"])
    true_mm = [(simulated["moved_px"](point, time) - point) * simulated["PIXEL_MM"] for time in times]
    errors_mm = np.hypot(*(motion_mm - true_mm).T)
    assert errors_mm.max() < 0.5 * simulated["PIXEL_MM"]
    assert np.ptp(motion_mm[:, 0]) > 10
    assert "40 frames" in printed
    check_picture(tmp_path / "motion.png")


@pytest.fixture
def series(tmp_path):
    """Write a coronal series as NIfTI in RAS order; return its path and the simulation."""
    cine = Cine(side=96, amplitude_px=4.0)
    frames = [cine.frame(k / 12, seed=k)[0][0] for k in range(12)]  # rows down, columns to the left
    data = np.stack([frame[::-1, ::-1].T[:, None] for frame in frames], -1)  # right, front, up, time
    image = nibabel.Nifti1Image(data, np.diag([PIXEL_MM, 5.0, PIXEL_MM, 1.0]))
    image.header.set_xyzt_units("mm", "msec")
    image.header["pixdim"][4] = 250
    nibabel.save(image, tmp_path / "series.nii.gz")
    return tmp_path / "series.nii.gz", cine


def test_a_nifti_series_is_followed_within_half_a_pixel(run, series, tmp_path):
    path, cine = series
    row, column = round(0.62 * 96), round(0.30 * 96)  # the centre of a small structure
    run(path, "--table", tmp_path / "motion.csv", "--point", row, column)
    times, motion_mm = curves(tmp_path / "motion.csv")
    true_mm = [PIXEL_MM * cine.truth_px(k / 12)[:, row, column] for k in range(12)]
    np.testing.assert_allclose(times, 0.25 * np.arange(12))
    assert np.hypot(*(motion_mm - true_mm).T).max() < 0.5 * PIXEL_MM
    check_picture(tmp_path / "motion.png")


def test_without_points_an_edge_that_moves_is_chosen(run, series):
    assert "point 1 at row" in run(series[0])


def write(path, shape):
    nibabel.save(nibabel.Nifti1Image(np.zeros(shape, np.float32), np.eye(4)), path)
    return path


def test_what_is_not_a_series_is_refused(run, tmp_path):
    for shape in ((8, 9, 10), (8, 9, 10, 3), (8, 9)):
        assert "must be one slice at some times" in run(write(tmp_path / "volume.nii", shape), code=1)
    assert "MMREG_E_INTENSITY_CONSTANT" in run(write(tmp_path / "empty.nii", (32, 32, 1, 3)), code=1)
    assert "nowhere.nii" in run(tmp_path / "nowhere.nii", code=1)
    (tmp_path / "text.nii").write_text("not an image")
    assert "text.nii" in run(tmp_path / "text.nii", code=1)


def test_a_point_outside_of_the_frames_is_refused(run, series):
    assert "--point 96 0 is outside" in run(series[0], "--point", 96, 0, code=2)
