"""The warp as a plugin of TensorRT: its classes in those of TensorRT for RTX, its work on the host."""

import gc
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fixtures import networks
from reference import warp as twin

from mmreg_rt import _native
from mmreg_rt.backends.tensorrt import aot_plugin, builder, python_plugin, warp_support
from mmreg_rt.backends.tensorrt.builder import Profile, build

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def trt():
    return pytest.importorskip(
        "tensorrt_rtx", reason="tensorrt-rtx, whose interfaces are used, is not installed"
    )


@pytest.fixture
def make(trt):
    """The plugin of a padding, as the parser asks for it."""

    def make(padding, target="cuda"):
        creator = python_plugin.creator(trt)
        creator.target = target
        fields = trt.PluginFieldCollection([trt.PluginField("padding", padding, trt.PluginFieldType.CHAR)])
        return creator.create_plugin("a warp", fields, trt.TensorRTPhase.BUILD)

    return make


def test_the_creator_is_found_by_what_the_node_says(trt):
    python_plugin.register(trt)
    python_plugin.register(trt, "cuda:1")
    found = trt.get_plugin_registry().get_creator("Warp", python_plugin.VERSION, "mmreg")
    assert (found.name, found.plugin_version, found.plugin_namespace) == ("Warp", "1", "mmreg")
    assert found.target == "cuda:1"
    assert python_plugin.ATTRIBUTES == {"plugin_namespace": "mmreg", "plugin_version": "1"}


@pytest.mark.parametrize("padding", ["zeros", "border"])
def test_an_engine_keeps_the_padding(make, padding):
    made = make(padding.encode() + b"\0")  # texts of files end with a zero
    kept = made.get_fields_to_serialize()
    gc.collect()  # a field is an address: what lies there must be the plugin's own
    assert make(kept[0].data).padding == padding
    for copy in (made.clone(), made.attach_to_context(None)):
        assert (copy.padding, copy.target, copy.plugin_name) == (padding, "cuda", "Warp")
    assert made.get_capability_interface(None) is made and made.num_outputs == 1


def test_a_padding_that_is_none_makes_no_plugin(make):
    assert make(b"mirror") is None and make(b"") is None


def test_float32_in_plain_order_is_taken_and_nothing_else(trt, make):
    def tensors(kind, form):
        return [SimpleNamespace(desc=SimpleNamespace(type=kind, format=form))] * 3

    plain, made = tensors(trt.DataType.FLOAT, trt.TensorFormat.LINEAR), make(b"zeros")
    assert all(made.supports_format_combination(position, plain, 2) for position in range(3))
    for odd in (
        tensors(trt.DataType.HALF, trt.TensorFormat.LINEAR),
        tensors(trt.DataType.FLOAT, trt.TensorFormat.CHW32),
    ):
        assert not made.supports_format_combination(0, odd, 2)


def test_the_result_has_the_channels_of_the_image_on_the_grid_of_the_displacement(trt):
    creator = python_plugin.creator(SimpleNamespace(**{**vars(trt), "DimsExprs": list}))
    fields = [SimpleNamespace(name="padding", data=b"zeros")]
    made = creator.create_plugin("a warp", fields, None)
    assert made.get_output_shapes([["n", "c", 4, 5, 6], ["n", 3, 7, 8, 9]], [], None) == [["n", "c", 7, 8, 9]]
    assert made.get_output_data_types(["float", "float"]) == ["float"]


@pytest.mark.parametrize("padding", ["zeros", "border"])
@pytest.mark.parametrize("shapes", [((2, 4, 5, 6, 7), (2, 3, 4, 5, 6)), ((1, 2, 9, 8), (1, 2, 9, 8))])
def test_its_work_agrees_with_the_twin(make, shapes, padding):
    if reason := _native.why_no_device("cuda_on_host"):
        pytest.skip(reason)
    rng, queue = np.random.default_rng(2), _native.DeviceQueue("cuda_on_host")
    image, u = rng.normal(0, 1, shapes[0]).astype("f4"), rng.uniform(-3, 3, shapes[1]).astype("f4")
    found = np.zeros((*image.shape[:2], *u.shape[2:]), np.float32)
    places = [queue.allocate(array.nbytes) for array in (image, u, found)]
    queue.upload(places[0], image)
    queue.upload(places[1], u)
    described = [SimpleNamespace(dims=shape, max=shape) for shape in (*shapes, found.shape)]
    made = make(padding.encode(), "cuda_on_host")
    size = made.get_workspace_size(described[:2], described[2:])
    assert size == (0 if image.ndim == 5 else 4 * 3 * 9 * 8)
    workspace = queue.allocate(size) if size else 0
    made.enqueue(described[:2], described[2:], places[:2], places[2:], workspace, queue.stream)
    assert python_plugin._queue("cuda_on_host", queue.stream).peak_bytes == 0  # for graphs
    queue.download(found.reshape(-1).view(np.uint8), places[2])
    border = {"zeros": "zero", "border": "extend"}[padding]
    for out, one, field in zip(found, image, u):
        one = one.reshape(len(one), *(1,) * (5 - image.ndim), *one.shape[1:])
        field = np.concatenate([np.zeros((3 - len(field), *field.shape[1:])), field])
        field = field.reshape(3, *(1,) * (5 - image.ndim), *u.shape[2:])
        # places of up to 12 voxels in float32, times differences of up to 6 between voxels
        np.testing.assert_allclose(out, twin.warp(one, field, "linear", border).reshape(out.shape), atol=2e-5)


def test_the_library_without_python_is_for_the_same_engines():
    source = (ROOT / "cpp_ext" / "plugins" / "tensorrt" / "warp_plugin.cpp").read_text()
    found = dict(re.findall(r'\*(kName|kVersion|kNamespace) = "([^"]+)"', source))
    assert found == {"kName": "Warp", "kVersion": python_plugin.VERSION, "kNamespace": "mmreg"}
    paddings = re.search(r"kPaddings\[\] = \{([^}]+)\}", source)[1]  # by number, as the kernel takes them
    assert tuple(re.findall(r'"(\w+)"', paddings)) == aot_plugin.PADDINGS
    header = (ROOT / "cpp_ext" / "plugins" / "tensorrt" / "warp_entries.h").read_text()
    blocks = re.search(r"kBlockColumns = (\d+), kBlockRows = (\d+)", header)
    assert (int(blocks[1]), int(blocks[2]), 1) == aot_plugin.BLOCK


class Stopped(Exception):
    """The parser was reached."""


@pytest.mark.usefixtures("trt")
def test_a_library_without_the_operation_is_given_our_node(monkeypatch):
    pytest.importorskip("onnx", reason="onnx, with which the test networks are made, is not installed")
    given = []

    def parsed(_trt, _builder, _logger, model):
        given.append(model)
        raise Stopped

    monkeypatch.setattr(builder, "_parsed", parsed)
    model = networks.warping_network((5, 6, 7))
    for way in ("python", "native"):
        monkeypatch.setattr(warp_support, "way", lambda *_, way=way: way)
        with pytest.raises(Stopped):
            build("tensorrt-rtx", model, "fp32", Profile.fixed((5, 6, 7)))
    assert given[1] == model
    assert b"plugin_namespace" in given[0] and b"GridSample" not in given[0]


@pytest.mark.usefixtures("trt")
def test_the_standards_words_are_an_engine_of_tensorrt_for_rtx():
    pytest.importorskip("onnx", reason="onnx, with which the test networks are made, is not installed")
    made = build("tensorrt-rtx", networks.warping_network((5, 6, 7)), "fp32", Profile.fixed((5, 6, 7)))
    assert made.plan and "[1,3,5,6,7]" in " ".join(made.engine_layers)
