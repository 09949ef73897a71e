"""``mmreg compile``: engines are described without a GPU, and refused where they cannot be kept."""

import json

import pytest
from click.testing import CliRunner
from fixtures import bundle_parts as parts

from mmreg_rt import _native
from mmreg_rt.bundle import write_bundle
from mmreg_rt.cli import main

pytest.importorskip("tensorrt_rtx")
RTX = ("compile", "masr", "--backend", "tensorrt-rtx")


def run(*words, code=0):
    done = CliRunner().invoke(main, [*map(str, words)])
    assert done.exit_code == code, done.output
    return done


def test_an_engine_is_described_without_a_gpu():
    found = json.loads(run(*RTX, "--dry-run", "--sizes", "32x48x32", "--json").stdout)
    (engine,) = found["engines"]
    assert found["model"] == "masr"
    assert (engine["backend"], engine["precision"], engine["size"]) == ("tensorrt-rtx", "fp32", "32x48x32")
    assert engine["bytes"] > 10_000 and engine["layers"] > 10 and engine["multiplying"]["FLOAT"] > 5


def test_a_size_is_what_the_network_sees_of_it():
    done = run(*RTX, "--dry-run", "--sizes", "30x33x20,32x32x32")
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 2 and "32x32x32" in lines[1]
    extents = [int(n) for n in lines[0].split(":")[0].split()[-1].split("x")]
    assert all(n >= m and n % 16 == 0 for n, m in zip(extents, (30, 33, 20), strict=True))


def test_without_a_gpu_nothing_is_kept_and_the_reason_is_told(tmp_path, monkeypatch):
    if not _native.why_no_device("cuda"):
        pytest.skip("this machine has a CUDA device")
    monkeypatch.setenv("MMREG_CACHE", str(tmp_path / "engines"))
    done = run(*RTX, "--sizes", "32x32x32", code=5)
    assert "cannot build for cuda" in done.output and "--dry-run" in done.output
    assert not (tmp_path / "engines").exists()


def test_a_size_that_is_none_is_refused():
    run(*RTX, "--dry-run", "--sizes", "32xx32", code=2)
    run(*RTX, "--dry-run", "--sizes", "32x32", code=3)  # a slice, for a network of volumes


def test_all_networks_of_a_rigid_bundle_are_built_for_their_window(tmp_path):
    path = write_bundle(tmp_path / "two.mmreg", parts.rigid_manifest(), parts.rigid_files()).path
    asked = ("compile", path, "--backend", "tensorrt-rtx", "--dry-run")
    engines = json.loads(run(*asked, "--json").stdout)["engines"]
    window = "x".join(map(str, parts.WINDOW))
    assert [(engine["stage"], engine["size"]) for engine in engines] == [(0, window), (1, window)]
    assert "network 2 of 2" in run(*asked).stdout
    refused = run(*asked, "--sizes", "32x32x32", code=2)
    assert window in refused.output
