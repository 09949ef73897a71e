"""A method that warps between its stages: one graph with GridSample, as near to torch as one without."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="export needs PyTorch")
for name in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(name)

from mmreg_export import parity, precision  # noqa: E402
from mmreg_export.calibration import Pair, _noise  # noqa: E402
from mmreg_export.onnx import export_network  # noqa: E402
from mmreg_rt.backends import by_name  # noqa: E402
from mmreg_rt.backends.warp_nodes import with_warps  # noqa: E402
from mmreg_rt.onnx_model.validation import check_model  # noqa: E402
from mmreg_train.layers import warp  # noqa: E402
from mmreg_train.methods import Method  # noqa: E402
from mmreg_train.methods.voxelmorph import FlowNetwork  # noqa: E402


class Cascade(Method):
    """Two networks, the second of which sees the moving image as the first has warped it."""

    name = "cascade"
    output_kind = "displacement"
    multiple = 4

    def __init__(self, dims):
        super().__init__(dims)
        self.stages = torch.nn.ModuleList(FlowNetwork(dims, (8, 8), (8, 8, 8), False, 1) for _ in range(2))
        for stage in self.stages:
            torch.nn.init.normal_(stage.head.weight, 0, 0.1)  # fields of about a voxel

    def network(self):
        return self

    def forward(self, fixed, moving):
        first = self.stages[0](fixed, moving)
        second = self.stages[1](fixed, warp(moving, first))
        return second + warp(first, second, padding="border")


@pytest.fixture(scope="module", params=[2, 3])
def method(request):
    torch.manual_seed(6)
    return Cascade(request.param).eval()


@pytest.fixture(scope="module")
def model(method):
    return export_network(method)


def long_pair(method):
    shape = (1, 16, 640) if method.dims == 2 else (16, 16, 320)
    fixed, moving = (_noise(shape, seed) for seed in (1, 2))
    return Pair("long", fixed, moving, (1.0, 1.0, 1.0))


def found(method, model, backend, kind):
    chosen = by_name(backend)
    if reason := chosen.unavailable_reason("cpu", kind):
        pytest.skip(f"{backend}: {reason}")
    session = chosen.load(model, precision=kind, threads=1, device="cpu")
    try:
        return parity.compare(method, session, [long_pair(method)])
    finally:
        session.close()


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_one_graph_holds_the_warps_and_gives_what_torch_gives(method, model, backend):
    assert check_model(model).ops["GridSample"] == 2
    result = found(method, model, backend, "fp32")
    assert result.displacement_mean > 0.5
    assert result.max < 2e-3  # a tenth of the limit


def test_half_precision_keeps_the_places_of_warps_in_float32(method, model):
    result = found(method, precision.to_half(model), "onnxruntime", "fp16")
    # places in half floats would be off by up to a quarter of a voxel at the far end, and fields with them
    assert 0 < result.max < 0.01


@pytest.mark.parametrize("kind", ["bf16", "fp16"])
def test_lower_precisions_run_in_openvino_within_what_a_wrong_place_would_cost(method, model, kind):
    result = found(method, precision.to_half(model) if kind == "fp16" else model, "openvino", kind)
    assert 0 < result.mean < 0.1  # the limit of an export


def output(method, model, precision="fp32"):
    """What ONNX Runtime gives, and what it says of its warps."""
    session = by_name("onnxruntime").load(model, precision=precision, threads=2, device="cpu")
    (inputs,) = parity.network_inputs(method, long_pair(method))
    try:
        return session.infer(inputs).copy(), session.runtime_info.get("warp")
    finally:
        session.close()


def test_warps_are_known_in_every_precision(method, model):
    (inputs,) = parity.network_inputs(method, long_pair(method))
    files = {
        "fp32": model,
        "fp32 ": precision.store_half(model),
        "fp16": precision.to_half(model),
        "int8": precision.quantise(model, [inputs]),
    }
    for kind, data in files.items():
        assert with_warps(data, {})[1] == 2, kind
        assert output(method, data, kind.strip())[1] == "mmreg x 2"
        assert b"mmreg.warp" in data and set(check_model(data).ops) >= {"GridSample"}


def test_our_warp_gives_what_the_standards_words_give(method, model):
    ours, _ = output(method, model)
    plain, ran = output(method, model.replace(b"mmreg.warp", b"other.warp"))
    assert ran is None
    # places of up to 640 voxels in float32, times differences of up to some voxels between neighbours
    np.testing.assert_allclose(plain, ours, atol=5e-4)


def test_sampling_that_is_no_warp_of_ours_has_no_name_of_ours():
    class Sampled(Method):
        name, output_kind, multiple = "sampled", "displacement", 4

        def network(self):
            return self

        def forward(self, fixed, moving):
            grid = (fixed.transpose(1, -1) * 0.1 + moving.transpose(1, -1)).expand(-1, -1, -1, 2)
            return torch.nn.functional.grid_sample(moving, grid, align_corners=False).expand(-1, 2, -1, -1)

    data = export_network(Sampled(2))
    assert check_model(data).ops["GridSample"] == 1
    assert b"mmreg.warp" not in data
