"""Every command with ``--json`` prints an object with a format and a status, when it fails too."""

import json
from pathlib import Path

import numpy as np
import pytest
from fixtures import pretend
from fixtures.shell import run

from mmreg_rt import io
from mmreg_rt.text.json_values import plain
from mmreg_rt.transform import Rigid

pytestmark = pytest.mark.usefixtures("registrar", "pair")


@pytest.fixture
def pair(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, scan in zip(("fixed", "moving"), pretend.scans(), strict=True):
        io.write_image(scan, f"{name}.nii.gz")
        io.write_points(np.zeros((2, 3)), f"{name}.csv")
    io.write_transform(Rigid(np.eye(4)), "eye.tfm")
    (tmp_path / "damaged.nii.gz").write_bytes(b"\x1f\x8b damaged")
    (tmp_path / "damaged.mmreg").write_bytes(b"damaged")


@pytest.mark.parametrize(
    ("command", "form"),
    [
        ("register fixed.nii.gz moving.nii.gz -o out", "mmreg-result/1"),
        ("demo --fixed fixed.nii.gz --moving moving.nii.gz -o out", "mmreg-result/1"),
        ("warp moving.nii.gz -t eye.tfm -o warped.nii.gz --like fixed.nii.gz", "mmreg-warp/1"),
        ("evaluate --fixed-points fixed.csv --moving-points moving.csv", "mmreg-evaluate/1"),
        ("inspect fixed.nii.gz", "mmreg-inspect/1"),
        ("inspect eye.tfm", "mmreg-inspect/1"),
        ("doctor", "mmreg-doctor/1"),
    ],
)
def test_a_result_has_its_format_and_the_status_ok(command, form):
    summary = json.loads(run(f"{command} --json").stdout)
    assert (summary["format"], summary["status"]) == (form, "ok")


@pytest.mark.parametrize(
    ("command", "code", "form"),
    [
        ("register none.nii.gz moving.nii.gz -o out", 3, "mmreg-result/1"),
        ("warp none.nii.gz -t eye.tfm -o warped.nii.gz --like fixed.nii.gz", 3, "mmreg-failure/1"),
        ("evaluate --transform damaged.nii.gz", 3, "mmreg-failure/1"),
        ("inspect none.nii.gz", 3, "mmreg-failure/1"),
        ("benchmark damaged.mmreg", 4, "mmreg-failure/1"),
        ("compile damaged.mmreg", 4, "mmreg-failure/1"),
        ("evaluate", 2, "mmreg-failure/1"),
        ("warp moving.nii.gz -o warped.nii.gz", 2, "mmreg-failure/1"),
        ("register fixed.nii.gz moving.nii.gz -o out --align magic", 2, "mmreg-failure/1"),
    ],
)
def test_a_failure_has_a_format_the_status_failed_and_the_reason(command, code, form):
    summary = json.loads(run(f"{command} --json", code=code).stdout)
    assert (summary["format"], summary["status"]) == (form, "failed")
    assert set(summary["error"]) == {"code", "kind", "message"}
    assert summary["error"]["code"].startswith("MMREG_E_")


def test_a_truncated_file_is_described_with_the_status_failed():
    io.write_image(pretend.scans()[0], "cut.nii")
    Path("cut.nii").write_bytes(Path("cut.nii").read_bytes()[:1000])
    summary = json.loads(run("inspect cut.nii --json", code=3).stdout)
    assert (summary["format"], summary["status"]) == ("mmreg-inspect/1", "failed")
    assert summary["refused"]["code"].startswith("MMREG_E_")


def test_a_doctor_who_finds_a_fault_has_the_status_failed(monkeypatch):
    from mmreg_rt import _native

    monkeypatch.setattr(_native, "jacobian", lambda u, **_: np.zeros(u.shape[1:], np.float32))
    assert json.loads(run("doctor --json", code=5).stdout)["status"] == "failed"


def test_compile_has_its_format_and_the_status_ok(monkeypatch):
    from mmreg_rt.cli import compile as command

    monkeypatch.setattr(command, "_dry_run", lambda *_: {"backend": "tensorrt-rtx", "words": "built"})
    line = "compile synth --backend tensorrt-rtx --dry-run --sizes 16x16x16 --json"
    monkeypatch.setattr("mmreg_rt.network.trust.Model.proven", lambda *_, **__: b"")
    summary = json.loads(run(line).stdout)
    assert (summary["format"], summary["status"]) == ("mmreg-compile/1", "ok")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.array(2.5), 2.5),  # an array without axes is a number
        (np.array([[1, 2]], np.int16), [[1, 2]]),
        ({"a": np.float32(0.5), 1: (np.bool_(True), None)}, {"a": 0.5, "1": [True, None]}),
        ([np.nan, float("inf"), np.array([np.nan])], [None, None, [None]]),
    ],
)
def test_values_of_numpy_become_those_of_json(value, expected):
    assert plain(value) == expected
