"""The benchmark of the backends: every contender is timed alike, and a wrong answer stops the run."""

import numpy as np
import pytest
from benchmarks.backends import measure as benchmark
from fixtures import networks

from mmreg_rt.backends import by_name


def test_rows_have_times_memory_and_ratios(tmp_path):
    pytest.importorskip("onnx", reason="onnx is not installed")
    able = [one for one in benchmark.CONTENDERS if by_name(one[0]).unavailable_reason("cpu", one[1]) is None]
    if benchmark.REFERENCE not in able:
        pytest.skip("onnxruntime is not installed")
    path = tmp_path / "net.onnx"
    path.write_bytes(networks.network(3))
    rows = benchmark.race(path, (16, 16, 16), able, threads=1, rounds=2)
    assert [(row["backend"], row["precision"]) for row in rows] == able
    for row in rows:
        assert row["rounds"] == 2
        assert row["peak_mib"] >= row["before_load_mib"] > 10
        assert row["times_onnxruntime"] == pytest.approx(rows[0]["median_s"] / row["median_s"])
        assert row["difference"] <= benchmark.ALLOWED[row["precision"]]
        assert benchmark.line(row)
    assert rows[0]["difference"] == 0


@pytest.mark.parametrize("wrong", [1.1, np.nan])
def test_a_wrong_answer_stops_the_run(tmp_path, wrong):
    path = tmp_path / "net.onnx"
    np.save(f"{path}.onnxruntime.fp32.npy", np.ones(5, np.float32))
    np.save(f"{path}.openvino.fp32.npy", np.full(5, wrong, np.float32))
    with pytest.raises(SystemExit, match="wrong"):
        benchmark.difference(path, ("openvino", "fp32"))


def test_the_network_keeps_the_extents_and_gives_a_vector():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    image = torch.zeros(1, 1, 16, 32, 16)
    with torch.no_grad():
        assert benchmark.unet()(image, image).shape == (1, 3, 16, 32, 16)
