"""The kernel benchmark: what a row says follows from the times, and a wrong answer stops the run."""

import json

import kernels
import numpy as np
import pytest
from kernel_case import CASES, Case
from timer import COPY, COPY_BYTES, Timing, copy_bandwidth, race


def timing(seconds):
    return Timing(seconds, 0.0, seconds, 3, "cpu")


def fake(error=0.0):
    return Case(
        run=lambda *_: np.zeros(10),
        voxels=1000,
        bytes=8000,
        check=lambda _: (error, 1e-3),
        libraries={"slow": lambda: None, "slower": lambda: None},
    )


def test_a_row_compares_with_the_copy_and_the_best_library():
    times = {
        COPY: timing(2 * COPY_BYTES / 1e9),
        "avx2": timing(1e-5),
        "slow": timing(5e-5),
        "slower": timing(1),
    }
    assert copy_bandwidth(times[COPY]) == pytest.approx(1e9)
    row = kernels.row("warp", fake(), "avx2", 1, times)
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
    for name in ("reach", "summary", "folding"):
        rows = kernels.measure(name, (9, 10, 40), [1], ["baseline"], rounds=1)
        assert rows[0]["operation"] == name
        assert json.dumps(rows)
        assert name in CASES
