"""Two networks for rigid motions in one bundle: alike on every backend, no map of all pairs of cells."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="export needs PyTorch")
for name in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(name)

import onnx  # noqa: E402

from mmreg_export import pack, parity  # noqa: E402
from mmreg_export.calibration import generated_pairs  # noqa: E402
from mmreg_export.load_checkpoint import read_stages  # noqa: E402
from mmreg_export.onnx import export_network  # noqa: E402
from mmreg_rt import Grid, Registrar, Volume  # noqa: E402
from mmreg_rt.backends import by_name  # noqa: E402
from mmreg_rt.errors import InputError  # noqa: E402
from mmreg_rt.onnx_model.validation import check_model  # noqa: E402
from mmreg_rt.preprocess import PreprocessSpec  # noqa: E402
from mmreg_train import methods  # noqa: E402

SPEC = PreprocessSpec(multiple=4, intensity="minmax")


def method(seed, **settings):
    """Small attention, and a head that moves by millimetres."""
    torch.manual_seed(seed)
    made = methods.create("attention_reg", pooled=(2, 4, 4), **settings).eval()
    made.net.head[-1].weight.data *= 30
    made.net.head[-1].bias.data.normal_(0, 2)
    return made


def largest_tensor(model):
    read = onnx.shape_inference.infer_shapes(onnx.load_from_string(model))
    sizes = [[d.dim_value for d in v.type.tensor_type.shape.dim] for v in read.graph.value_info]
    assert all(min(size) > 0 for size in sizes if size)
    return max(int(np.prod(size)) for size in sizes)


def test_no_tensor_of_the_published_network_is_the_whole_attention_map():
    model = export_network(methods.create("attention_reg"))
    facts = check_model(model)
    assert facts.opset == 20
    assert [value.dims for value in facts.inputs] == [(1, 1, 32, 96, 96)] * 2
    assert facts.outputs[0].dims == (1, 6)
    features = 32 * 32 * 96 * 96  # of the first convolution
    assert largest_tensor(model) == max(features, 9216 * 9216 // 9)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    request = pack.Request(method(1), SPEC, pack.Identity("two"), "# card", threads=1, later=[method(2)])
    return pack.pack(request, tmp_path_factory.mktemp("rigid") / "two.mmreg", lambda _: None)


def test_every_backend_gives_what_torch_gives(bundle):
    figures = bundle.manifest.parity
    for name in ("onnxruntime", "openvino"):
        if by_name(name).unavailable_reason("cpu", "fp32") is not None:
            continue
        for stage in (name, f"{name}_stage2"):
            assert figures[stage]["fp32"]["displacement_mean"] > 1  # mm, at the corners of the window
            assert figures[stage]["fp32"]["max"] < 0.02  # mm
    assert bundle.golden().output.shape == (2, 6)


def test_the_bundle_registers(bundle):
    rng = np.random.default_rng(0)
    fixed, moving = (
        Volume(
            np.repeat(rng.random((8, 8, 8)), 8, 0).astype(np.float32),
            Grid((64, 8, 8), np.eye(4)),
        )
        for _ in range(2)
    )
    found = Registrar(bundle.path, backend="onnxruntime", threads=1).register(fixed, moving)
    assert found.settings["rigid"]["stages_run"] == 2
    assert np.abs(found.rigid.matrix - np.eye(4)).max() > 0.1


@pytest.mark.parametrize("refine", [True, False])
def test_whether_to_refine_a_field_is_not_said_of_a_rigid_transform(refine, tmp_path):
    request = pack.Request(method(1), SPEC, pack.Identity("x", refine=refine), "# card")
    with pytest.raises(InputError, match="rigid.*--no-refine"):
        pack.pack(request, tmp_path / "x.mmreg", lambda _: None)
    assert not list(tmp_path.iterdir())


def test_distances_are_of_corners_in_mm():
    made, pair = method(3), generated_pairs(3, 4, 1, method(3).window)[0]
    moved = parity.output_in_mm(made, np.float32([[3, 0, 4, 0, 0, 0]]), pair)
    np.testing.assert_allclose(np.sqrt((moved**2).sum(0)), 5)


def test_networks_that_do_not_go_together_are_refused(tmp_path):
    from mmreg_train.engine.checkpoint import write_checkpoint

    paths = []
    for number, spacing in enumerate(([3.0, 1.0, 1.0], [2.0, 1.0, 1.0])):
        made = methods.create("attention_reg", spacing_mm=spacing)
        facts = {"step": 1, "phase": "registration", "method": made.name, "settings": made.settings}
        facts["preprocess"] = SPEC.as_dict()
        paths.append(tmp_path / f"{number}.safetensors")
        write_checkpoint(paths[-1], made, torch.optim.Adam(made.parameters()), facts)
    assert len(read_stages(paths[:1])) == 1
    with pytest.raises(InputError, match="one window"):
        read_stages(paths)
