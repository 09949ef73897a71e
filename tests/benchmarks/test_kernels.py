"""The kernel benchmark: what a row says follows from the times, and a wrong answer stops the run."""

import json
import sys

import numpy as np
import pytest
from benchmarks.harness.timer import COPY, COPY_BYTES, Timing, copy_bandwidth, race
from benchmarks.kernels import measure as kernels
from benchmarks.kernels import table as kernel_table
from benchmarks.kernels.case import CASES, Case, made


def timing(seconds):
    return Timing(seconds, 0.0, seconds, 3, "cpu")


def fake(error=0.0):
    return Case(
        run=lambda *_: np.zeros(10),
        voxels=1000,
        bytes=8000,
        check=lambda _: (error, 1e-3),
        libraries={"slow": lambda: lambda: None, "slower": lambda: lambda: None},
    )


def test_a_row_compares_with_the_copy_and_the_best_library():
    times = {
        COPY: timing(2 * COPY_BYTES / 1e9),
        "avx2": timing(1e-5),
        "slow": timing(5e-5),
        "slower": timing(1),
    }
    assert copy_bandwidth(times[COPY]) == pytest.approx(1e9)
    libraries, _ = made(fake())
    row = kernels.row("warp", fake(), libraries, "avx2", 1, times)
    assert row["ns_per_voxel"] == pytest.approx(10)
    assert row["fraction_of_copy"] == pytest.approx(0.8)  # 8000 bytes take 8 us at 1 GB/s
    assert (row["best_library"], row["times_best_library"]) == ("slow", pytest.approx(5))


def test_every_contender_is_timed_in_every_round():
    calls = []
    times = race({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, threads=2, rounds=3)
    assert calls == ["a", "b"] * 4  # once more to warm up
    assert times["a"].rounds == 3
    assert times[COPY].median_s > 0


def test_a_wrong_answer_stops_the_run():
    with pytest.raises(SystemExit, match="warp on baseline is wrong: error 0.1"):
        kernels.check("warp", fake(error=0.1), ["baseline"])
    with pytest.raises(SystemExit, match="is wrong"):
        kernels.check("warp", fake(error=float("nan")), ["baseline"])


def test_rows_are_found_and_run_on_a_small_grid():
    pytest.importorskip("scipy")
    kernels.load_cases()
    for name in ("max_displacement", "summary", "folding"):
        rows = kernels.measure(name, (9, 10, 40), [1], ["baseline"], rounds=1)
        assert rows[0]["operation"] == name
        assert json.dumps(rows)
        assert name in CASES


@pytest.fixture
def no_library(monkeypatch):
    """Nothing that the benchmarks can do without is installed."""
    for name in ("torch", "SimpleITK", "convexAdam", "convexAdam.convex_adam_utils", "ants", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None)


def cases():
    pytest.importorskip("scipy")
    kernels.load_cases()
    return CASES


@pytest.mark.usefixtures("no_library")
@pytest.mark.parametrize("name", cases())
def test_every_answer_is_checked_where_no_library_is_installed(name):
    case = CASES[name]((20, 22, 40))
    assert kernels.check(name, case, ["baseline"])
    libraries, missing = made(case)
    assert set(libraries) <= {"scipy", "numpy"}
    assert libraries.keys() | missing.keys() == case.libraries.keys()
    for library in libraries.values():
        library()
    assert all(why.startswith("not installed: ") for why in missing.values())


@pytest.mark.usefixtures("no_library")
def test_a_library_that_is_not_installed_is_a_row_that_says_so(capsys):
    name = "mind/r 1, d 2, 12 planar"
    ours, peer = kernels.measure(name, (12, 13, 40), [1], ["baseline"], rounds=1)
    assert (ours["contender"], ours["best_library"]) == ("baseline", None)
    assert (peer["operation"], peer["contender"]) == (name, "convexAdam")
    assert "convexAdam not installed: " in capsys.readouterr().out
    machine = {"shape": (12, 13, 40), "machine": {"cpu": "a CPU"}, "commit": "c", "date": "today"}
    section = kernel_table.section({"rows": [ours, peer], **machine})
    assert "Not installed there: convexAdam" in section
    assert f"| {name} |" in section
