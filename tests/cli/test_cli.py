"""The commands: what they write, what they say, how they exit, and that they leave nothing half done."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from fixtures import pretend
from fixtures.formats import WRITERS
from fixtures.shell import run

from mmreg_rt import io
from mmreg_rt.cli import main
from mmreg_rt.errors import (
    BackendUnavailableError,
    BundleError,
    CancelledError,
    InputError,
    RegistrationError,
    TransformError,
)
from mmreg_rt.io import endings
from mmreg_rt.transform import DisplacementField, Rigid

pytestmark = pytest.mark.usefixtures("registrar")

ALWAYS = {"affine.tfm", "inverse.nii.gz", "report.html", "result.json", "transform.nii.gz", "warped.nii.gz"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a pair of scans, their labels, points and a transform."""
    monkeypatch.chdir(tmp_path)
    fixed, moving = pretend.scans()
    io.write_image(fixed, tmp_path / "fixed.nii.gz")
    io.write_image(moving, tmp_path / "moving.nii.gz")
    for name, volume, inside in (("fixed", fixed, 1000), ("moving", moving, 100)):
        labels = (volume.data == inside).astype(np.uint8)
        io.write_image(volume.with_data(labels), tmp_path / f"{name}_labels.nii.gz")
    points = np.array([[0.0, 0, 0], [5, 5, 5]])
    io.write_points(points, tmp_path / "fixed.csv")
    io.write_points(points + pretend.SHIFT_MM, tmp_path / "moving.csv")
    io.write_transform(pretend.registration(fixed, moving).transform, tmp_path / "field.nii.gz")
    return tmp_path


def names(path):
    return {entry.name for entry in path.iterdir()}


def test_register_writes_every_result(folder):
    out = folder / "a" / "out"
    done = run("register fixed.nii.gz moving.nii.gz -o a/out")
    assert names(out) == ALWAYS
    assert "Verdict: pass" in done.output
    assert json.loads((out / "result.json").read_text())["verdict"] == "pass"
    np.testing.assert_allclose(io.read_transform(out / "affine.tfm").matrix[:3, 3], pretend.SHIFT_MM)
    found = io.read_transform(out / "transform.nii.gz").map_points([[0, 0, 0]])
    np.testing.assert_allclose(found, [pretend.SHIFT_MM], atol=1e-5)
    np.testing.assert_array_equal(
        io.read_image(out / "warped.nii.gz").data.shape, io.read_image(folder / "fixed.nii.gz").data.shape
    )


def test_register_hands_every_option_on(folder, registrar):
    asked = registrar()
    mask = folder / "fixed_labels.nii.gz"
    run(
        "register fixed.nii.gz moving.nii.gz -o out --align rigid --no-deform --model masr "
        "--no-refine --backend onnxruntime --precision fp16 --threads 3 --deadline-ms 500 "
        "--fixed-mask fixed_labels.nii.gz --device cuda:1 --no-same-space --modalities MR-T1 CT"
    )
    got = asked.asked
    assert (got.align, got.deform, got.threads, got.moving_mask) == ("rigid", False, 3, None)
    assert 0 < got.deadline_ms < 500  # what reading took is taken off
    assert (got.model, got.refine, got.backend, got.precision) == ("masr", False, "onnxruntime", "fp16")
    assert (got.device, got.same_space, got.modalities) == ("cuda:1", False, ("MR-T1", "CT"))
    np.testing.assert_array_equal(got.fixed_mask.data, io.read_image(mask).data)


def test_labels_and_points_of_the_moving_scan_come_to_the_fixed_one(folder):
    out = folder / "out"
    run("register fixed.nii.gz moving.nii.gz -o out --labels moving_labels.nii.gz --points moving.csv")
    assert names(out) == ALWAYS | {"labels.nii.gz", "points.csv"}
    warped, expected = io.read_image(out / "labels.nii.gz"), io.read_image(folder / "fixed_labels.nii.gz")
    assert warped.data.dtype == np.uint8
    np.testing.assert_array_equal(warped.data, expected.data)
    found = io.read_points(out / "points.csv")
    np.testing.assert_allclose(found, io.read_points(folder / "fixed.csv"), atol=1e-4)  # text of the CSV


@pytest.mark.parametrize("option", ["--labels", "--points", "--fixed-mask", "--moving-mask"])
def test_a_bad_extra_file_is_told_before_the_work(folder, registrar, option):
    asked = registrar()
    bad = "bad.csv" if option == "--points" else "bad.nii.gz"
    (folder / "bad.csv").write_text("x,y,z\n1,2\n")
    (folder / "bad.nii.gz").write_bytes(b"no")
    run(f"register fixed.nii.gz moving.nii.gz -o out {option} {bad}", code=3)
    assert not vars(asked.asked)  # no registrar was even made
    assert names(folder / "out") == {"report.html", "result.json"}


def test_points_of_another_scan_are_told_before_the_work_and_single_ones_are_a_warning(folder, registrar):
    asked = registrar()
    io.write_points([[500.0, 0, 0], [600, 0, 0]], folder / "far.csv")
    run("register fixed.nii.gz moving.nii.gz -o out --points far.csv", code=3)
    assert not vars(asked.asked)
    io.write_points([[500.0, 0, 0], [5, 5, 5], [6, 6, 6]], folder / "odd.csv")
    assert "1 of 3 landmarks" in run("register fixed.nii.gz moving.nii.gz -o out --points odd.csv").output


def test_json_is_the_same_as_the_file_and_alone_on_standard_output(folder):
    out = folder / "out"
    done = run("register fixed.nii.gz moving.nii.gz -o out --json")
    assert json.loads(done.stdout) == json.loads((out / "result.json").read_text())


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("MMREG_E_MODEL_MISSING", "no model"), 4),
        (BackendUnavailableError("MMREG_E_TARGET", "no such target"), 5),
        (RegistrationError("MMREG_E_DIVERGED", "no result"), 7),
        (TransformError("MMREG_E_T", "bad"), 3),
        (BundleError("MMREG_E_BUNDLE_HASH", "not as signed"), 4),
        (CancelledError("MMREG_E_CANCELLED", "stopped"), 130),
        (pretend.NO_OVERLAP, 3),
        (OSError(28, "No space left on device"), 3),
        (KeyError("oops"), 1),
    ],
)
def test_each_kind_of_error_has_its_exit_code_and_leaves_only_the_reason(folder, registrar, error, code):
    registrar(error=error)
    out = folder / "out"
    out.mkdir()
    (out / "labels.nii.gz").write_text("not ours, and this run writes no labels")
    (out / "mine.txt").write_text("not ours")
    done = run("register fixed.nii.gz moving.nii.gz -o out", code=code)
    assert names(out) == {"labels.nii.gz", "mine.txt", "report.html", "result.json"}
    assert json.loads((out / "result.json").read_text())["status"] == "failed"
    page = (out / "report.html").read_text()
    assert "What went wrong" in page
    assert page.count("<img ") == 6  # three planes of each scan: both could be read
    assert ">check <" in page  # a stage that was reached
    assert "Traceback" not in done.output
    assert not [name for name in names(folder) if name.endswith(".partial")]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"degraded": True}, 6),
        ({"quality": replace(pretend.QUALITY, folded_voxels=2)}, 7),
        ({"quality": replace(pretend.QUALITY, overlap_fraction=0.5)}, 0),  # a review is no failure
    ],
)
def test_a_result_with_reservations_is_written_and_told_by_the_exit_code(folder, registrar, changes, code):
    registrar(**changes)
    run("register fixed.nii.gz moving.nii.gz -o out", code=code)
    assert names(folder / "out") == ALWAYS


def test_an_interrupt_exits_with_130_and_leaves_nothing(folder, registrar):
    before = names(folder)
    registrar(error=KeyboardInterrupt())
    run("register fixed.nii.gz moving.nii.gz -o out", code=130)
    assert names(folder) == before


@pytest.mark.usefixtures("folder")
def test_a_missing_scan_is_one_clear_line_and_json_when_asked():
    done = run("register none.nii.gz moving.nii.gz -o out --json", code=3)
    assert json.loads(done.stdout)["error"]["code"].startswith("MMREG_E_")
    assert len(done.stderr.strip().splitlines()) == 1
    assert "none.nii.gz" in done.stderr


@pytest.mark.usefixtures("folder")
def test_debug_shows_the_traceback(registrar):
    registrar(error=pretend.NO_OVERLAP)
    done = CliRunner().invoke(main, ["--debug", "register", "fixed.nii.gz", "moving.nii.gz", "-o", "out"])
    assert done.exit_code == 1
    assert done.exception.error is pretend.NO_OVERLAP


@pytest.mark.parametrize(
    "words",
    [
        "register a.nii.gz",
        "register a.nii.gz b.nii.gz",
        "register a b -o x --align magic",
        "register a b -o x --threads 0",
        "warp a.nii.gz -o b.nii.gz",
        "evaluate",
        "evaluate --fixed-points a.csv",
        "demo --fixed a.nii.gz",
        "nonsense",
    ],
)
def test_a_wrong_command_line_exits_with_2(words):
    run(words, code=2)


@pytest.mark.usefixtures("folder")
def test_an_output_that_cannot_be_made_exits_with_3():
    run("register fixed.nii.gz moving.nii.gz -o fixed.csv/out", code=3)


def test_warp_takes_images_labels_and_points_through_a_transform(folder):
    run("warp moving_labels.nii.gz -t field.nii.gz --labels -o l.nii.gz")
    np.testing.assert_array_equal(
        io.read_image(folder / "l.nii.gz").data, io.read_image(folder / "fixed_labels.nii.gz").data
    )
    done = run("warp moving.nii.gz -t field.nii.gz -o w.nii.gz --like fixed.nii.gz --json")
    assert json.loads(done.stdout) == {
        "format": "mmreg-warp/1", "status": "ok", "written": "w.nii.gz", "warnings": []
    }  # fmt: skip
    assert io.read_image(folder / "w.nii.gz").grid.same_as(io.read_image(folder / "fixed.nii.gz").grid)
    run("warp fixed.csv -t field.nii.gz -o there.csv")
    there = io.read_points(folder / "there.csv")
    np.testing.assert_allclose(there, io.read_points(folder / "moving.csv"), atol=1e-4)
    run("warp there.csv -t field.nii.gz --inverse -o back.csv")
    np.testing.assert_allclose(
        io.read_points(folder / "back.csv"), io.read_points(folder / "fixed.csv"), atol=1e-3
    )


def test_warp_applies_the_first_transform_to_fixed_points_first(folder):
    turn = np.eye(4)
    turn[:2, :2] = [[0, -1], [1, 0]]
    shift = np.eye(4)
    shift[0, 3] = 10
    for name, matrix in (("turn", turn), ("shift", shift)):
        io.write_transform(Rigid(matrix), folder / f"{name}.tfm")
    io.write_points([[1.0, 0, 0]], folder / "p.csv")
    run("warp p.csv -t shift.tfm -t turn.tfm -o q.csv")
    np.testing.assert_allclose(io.read_points(folder / "q.csv"), [[0, 11, 0]], atol=1e-5)  # shift, then turn


@pytest.mark.usefixtures("folder")
def test_evaluate_scores_labels_landmarks_and_folding():
    done = run(
        "evaluate --transform field.nii.gz --json --fixed-labels fixed_labels.nii.gz "
        "--moving-labels moving_labels.nii.gz --fixed-points fixed.csv --moving-points moving.csv"
    )
    found = json.loads(done.stdout)
    assert found["labels"]["mean_dice"] == 1
    assert found["labels"]["mean_hd95_mm"] == 0
    assert found["landmarks"]["max_mm"] < 1e-4
    assert found["folding"] == {"folded_voxels": 0, "min_jacobian": pytest.approx(1)}
    before = run("evaluate --fixed-points fixed.csv --moving-points moving.csv")
    assert f"mean {np.linalg.norm(pretend.SHIFT_MM):.2f} mm" in before.output


def test_inspect_says_what_a_file_is(folder):
    image = run("inspect fixed.nii.gz").output
    assert "An image" in image
    assert "24 x 20 x 14" in image
    assert "R, A, S" in image
    field = run("inspect field.nii.gz").output
    assert "points of the FIXED scan to points of the MOVING scan" in field
    assert "DisplacementField" in field
    assert "2 points" in run("inspect fixed.csv").output
    io.write_transform(Rigid(np.eye(4)), folder / "same.tfm")
    assert "Turns by 0.00 degrees" in run("inspect same.tfm").output
    assert json.loads(run("inspect fixed.nii.gz --json").stdout)["shape"] == [14, 20, 24]
    run("inspect none.nii.gz", code=3)


@pytest.mark.parametrize(("save", "name"), WRITERS)
def test_inspect_describes_every_file_that_can_be_written(save, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / name)
    assert json.loads(run(f"inspect {name} --spacing 1 --json").stdout)["status"] == "ok"


@pytest.mark.parametrize("name", ["scan.foo", "scan", "scan.bmp"])
def test_inspect_lists_every_ending_for_a_name_that_has_none_of_them(folder, name):
    (folder / name).write_bytes(b"x")
    refused = run(f"inspect {name}", code=3).stderr
    assert f"an image, a transform or a list of points must end in {', '.join(endings.EVERY)}" in refused


@pytest.mark.usefixtures("folder")
def test_inspect_works_out_one_point_right():
    found = json.loads(run("inspect field.nii.gz --json").stdout)
    moved = np.subtract(found["example_moving_mm"], found["example_fixed_mm"])
    np.testing.assert_allclose(moved, pretend.SHIFT_MM, atol=1e-5)


def test_doctor_tries_every_target_of_this_machine():
    from mmreg_rt import _native

    found = json.loads(run("doctor --json").stdout)
    states = {one["what"]: one["state"] for one in found["findings"]}
    assert found["ok"]
    for target in _native.targets():
        assert states[f"target {target}"] == "ok"
    assert states["native solver"] == "ok"
    assert "(chosen)" in run("doctor").output


def test_doctor_exits_with_5_if_a_target_computes_wrongly(monkeypatch):
    from mmreg_rt import _native

    monkeypatch.setattr(_native, "jacobian", lambda u, **_: np.zeros(u.shape[1:], np.float32))
    assert "BAD" in run("doctor", code=5).output


def test_doctor_tries_every_backend_or_says_why_not(monkeypatch):
    from mmreg_rt import backends
    from mmreg_rt.backends import smoke_test

    found = {one["what"]: one for one in json.loads(run("doctor --json").stdout)["findings"]}
    for name in backends.NAMES:
        if name != "openvino" and (reason := backends.by_name(name).unavailable_reason("cuda")):
            assert reason in found[f"{name} on cuda"]["words"]
    for name in backends.ON_CPU:
        reason = backends.by_name(name).unavailable_reason("cpu")
        assert found[name]["state"] == ("ok" if reason is None else "off")
        assert ("computes correctly: fp32" if reason is None else reason) in found[name]["words"]
    if backends.by_name("onnxruntime").unavailable_reason("cpu") is None:
        assert "not bf16: does not compute in bf16" in found["onnxruntime"]["words"]
        monkeypatch.setattr(smoke_test, "what_is_wrong", lambda _: "adds two images wrongly")
        assert "BAD  onnxruntime" in run("doctor", code=5).output


def test_doctor_calls_two_onnxruntimes_in_one_folder_an_error(monkeypatch):
    from mmreg_rt.cli import doctor

    monkeypatch.setattr(doctor, "_installed", lambda _: True)
    assert "overwrite each other" in run("doctor", code=5).output


def test_doctor_says_why_the_gpu_cannot_be_used():
    from mmreg_rt import _native

    reason = _native.why_no_device("cuda")
    if not reason:
        pytest.skip("this machine has a CUDA device")
    assert reason in run("doctor").output


def test_demo_registers_the_phantom_from_its_files_and_scores_it(folder, monkeypatch):
    import mmreg_rt.phantom

    whole = mmreg_rt.phantom.phantom
    small = whole(1, scale=5)
    seen = {}
    monkeypatch.setattr(mmreg_rt.phantom, "phantom", lambda seed: seen.setdefault(seed, small))
    done = run("demo -o demo --seed 1")
    assert seen == {1: small}
    assert names(folder / "demo") == ALWAYS | {
        "phantom_mr.nii.gz", "phantom_ct.nii.gz", "phantom_mr_labels.nii.gz", "phantom_ct_labels.nii.gz"
    }  # fmt: skip
    found = json.loads((folder / "demo" / "result.json").read_text())
    shift = DisplacementField(
        np.ones((3, *small.fixed.grid.shape), np.float32)
        * pretend.SHIFT_MM[:, None, None, None].astype("f4"),
        small.fixed.grid,
    )
    points = small.fixed.grid.points_mm()[small.head.ravel()]
    error = np.linalg.norm(shift.map_points(points) - small.truth.map_points(points), axis=1)
    assert found["mean_error_mm"] == pytest.approx(error.mean(), rel=1e-5)
    assert found["p95_error_mm"] == pytest.approx(np.percentile(error, 95), rel=1e-5)
    assert found["start_error_mm"] >= 12
    assert "error to the truth" in done.output
    assert "Against the truth" in (folder / "demo" / "report.html").read_text()


def test_demo_takes_the_users_scans(folder):
    run("demo -o demo --fixed fixed.nii.gz --moving moving.nii.gz")
    assert names(folder / "demo") == ALWAYS


def test_help_lists_the_commands_and_exit_codes_without_importing_numpy():
    words = "import sys; from mmreg_rt.cli import main\n"
    words += "try: main(['--help'])\nfinally: print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    for word in ("register", "warp", "evaluate", "inspect", "doctor", "demo", "deadline reached"):
        assert word in done.stdout
    assert done.stdout.strip().endswith("False")
