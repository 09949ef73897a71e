"""``mmreg benchmark``: every stage is there, the figures follow from the samples, the picture shows them."""

import json
import subprocess
import sys
import threading
import time
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner
from fixtures import networks, scene
from fixtures.bundle_parts import WIDE, bundle
from fixtures.smoothing import Smoothing

from mmreg_rt import Registrar, _native, backends, io
from mmreg_rt.bundle import open_bundle
from mmreg_rt.bundle.intended_use import check_intended_use
from mmreg_rt.cli import main
from mmreg_rt.cli.benchmark import contention
from mmreg_rt.cli.benchmark.cases import TimedCase, fitting_grid, planned, random_scan
from mmreg_rt.cli.benchmark.command import _figures, _machine
from mmreg_rt.cli.benchmark.contention import busy_processes, under_contention
from mmreg_rt.cli.benchmark.measure import Effort, figures, measure, series
from mmreg_rt.cli.benchmark.plot import blocks, histogram, svg
from mmreg_rt.cli.benchmark.table import table
from mmreg_rt.cli.svg import round_numbers
from mmreg_rt.plan import Plan

NETWORK_STAGES = ["set input", "infer", "read output"]
PLAN_STAGES = ["copy in", "preprocess", "network", "integrate and warp"]


@pytest.fixture
def backend():
    pytest.importorskip("onnx", reason="onnx, with which the test networks are made, is not installed")
    if all(backends.by_name(name).unavailable_reason("cpu") for name in backends.ON_CPU):
        pytest.skip("no backend is installed")


@pytest.fixture
def net(tmp_path, backend):  # noqa: ARG001
    """Writes a network as a file."""

    def net(dims=3, **settings):
        path = tmp_path / f"net{dims}.onnx"
        path.write_bytes(networks.network(dims, **settings))
        return path

    return net


@pytest.fixture
def field_bundle(tmp_path, backend):  # noqa: ARG001
    return lambda *args, **changes: bundle(tmp_path, *args, **changes)


def run(*words, code=0):
    done = CliRunner().invoke(main, ["benchmark", *map(str, words)])
    assert done.exit_code == code, done.output
    return done


QUICK = ("--runs", 4, "--idle", 0.01, "--threads", 1, "--no-contention")


def check_case(case, stages):
    assert list(case["stages_ms"]) == stages
    for values in (case["total_ms"], *case["stages_ms"].values()):
        assert 0 <= values["p50"] <= values["max"]
        assert values["p90"] is values["p99"] is None  # four runs say nothing about them
    assert case["runs"] == case["stage_runs"] == 4
    assert len(case["after_idle_ms"]) == 3
    assert case["pairs_per_s"] > 0


# ---- what is timed


@pytest.mark.parametrize("kind", ["velocity", "displacement"])
def test_a_bundle_that_gives_a_field_is_timed_as_it_is_planned(field_bundle, kind):
    done = run(field_bundle(3, kind), *QUICK, "--sizes", "16x16x16,12x16x10", "--json")
    found = json.loads(done.stdout)
    assert (found["format"], found["timed"]) == ("mmreg-benchmark/2", "plan")
    assert [case["size_voxels"] for case in found["cases"]] == [[16, 16, 16], [12, 16, 10]]
    for case in found["cases"]:
        check_case(case, PLAN_STAGES)
        assert set(case["cold_start_ms"]) == {"load", "plan", "first call"}
        assert case["ran"]["threads"] == "1"
        assert case["ran"]["bundle"] == "tiny 1.0"
        assert case["contention"] is None
    assert found["cases"][1]["network_size_voxels"] == [12, 16, 12]
    assert {"python", "numpy"} <= set(found["machine"]["versions"])


def test_a_network_without_a_field_is_timed_alone(net):
    for model in (net(), "masr"):
        found = json.loads(run(model, *QUICK, "--sizes", "16x16x16", "--json").stdout)
        assert found["timed"] == "network"
        check_case(found["cases"][0], NETWORK_STAGES)
        assert set(found["cases"][0]["cold_start_ms"]) == {"load", "first call"}


def test_2d_networks_and_those_of_a_fixed_shape_need_no_sizes(net, field_bundle):
    assert "256x256: 4 runs" in run(net(2), *QUICK).stdout
    assert "8x9x10: 4 runs" in run(net(3, extents=(8, 9, 10)), *QUICK).stdout
    assert "256x256 of 1 mm: 4 runs" in run(field_bundle(2), *QUICK).stdout


def test_whole_registrations_are_timed_from_the_files_on(net, field_bundle, tmp_path):
    path, scans = field_bundle(), (tmp_path / "fixed.nii.gz", tmp_path / "moving.nii.gz")
    for scan, file in zip(scene.pair(), scans, strict=True):
        io.write_image(scan, file)
    words = (*QUICK, "--pair", *scans, "--align", "none")
    case = json.loads(run(path, *words, "--no-refine", "--json").stdout)["cases"][0]
    check_case(case, ["read", "check", "align", "network", "deform", "finish"])
    assert case["total_ms"]["p50"] >= case["stages_ms"]["network"]["p50"] > 0
    assert "first call" in run(path, *words, "--runs", 1).stdout  # the last one given counts
    run(net(), *words, code=2)


class Planner:
    """A registrar on a device, with a network of our own operations in place of a library's."""

    def __init__(self, registrar, queue):
        self._network, self._queue = registrar._network, queue

    def plan(self, fixed, moving):
        network = Smoothing(self._network, self._queue)
        network.about = self._network.about
        return Plan(network, fixed, moving, SimpleNamespace(queue=self._queue, lock=threading.Lock()))


@pytest.mark.parametrize("device", ["cuda_on_host", "cuda"])
def test_a_plan_on_a_device_is_timed_with_its_copies(field_bundle, device):
    if reason := _native.why_no_device(device):
        pytest.skip(reason)
    path = field_bundle(3, "velocity")
    planner = Planner(Registrar(path), _native.DeviceQueue(device))
    case = planned(lambda: planner, open_bundle(path).manifest, (16, 14, 12))
    found = measure(case, Effort(3, 60.0, 0, True), device)
    assert list(found.stages) == [*PLAN_STAGES, "copy out"]
    assert case.ran["graphs"] == "1"
    assert case.facts["network_size_voxels"] == [16, 16, 12]
    assert found.contention.filters and len(found.contended) == len(found.whole) == 3
    name = _native.device_facts(device)["name"]
    assert _machine(device)["device"] == name
    shown = {"model": "tiny", "timed": "plan", "passed_over": {}, "idle_s": 0, "import_and_first_load_ms": 1}
    shown |= {"machine": _machine(device), "cases": [_figures(case, found)]}
    text = "\n".join(table(shown, [found]))
    assert name in text and "copy out" in text and "filters on the device" in text


def test_random_scans_lie_on_a_grid_that_the_bundle_is_meant_for(tmp_path):
    use = WIDE | {"spacing_mm": [0.5, 3.0], "field_of_view_mm": [80.0, 300.0]}
    manifest = open_bundle(bundle(tmp_path, intended_use=use)).manifest
    expected = {(112, 144, 112): 1.0, (32, 40, 36): 2.5, (500, 600, 400): 0.5}
    for size, spacing_mm in expected.items():
        grid = fitting_grid(manifest, size)
        assert grid.spacing_mm == pytest.approx((spacing_mm,) * 3)
        assert {finding.level for finding in check_intended_use(manifest, grid, grid)} == {"ok"}
    scans = [random_scan(fitting_grid(manifest, (8, 9, 10)), seed) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(scans[0], scans[1])
    assert np.ptp(scans[0]) > 0 and not np.array_equal(scans[0], scans[2])


# ---- what is refused


@pytest.mark.parametrize("sizes", ["16", "16x16", "axbxc", "0x1x2", "-1x2x3", "16x16x16x16", ""])
def test_sizes_that_are_none_are_a_wrong_command_line(net, field_bundle, sizes):
    run(net(), *QUICK, f"--sizes={sizes}", code=2)
    run(field_bundle(), *QUICK, f"--sizes={sizes}", code=2)


def test_what_cannot_be_timed_says_why(net, tmp_path):
    assert "MMREG_E_BACKEND" in run(net(), "--device", "cuda:9", code=5).stderr
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"garbage")
    assert "MMREG_E_ONNX_FIELD" in run(broken, *QUICK, code=4).stderr
    run(tmp_path / "missing.onnx", *QUICK, code=3)


def test_a_device_that_is_not_there_is_an_error_and_nothing_is_written(field_bundle, tmp_path):
    out = tmp_path / "out"
    path = field_bundle()
    before = {*tmp_path.iterdir()}
    assert "MMREG_E_DEVICE" in run(path, *QUICK, "--device", "cuda:9", "-o", out, code=5).stderr
    assert {*tmp_path.iterdir()} == before


# ---- how it is measured


def a_case(whole=lambda: None, stages=lambda: {"infer": 0.5}):
    return TimedCase((4, 4, 4), {}, {}, whole, stages)


def test_warm_ups_and_idle_runs_are_not_among_the_samples():
    calls = []
    found = measure(a_case(lambda: calls.append(0)), Effort(5, 60.0, 0.001, False), "cpu")
    assert len(found.whole) == 5
    assert found.stages == {"infer": [0.5] * 5}
    assert (len(found.after_idle), len(calls)) == (3, 3 + 5 + 3)
    assert found.contended == []
    assert measure(a_case(), Effort(1, 60.0, 0, False), "cpu").after_idle == []


def test_a_series_ends_with_its_runs_or_its_limit():
    assert series(lambda: 1, 7, 60.0) == [1] * 7
    assert series(lambda: 1, 7, 1e-9) == [1]
    slow = series(lambda: time.sleep(0.02), 1000, 0.1)
    assert 1 < len(slow) <= 6  # at least 20 ms each


def test_figures_are_percentiles_in_ms():
    found = figures([i / 1e3 for i in range(101)])
    assert found == pytest.approx({"p50": 50, "p90": 90, "p99": 99, "max": 100})


@pytest.mark.parametrize(
    ("runs", "told"), [(1, {"p50"}), (9, {"p50"}), (10, {"p50", "p90"}), (99, {"p50", "p90"})]
)
def test_a_percentile_that_so_few_runs_cannot_carry_is_not_told(runs, told):
    found = figures([0.001] * runs)
    assert {name for name, value in found.items() if value is not None} == told | {"max"}


# ---- beside others


def test_busy_processes_are_busy_and_then_gone():
    with busy_processes(2) as processes:
        assert len(processes) == 2
        assert [process.poll() for process in processes] == [None, None]
    assert [process.returncode for process in processes] == [0, 0]


def test_busy_processes_are_gone_after_an_exception():
    with pytest.raises(RuntimeError, match="in between"), busy_processes(2) as processes:
        raise RuntimeError("in between")
    assert [process.returncode for process in processes] == [0, 0]


def test_one_that_does_not_end_by_itself_is_ended(monkeypatch):
    monkeypatch.setattr(contention, "BUSY", "print(flush=True)\nwhile True: pass")
    monkeypatch.setattr(contention, "TIMEOUT_S", 0.1)
    with busy_processes(1) as processes:
        pass
    assert processes[0].returncode == -9


def test_busy_processes_do_not_outlive_a_parent_that_is_killed():
    code = (
        "import os, signal; from mmreg_rt.cli.benchmark import contention\n"
        "with contention.busy_processes(2) as found:\n"
        "    print(*(process.pid for process in found), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == -9
    left, until = [int(pid) for pid in done.stdout.split()], time.monotonic() + 20
    assert len(left) == 2
    while any(map(runs, left)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not any(map(runs, left))


def runs(pid):
    """Whether a process is there, and not only waiting to be asked how it ended."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_runs_under_contention_are_told_apart(field_bundle, tmp_path):
    words = ("--runs", 3, "--idle", 0, "--sizes", "16x16x16", "-o", tmp_path / "out")
    assert "contended: 3 runs beside" in run(field_bundle(), *words).stdout
    case = json.loads((tmp_path / "out" / "benchmark.json").read_text())["cases"][0]
    contention = case["contention"]
    assert (contention["runs"], contention["filters_on_device"]) == (3, False)
    assert contention["busy_processes"] >= 1
    assert 0 < contention["total_ms"]["p50"] <= contention["total_ms"]["max"]
    picture = ElementTree.fromstring((tmp_path / "out" / "benchmark.svg").read_text())
    assert len(picture.findall(".//{*}g")) == 2


@pytest.mark.parametrize("size", [(12, 10, 8), (12, 10)])
def test_filters_keep_a_device_busy(monkeypatch, size):
    if reason := _native.why_no_device("cuda_on_host"):
        pytest.skip(reason)
    real, seen = _native.gaussian, []

    def counted(volume, *args, **settings):
        seen.append(_native.device_view(volume)[1])
        return real(volume, *args, **settings)

    monkeypatch.setattr(_native, "gaussian", counted)
    with under_contention("cuda_on_host", size) as contention:
        assert contention.filters
        until = time.monotonic() + 20
        while len(seen) < 20 and time.monotonic() < until:
            time.sleep(0.01)
    many = len(seen)
    assert many >= 20
    assert set(seen) == {(1, *(1,) * (3 - len(size)), *size)}
    time.sleep(0.05)
    assert len(seen) == many  # it has ended


def test_filters_that_fail_are_told(monkeypatch):
    if reason := _native.why_no_device("cuda_on_host"):
        pytest.skip(reason)

    def broken(*_, **__):
        raise RuntimeError("the device is gone")

    monkeypatch.setattr(_native, "gaussian", broken)
    with pytest.raises(RuntimeError, match="is gone"), under_contention("cuda_on_host", (8, 8, 8)):
        pass


# ---- how it is shown


def test_the_folder_holds_the_figures_and_a_picture(net, tmp_path):
    out = tmp_path / "out"
    table = run(net(), *QUICK, "--sizes", "16x16x16,8x8x8", "-o", out).stdout
    assert {path.name for path in out.iterdir()} == {"benchmark.json", "benchmark.svg"}
    assert "after 0.01 s idle" in table
    assert "p99: needs at least 100 runs" in table
    picture = ElementTree.fromstring((out / "benchmark.svg").read_text())
    assert len(picture.findall(".//{*}g")) == 2
    assert json.loads((out / "benchmark.json").read_text())["runs_at_most"] == 4


def test_a_straggler_does_not_squeeze_the_others():
    samples = [0.001 + 1e-6 * i for i in range(999)] + [1.0]
    found = histogram(samples, 10)
    assert (found.counts.sum(), found.beyond) == (999, 1)
    assert found.edges[-1] < 4
    assert "1 beyond" in blocks(samples)
    assert "1 beyond" in svg("net", [("size", samples, [])])


def test_the_picture_stands_samples_that_are_all_equal():
    assert "1.00" in blocks([0.001] * 5)
    ElementTree.fromstring(svg("a < b & c", [("size", [0.001] * 5, [0.001])]))


def test_where_the_runs_alone_were_is_on_the_axis_of_those_beside_others():
    found = histogram([0.002, 0.003], 10, 1.0)
    assert found.edges[0] == 1.0
    assert "p50 alone" in svg("net", [("size", [0.001] * 3, [0.002, 0.003])])


@pytest.mark.parametrize(("low", "high"), [(0.9, 12.3), (4.0, 4.1), (133.0, 499.0), (1.0, 1.001)])
def test_ticks_are_round_and_a_handful(low, high):
    found = round_numbers(low, high)
    assert 3 <= len(found) <= 11
    assert low <= found[0] and found[-1] <= high
    steps = np.diff(found)
    mantissa = steps[0] / 10 ** np.floor(np.log10(steps[0]) + 1e-9)
    assert min(abs(mantissa - np.array([1, 2, 5, 10]))) < 1e-6
