"""``mmreg series``: a known motion is measured and undone, with one frame in memory."""

import json
import tracemalloc

import nibabel
import numpy as np
import pytest
from fixtures.head import bright_first, grid, scan
from fixtures.shell import run
from scipy.spatial.transform import Rotation

from mmreg_rt.io.images import Choice
from mmreg_rt.io.series import stream

SHAPES = {"slice": (1, 64, 64), "volume": (24, 28, 26)}
FRAMES, STEP_S = 12, 2.5


def spacing(shape):
    return (5.0, 1.5, 1.5) if shape[0] == 1 else (4.0, 3.5, 3.5)


def numbers(shape):
    """Shifts and angles of each frame, with none in the first; in the plane for a slice."""
    t = np.arange(FRAMES)
    waves = np.sin(2 * np.pi * np.outer(t, [1 / 12, 1 / 9, 1 / 15, 1 / 11, 1 / 8, 1 / 13]))
    waves *= [3.0, 2.5, 2.0, 0.03, 0.04, 0.05]
    if shape[0] == 1:
        waves[:, [2, 3, 4]] = 0
    return waves


def matrices(shape):
    out = np.tile(np.eye(4), (FRAMES, 1, 1))
    for matrix, row in zip(out, numbers(shape), strict=True):
        matrix[:3, :3] = Rotation.from_euler("xyz", row[3:]).as_matrix()
        matrix[:3, 3] = row[:3]  # the middle of the grid is the origin
    return out


@pytest.fixture(scope="module", params=SHAPES)
def recorded(request, tmp_path_factory):
    """A series of a moving head as a file, and its shape."""
    shape = SHAPES[request.param]
    affine = grid(shape, spacing(shape))
    frames = [
        scan(shape, affine, bright_first, pose=motion, noise=0.01, seed=k)
        for k, motion in enumerate(matrices(shape))
    ]
    data = np.stack([frame.transpose() for frame in frames], -1)
    image = nibabel.Nifti1Image(np.round(20 * data).astype(np.int16), affine[:, [2, 1, 0, 3]])
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = STEP_S
    image.header["scl_slope"], image.header["scl_inter"] = 1, 0
    path = tmp_path_factory.mktemp("series") / "bold.nii.gz"
    nibabel.save(image, path)
    return path, shape


def error_vox(found, true, shape):
    points = np.random.default_rng(1).uniform(-25, 25, (300, 3))
    if shape[0] == 1:
        points[:, 2] = 0
    apart = [
        np.linalg.norm(points @ (a - b)[:3, :3].T + (a - b)[:3, 3], axis=1).mean()
        for a, b in zip(np.array(found), true, strict=True)
    ]
    return np.array(apart) / max(spacing(shape)[1:])


def table(folder):
    lines = (folder / "motion.tsv").read_text().splitlines()
    rows = [[np.nan if value == "n/a" else float(value) for value in line.split("\t")] for line in lines[1:]]
    return lines[0].split("\t"), np.array(rows)


def test_motion_is_measured_and_undone(recorded, tmp_path):
    path, shape = recorded
    run("series", path, "-o", tmp_path / "out")
    record = json.loads((tmp_path / "out/series.json").read_text())
    errors = error_vox(record["motions"], matrices(shape), shape)
    assert errors[0] == 0
    assert errors.mean() < 0.1
    names, rows = table(tmp_path / "out")
    assert names[:1] + names[-1:] == ["trans_x", "framewise_displacement"]
    truth = numbers(shape)
    np.testing.assert_allclose(rows[:, :3], truth[:, :3], atol=0.1 * spacing(shape)[1])
    steps = np.abs(np.diff(truth, axis=0))
    moved_mm = steps[:, :3].sum(1) + 50 * steps[:, 3:].sum(1)
    assert np.isnan(rows[0, 6])
    assert np.abs(rows[1:, 6] - moved_mm).mean() < 0.1 * moved_mm.mean()
    assert record["framewise_displacement_mean_mm"] == pytest.approx(np.nanmean(rows[:, 6]), abs=1e-5)


def test_frames_lie_on_each_other_afterwards(recorded, tmp_path):
    path, _ = recorded
    run("series", path, "-o", tmp_path / "out")
    source, corrected = nibabel.load(path), nibabel.load(tmp_path / "out/corrected.nii.gz")
    assert corrected.shape == source.shape
    assert corrected.header.get_zooms()[3] == STEP_S
    assert corrected.header.get_xyzt_units() == ("mm", "sec")
    np.testing.assert_allclose(corrected.affine, source.affine, atol=1e-4)
    inner = tuple(slice(n // 4, -(n // 4)) if n > 1 else slice(None) for n in source.shape[:3])
    spread = [np.asarray(image.dataobj, float)[inner].std(-1).mean() for image in (source, corrected)]
    assert spread[1] < 0.5 * spread[0]
    for name, image in (("mean_before", source), ("mean_after", corrected)):
        mean = np.asarray(nibabel.load(tmp_path / f"out/{name}.nii.gz").dataobj)
        np.testing.assert_allclose(mean, np.asarray(image.dataobj, float).mean(-1), rtol=1e-4, atol=1e-2)


def test_the_mean_can_be_the_reference(recorded, tmp_path):
    path, shape = recorded
    run("series", path, "-o", tmp_path / "out", "--reference", "mean")
    record = json.loads((tmp_path / "out/series.json").read_text())
    assert record["reference"] == "mean"
    found = np.array(record["motions"])
    relative = [motion @ np.linalg.inv(found[0]) for motion in found]  # to the first frame, as the truth
    assert error_vox(relative, matrices(shape), shape).mean() < 0.15


def test_another_frame_can_be_the_reference(recorded, tmp_path):
    path, shape = recorded
    run("series", path, "-o", tmp_path / "out", "--reference", "4")
    found = json.loads((tmp_path / "out/series.json").read_text())["motions"]
    np.testing.assert_array_equal(found[4], np.eye(4))
    true = [motion @ np.linalg.inv(matrices(shape)[4]) for motion in matrices(shape)]
    assert error_vox(found, true, shape).mean() < 0.1


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("--reference", "12"), 3, "--reference is 12"),
        (("--reference", "-1"), 2, "neither the number of a frame"),
        (("--reference", "median"), 2, "neither the number of a frame"),
    ],
)
def test_a_reference_that_is_none_is_refused_before_the_work(recorded, tmp_path, words, code, text):
    done = run("series", recorded[0], "-o", tmp_path / "out", *words, code=code)
    assert text in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_single_image_is_no_series(tmp_path):
    affine = np.diag([2.0, 2, 2, 1])
    nibabel.save(nibabel.Nifti1Image(np.ones((6, 6, 6), np.float32), affine), tmp_path / "one.nii")
    assert "mmreg register" in run("series", tmp_path / "one.nii", "-o", tmp_path / "o", code=3).stderr


def test_a_file_of_the_user_is_not_replaced(recorded, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/motion.tsv").write_text("mine")
    done = run("series", recorded[0], "-o", tmp_path / "out", code=3)
    assert "MMREG_E_OUTPUT_FOREIGN" in done.stderr
    assert (tmp_path / "out/motion.tsv").read_text() == "mine"


def test_a_truncated_series_leaves_nothing(recorded, tmp_path):
    whole = nibabel.load(recorded[0])
    nibabel.save(nibabel.Nifti1Image(np.asarray(whole.dataobj), whole.affine), tmp_path / "cut.nii")
    raw = (tmp_path / "cut.nii").read_bytes()
    (tmp_path / "cut.nii").write_bytes(raw[:-100])
    done = run("series", tmp_path / "cut.nii", "-o", tmp_path / "out", code=3)
    assert "MMREG_E_FILE_TRUNCATED" in done.stderr
    assert not (tmp_path / "out").exists()


def test_memory_does_not_grow_with_the_number_of_frames(tmp_path):
    shape, most = (40, 48, 44), {}
    data = np.random.default_rng(0).integers(0, 1000, (*shape, 60), np.int16)
    for count in (20, 60):
        nibabel.save(nibabel.Nifti1Image(data[..., :count], np.diag([2.0, 2, 2, 1])), tmp_path / "a.nii.gz")
        series = stream(tmp_path / "a.nii.gz", Choice())
        assert series.count == count
        tracemalloc.start()
        for number, frame in enumerate(series.frames()):
            np.testing.assert_array_equal(frame.data, data[..., number].T)
        most[count] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert most[60] < most[20] + 2 * np.prod(shape)  # one stored frame
