"""Every method that can be exported becomes a TensorRT engine, in 2-D and 3-D, built here without a GPU."""

from importlib.util import find_spec

import pytest

torch = pytest.importorskip("torch", reason="export needs PyTorch")
for name in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(name)

from mmreg_export import precision  # noqa: E402
from mmreg_export.onnx import export_network, input_names  # noqa: E402
from mmreg_rt.backends.tensorrt.builder import Profile, build  # noqa: E402
from mmreg_train import methods  # noqa: E402

LDM_MORPH = {
    "autoencoder_width": 8,
    "autoencoder_blocks": 1,
    "codes": 16,
    "diffusion_width": 8,
    "diffusion_multipliers": [1, 2],
    "diffusion_blocks": 1,
    "head_channels": 8,
    "groups": 4,
    "width": 8,
    "depths": [2, 1],
    "heads": [2, 2],
    "cross_heads": 2,
    "window": 3,
}
LLM_MORPH = {
    "dims": 2,
    "encoder": [4, 4, 8, 8, 8],
    "adapters": [8, 4, 4, 4],
    "decoder": [8, 8, 8, 8, 8],
    "adapter_width": 8,
    "backbone_config": {
        "model_type": "llama",
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
}
# (name, settings, whether an engine of it takes a minute to build)
CASES = [
    ("attention_reg", {"pooled": [2, 4, 4]}, False),
    ("innreg", {"encoder": [8, 8], "decoder": [8, 8, 8], "blocks": 1, "width": 2, "kernel": 3}, False),
    ("llm_morph", {**LLM_MORPH, "backbone": "none", "cost_volumes": True}, True),
    ("llm_morph", {**LLM_MORPH, "backbone": "random"}, True),
    ("ldm_morph", LDM_MORPH, True),
    ("voxelmorph", {"dims": 2, "encoder": [8, 8], "decoder": [8, 8, 8]}, False),
    ("voxelmorph", {"dims": 3, "encoder": [8, 8], "decoder": [8, 8, 8]}, False),
    (
        "transmorph",
        {"width": 8, "depths": [1, 1, 1, 1], "heads": [2, 2, 2, 2], "window": [3, 3, 3]},
        True,
    ),
    ("masr", {"dims": 2}, False),
    ("masr", {"dims": 3}, True),
]


def test_no_method_is_left_out():
    exported_elsewhere = {"brain"}  # it describes one scan at a time, as MASR-Net does
    assert {name for name, *_ in CASES} | exported_elsewhere == set(methods.names())


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        pytest.param(name, settings, marks=[pytest.mark.long] if slow else [])
        for name, settings, slow in CASES
    ],
)
def test_an_engine_is_built_of_every_method(name, settings):
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")
    if settings.get("backbone") == "random" and not (find_spec("transformers") and find_spec("peft")):
        pytest.skip("layers of language models need the extra llm")
    torch.manual_seed(1)
    method = methods.create(name, **settings).eval()
    model = export_network(method)
    extents = (2 * method.multiple,) * method.dims if method.window is None else method.window.size
    for kind, data in (("fp32", model), ("fp16", precision.to_half(model))):
        made = build("tensorrt-rtx", data, kind, Profile.fixed(extents))
        assert sum(made.multiplying.values()) >= 3
        whole = " ".join(made.engine_layers)
        shape = ",".join(map(str, (1, 1, *extents)))
        assert all(f"Name: {port}," in whole for port in input_names(method)) and f"[{shape}]" in whole
