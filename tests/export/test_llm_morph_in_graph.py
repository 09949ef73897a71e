"""LLM-Morph as one graph: warps between its scales, language layers without LoRA, in every precision."""

import os

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"

torch = pytest.importorskip("torch", reason="export needs PyTorch")
for package in ("onnx", "onnxscript", "onnxruntime", "transformers", "peft"):
    pytest.importorskip(package)

from mmreg_export import parity, precision  # noqa: E402
from mmreg_export.calibration import Pair, _noise  # noqa: E402
from mmreg_export.onnx import export_network  # noqa: E402
from mmreg_rt.backends import by_name  # noqa: E402
from mmreg_rt.onnx_model.validation import check_model  # noqa: E402
from mmreg_train import methods  # noqa: E402

SHAPE = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
SETTINGS = {
    "backbone_config": {"model_type": "llama", **SHAPE},
    "encoder": (4, 4, 8, 8, 8),
    "adapters": (8, 4, 4, 4),
    "decoder": (8, 8, 8, 8),
    "adapter_width": 8,
    "output": "velocity",
    "integration_steps": 2,
}


@pytest.fixture(scope="module")
def method():
    torch.manual_seed(3)
    made = methods.create("llm_morph", **SETTINGS)
    for name, weights in made.named_parameters():
        if "lora_B" in name or "head.weight" in name:
            weights.data.normal_(0, 0.2 if "head" in name else 0.05)
        if "widen.weight" in name:
            weights.data *= 3000  # activations of large language models; their squares are no half floats
    return made.eval()


@pytest.fixture(scope="module")
def model(method):
    return export_network(method)


def found(method, model, backend, kind):
    chosen = by_name(backend)
    if reason := chosen.unavailable_reason("cpu", kind):
        pytest.skip(f"{backend}: {reason}")
    session = chosen.load(model, precision=kind, threads=1, device="cpu")
    fixed, moving = (_noise((32, 64, 96), seed) for seed in (1, 2))
    try:
        return parity.compare(method, session, [Pair("noise", fixed, moving, (1.0, 1.0, 1.0))])
    finally:
        session.close()


def test_activations_are_as_large_as_the_test_wants_them(method):
    tokens = method.flow.tokens(torch.randn(2, 8, 2, 2, 2))
    assert 256 < tokens.abs().max() < 65_504


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_one_graph_gives_what_torch_gives(method, model, backend):
    operators = check_model(model).ops
    # three of features, and the squarings before them
    assert operators["GridSample"] == 3 * (1 + SETTINGS["integration_steps"])
    assert "ScatterND" not in operators
    result = found(method, model, backend, "fp32")
    assert result.displacement_mean > 2
    assert result.max < 0.02  # the limit of an export


def test_half_precision_keeps_root_mean_squares_in_float32(method, model):
    import onnx

    half = precision.to_half(model)
    graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(half)).graph
    types = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
    steps = [node for node in graph.node if node.op_type in ("Pow", "ReduceMean", "Sqrt", "Reciprocal")]
    assert len(steps) == 4 * 4  # two norms in each of two layers
    # ONNX Runtime has no such operations in half floats on a CPU: the numbers below would not show it
    assert {types[node.output[0]] for node in steps} == {onnx.TensorProto.FLOAT}
    assert onnx.TensorProto.FLOAT16 in {
        types[node.output[0]] for node in graph.node if node.op_type == "MatMul"
    }
    result = found(method, half, "onnxruntime", "fp16")
    # 11 bits through some 20 layers, and fields of many voxels
    assert result.mean < 0.05 * result.displacement_mean
