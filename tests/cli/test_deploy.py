"""``mmreg deploy``: a folder for a device, its check there, and the exit codes of refusals."""

import json

import pytest
from click.testing import CliRunner
from fixtures import bundle_parts as parts
from fixtures import deployments as made

from mmreg_rt.cli import main

GRIDS = ("--fixed-grid", "12x20@2x1.5", "--moving-grid", "16x20@2")


def run(*words, code=0):
    done = CliRunner().invoke(main, ["deploy", *map(str, words)])
    assert done.exit_code == code, done.output
    return done


@pytest.fixture
def bundle(tmp_path):
    pytest.importorskip("onnxruntime")
    return parts.bundle(tmp_path, 2)


def written(bundle, tmp_path, *more):
    words = (bundle, "-o", tmp_path / "device", *GRIDS, "--engine", "onnxruntime", "--threads", 1)
    return run(*words, *more)


def test_a_folder_is_written_and_described(bundle, tmp_path):
    output = written(bundle, tmp_path).stdout
    assert "device: tiny 1.0, not signed\n" in output
    assert "fixed 1x12x20, network 1x12x20" in output and "1 thread\n" in output
    for word in ("p50", "p90", "p99", "max", "Slack", "Self-test"):
        assert word in output
    assert (tmp_path / "device" / "deployment.txt").exists()


def test_the_check_prints_what_an_integrator_keeps(bundle, tmp_path):
    written(bundle, tmp_path)
    found = json.loads(run("--check", tmp_path / "device", "--runs", 20, "--json").stdout)
    assert (found["format"], found["status"], found["runs"]) == ("mmreg-deploy/1", "ok", 20)
    assert [*found["latency_ms"]] == ["p50", "p90", "p99", "max"]
    assert found["slack_ms"] > 1 and found["golden_deviation"] == 0 and not found["signed"]
    assert found["threads"] == 1 and found["ran"]["backend"] == "onnxruntime"


def test_the_grid_of_a_scan(bundle, tmp_path):
    import numpy as np

    from mmreg_rt import io
    from mmreg_rt.geometry import Volume

    io.write_image(Volume(np.zeros(made.PLANE.shape, np.float32), made.PLANE), tmp_path / "scan.nii.gz")
    scan = tmp_path / "scan.nii.gz"
    words = ("-o", tmp_path / "it", "--fixed-grid", scan, "--moving-grid", scan, "--engine", "onnxruntime")
    run(bundle, *words)
    assert "fixed_shape = 1 12 20\n" in (tmp_path / "it" / "deployment.txt").read_text()


def test_signatures(bundle, tmp_path):
    pytest.importorskip("cryptography")
    files = {"private": made.KEY, "public": made.public(made.KEY), "other": made.public(made.OTHER_KEY)}
    for name, key in files.items():
        (tmp_path / name).write_bytes(key)
    written(bundle, tmp_path, "--sign", tmp_path / "private")
    check = ("--check", tmp_path / "device", "--runs", 1)
    assert "signed" in run(*check, "--public-key", tmp_path / "public").stdout
    refused = run(*check, "--public-key", tmp_path / "other", "--json", code=4)
    assert json.loads(refused.stdout)["error"]["code"] == "MMREG_E_DEPLOYMENT_SIGNATURE"
    assert "signature not checked" in run(*check).stdout


def test_a_damaged_folder_is_one_line_and_exit_code_4(bundle, tmp_path):
    written(bundle, tmp_path)
    (tmp_path / "device" / "network.onnx").write_bytes(b"x")
    refused = run("--check", tmp_path / "device", code=4)
    assert refused.stderr.startswith("Error: ") and "[MMREG_E_DEPLOYMENT_FILE_SIZE]" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_another_machine_is_exit_code_5_and_names_the_option(bundle, tmp_path):
    written(bundle, tmp_path)
    made.with_value(tmp_path / "device", "cpu", "vax")
    assert "--cpu any" in run("--check", tmp_path / "device", code=5).stderr
    written_for_any = tmp_path / "any"
    run(bundle, "-o", written_for_any, *GRIDS, "--engine", "onnxruntime", "--cpu", "any")
    run("--check", written_for_any, "--runs", 1)


def test_a_folder_in_the_way_is_left_alone(bundle, tmp_path):
    (tmp_path / "device").mkdir()
    (tmp_path / "device" / "mine").write_text("x")
    words = (bundle, "-o", tmp_path / "device", *GRIDS, "--engine", "onnxruntime")
    assert "[MMREG_E_OUTPUT]" in run(*words, code=3).stderr
    assert [path.name for path in (tmp_path / "device").iterdir()] == ["mine"]


def test_a_command_that_is_not_whole_names_what_is_missing(tmp_path):
    assert "--fixed-grid, --moving-grid" in run("synth", "-o", tmp_path / "it", code=2).output
    assert "MODEL, -o" in run(code=2).output
    assert "Leave out MODEL" in run("synth", "--check", tmp_path, code=2).output
