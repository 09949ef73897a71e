"""``mmreg benchmark``: every stage is there, the figures follow from the samples, the picture shows them."""

import json
import sys
from types import ModuleType, SimpleNamespace
from xml.etree import ElementTree

import networks
import numpy as np
import pytest
import scene
from click.testing import CliRunner

from mmreg_rt import backends, fields, io
from mmreg_rt.cli import main
from mmreg_rt.cli.benchmark import open_network
from mmreg_rt.cli.latency import Output, figures, measure
from mmreg_rt.cli.latency_picture import blocks, svg

NETWORK_STAGES = ["set input", "infer", "read output"]


@pytest.fixture
def net(tmp_path):
    """Writes a network as a file."""
    pytest.importorskip("onnx", reason="onnx, with which the test networks are made, is not installed")
    if all(backends.by_name(name).why_not("cpu") for name in backends.ON_CPU):
        pytest.skip("no backend is installed")

    def net(dims=3, **settings):
        path = tmp_path / f"net{dims}.onnx"
        path.write_bytes(networks.network(dims, **settings))
        return path

    return net


def run(*words, code=0):
    done = CliRunner().invoke(main, ["benchmark", *map(str, words)])
    assert done.exit_code == code, done.output
    return done


QUICK = ("--runs", 4, "--idle", 0.01, "--threads", 1)


@pytest.mark.parametrize(
    ("kind", "after"), [("velocity", ["integrate", "warp"]), ("displacement", ["warp"]), (None, [])]
)
def test_every_stage_and_every_size_is_told(net, kind, after):
    words = ["--kind", kind] if kind else []
    done = run(net(), *QUICK, *words, "--sizes", "16x16x16,12x16x8", "--json")
    found = json.loads(done.stdout)
    assert found["format"] == "mmreg-benchmark/1"
    assert [case["size"] for case in found["cases"]] == [[16, 16, 16], [12, 16, 8]]
    for case in found["cases"]:
        assert list(case["stages_ms"]) == [*NETWORK_STAGES, *after, "total"]
        for values in case["stages_ms"].values():
            assert 0 <= values["p50"] <= values["p90"] <= values["p99"] <= values["max"]
        assert len(case["after_idle_ms"]) == 3
        assert set(case["cold_start_ms"]) == {"load", "first inference"}
    assert found["ran"]["threads"] == "1"
    assert {"python", "numpy"} <= set(found["machine"]["versions"])


def test_2d_networks_and_those_of_a_fixed_shape_need_no_sizes(net):
    assert "256x256, 4 runs" in run(net(2), *QUICK, "--kind", "velocity").stdout
    assert "8x9x10, 4 runs" in run(net(3, extents=(8, 9, 10)), *QUICK).stdout


def test_the_folder_holds_the_figures_and_a_picture(net, tmp_path):
    out = tmp_path / "out"
    table = run(net(), *QUICK, "--sizes", "16x16x16,8x8x8", "-o", out).stdout
    assert {path.name for path in out.iterdir()} == {"benchmark.json", "benchmark.svg"}
    assert "after 0.01 s idle" in table
    assert "p99" in table
    picture = ElementTree.fromstring((out / "benchmark.svg").read_text())
    assert len(picture.findall(".//{*}g")) == 2
    assert json.loads((out / "benchmark.json").read_text())["runs"] == 4


@pytest.mark.parametrize("sizes", ["16", "16x16", "axbxc", "0x1x2", "-1x2x3", "16x16x16x16", ""])
def test_sizes_that_are_none_are_a_wrong_command_line(net, sizes):
    run(net(), *QUICK, f"--sizes={sizes}", code=2)


def test_what_cannot_be_timed_says_why(net, tmp_path):
    assert "MMREG_E_BACKEND" in run(net(), "--device", "cuda:9", code=5).stderr
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"garbage")
    assert "MMREG_E_MODEL_LOAD" in run(broken, *QUICK, code=4).stderr
    run(tmp_path / "missing.onnx", *QUICK, code=3)


def test_a_bundle_says_itself_what_its_network_gives(net, tmp_path, monkeypatch):
    declared = SimpleNamespace(kind="velocity", factor=1, integration_steps=3)
    data, asked = net().read_bytes(), []
    manifest = SimpleNamespace(output=declared)
    bundle = SimpleNamespace(manifest=manifest, model_bytes=lambda name: asked.append(name) or data)
    module = ModuleType("mmreg_rt.bundle")
    module.open_bundle = lambda path: bundle  # noqa: ARG005
    monkeypatch.setitem(sys.modules, "mmreg_rt.bundle", module)
    (tmp_path / "brain.mmreg").touch()
    found = open_network(tmp_path / "brain.mmreg", "bf16", None)
    assert (found.data, found.output) == (data, Output("velocity", 1, 3))
    assert asked == ["bf16"]


def test_whole_registrations_are_timed_from_the_files_on(net, tmp_path):
    from test_registrar_bundle import bundle

    plain = net()
    path, scans = bundle(tmp_path), (tmp_path / "fixed.nii.gz", tmp_path / "moving.nii.gz")
    for scan, file in zip(scene.pair(), scans, strict=True):
        io.write(scan, file)
    words = (*QUICK, "--pair", *scans, "--align", "none")
    case = json.loads(run(path, *words, "--no-refine", "--json").stdout)["cases"][0]
    stages = ["read", "check", "align", "network", "deform", "finish"]
    assert list(case["stages_ms"]) == [*stages, "total"]
    assert case["stages_ms"]["total"]["p50"] >= case["stages_ms"]["network"]["p50"] > 0
    assert set(case["cold_start_ms"]) == {"load", "first registration"}
    assert "first registration" in run(path, *words).stdout
    run(plain, *words, code=2)


def test_figures_are_percentiles_in_ms():
    found = figures([i / 1e3 for i in range(101)])
    assert found == pytest.approx({"p50": 50, "p90": 90, "p99": 99, "max": 100})


class Still:
    """A session that gives what it was made with."""

    def __init__(self, output):
        self._output, self.calls = output, 0
        self.seconds = {"infer": 0.5}

    def infer(self, _):
        self.calls += 1
        return self._output


def test_warm_ups_and_idle_runs_are_not_among_the_samples():
    session = Still(np.zeros((1, 3, 4, 4, 4), np.float32))
    inputs = {"fixed": np.zeros((1, 1, 4, 4, 4), np.float32)}
    samples, after_idle = measure(session, inputs, Output("velocity"), runs=5, idle_s=0.001)
    assert {len(times) for times in samples.values()} == {5}
    assert samples["infer"] == [0.5] * 5
    assert (len(after_idle), session.calls) == (3, 3 + 5 + 3)
    assert not measure(session, inputs, Output(), runs=1, idle_s=0)[1]


@pytest.mark.parametrize(("shape", "channels"), [((8, 8, 8), 3), ((8, 8), 2)])
def test_what_is_timed_after_a_coarse_network_is_the_right_warp(monkeypatch, shape, channels):
    """A velocity of 2 voxels along the last axis everywhere moves the image by 2 voxels."""
    coarse = tuple(n // 2 for n in shape)
    velocity = np.zeros((1, channels, *coarse), np.float32)
    velocity[:, -1] = 2
    seen = []
    real = fields.warp
    monkeypatch.setattr(fields, "warp", lambda *given: seen.append(real(*given)) or seen[-1])
    moving = np.random.default_rng(0).random((1, 1, *shape), np.float32)
    measure(Still(velocity), {"moving": moving}, Output("velocity", factor=2), runs=1, idle_s=0)
    expected = np.zeros_like(moving)
    expected[..., :-2] = moving[..., 2:]
    np.testing.assert_allclose(seen[-1].reshape(shape), expected[0, 0], atol=1e-5)  # rounding of positions


def test_the_picture_stands_samples_that_are_all_equal():
    assert "1.00" in blocks([0.001] * 5)
    ElementTree.fromstring(svg([("a < b & c", [0.001] * 5)]))
