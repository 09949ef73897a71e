"""Warps in a network as our own nodes: found where they are written as the export does, and only there."""

import numpy as np
import pytest
from fixtures import networks
from reference import warp as twin

from mmreg_rt.backends import by_name
from mmreg_rt.backends.warp_nodes import with_warps
from mmreg_rt.errors import BundleError, InputError
from mmreg_rt.onnx_model.validation import check_model

onnx = pytest.importorskip("onnx", reason="onnx, with which the test networks are made, is not installed")
EXTENTS = [(5, 6, 7), (1, 4, 9), (6, 7)]


def operators(model):
    return [(node.domain, node.op_type) for node in onnx.load_from_string(model).graph.node]


def images(extents, seed=5):
    rng = np.random.default_rng(seed)
    shape = (1, len(extents), *extents)
    return {
        "fixed": rng.uniform(-3, 3, shape).astype(np.float32),
        "moving": rng.normal(0, 1, shape).astype(np.float32),
    }


def run(model, inputs, threads=1):
    session = by_name("onnxruntime").load(model, precision="fp32", threads=threads, device="cpu")
    try:
        return session.infer(inputs).copy(), session.runtime_info.get("warp")
    finally:
        session.close()


def test_a_warp_becomes_one_node_and_its_grid_is_left_out():
    model = networks.warping_network((5, 6, 7), "border")
    made, count = with_warps(model, {"threads": 3})
    assert count == 1 and operators(made) == [("mmreg", "Warp")]
    (node,) = onnx.load_from_string(made).graph.node
    assert list(node.input) == ["moving", "fixed"] and list(node.output) == ["output"]
    found = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    assert found == {"padding": b"border", "threads": 3}
    assert [(one.domain, one.version) for one in onnx.load_from_string(made).opset_import][-1] == ("mmreg", 1)
    assert check_model(model).ops["GridSample"] == 1  # the file itself is of the standard
    with pytest.raises(BundleError, match="MMREG_E_ONNX_DOMAIN"):
        check_model(made)  # and one that comes with such nodes is refused


def test_the_rest_of_a_network_stays_to_the_byte():
    model = onnx.load_from_string(networks.warping_network((5, 6, 7)))
    model.graph.node.append(onnx.helper.make_node("Neg", ["moving"], ["other"], "other"))
    model.graph.output.append(onnx.helper.make_tensor_value_info("other", 1, [1, 3, 5, 6, 7]))
    made = onnx.load_from_string(with_warps(model.SerializeToString(), {})[0])
    assert made.graph.node[-1] == model.graph.node[-1] and len(made.graph.node) == 2
    for field in ("initializer", "input", "output", "name"):
        assert getattr(made.graph, field) == getattr(model.graph, field)
    assert made.ir_version == model.ir_version


@pytest.mark.parametrize("padding", ["zeros", "border"])
@pytest.mark.parametrize("extents", EXTENTS)
def test_our_node_gives_what_the_standards_words_give(extents, padding):
    if reason := by_name("onnxruntime").unavailable_reason("cpu"):
        pytest.skip(f"onnxruntime: {reason}")
    inputs = images(extents)
    ours, ran = run(networks.warping_network(extents, padding), inputs, threads=2)
    plain, ran_plain = run(networks.warping_network(extents, padding, name="warp"), inputs)
    assert (ran, ran_plain) == ("mmreg x 1", None)
    volume = {
        name: image[0].reshape(-1, *(1,) * (3 - len(extents)), *extents) for name, image in inputs.items()
    }
    u = np.concatenate([np.zeros((3 - len(extents), *volume["fixed"].shape[1:])), volume["fixed"]])
    exact = twin.warp(volume["moving"], u, "linear", {"zeros": "zero", "border": "extend"}[padding])
    # places of up to 12 voxels in float32, and for the standard's words divided and multiplied again
    np.testing.assert_allclose(ours.reshape(exact.shape), exact, atol=2e-5)
    np.testing.assert_allclose(plain, ours, atol=3e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "warp"},
        {"mode": "nearest"},
        {"mode": "cubic"},
        {"padding": "reflection"},
        {"align_corners": 1},
        {"grid": ("Gather", "Mul", "Sub", "Transpose")},
        {"grid": ("Gather", "Neg", "Mul", "Add", "Transpose")},
        {"grid": ("Mul", "Add", "Transpose")},  # back to an input, where a node is expected
    ],
)
def test_what_is_written_otherwise_stays_what_it_is(changes):
    model = networks.warping_network((5, 6, 7), **changes)
    assert with_warps(model, {"threads": 1}) == (model, 0)


@pytest.mark.parametrize("change", ["domain", "no input", "outputs", "op of another domain"])
def test_odd_nodes_stay_what_they_are(change):
    model = onnx.load_from_string(networks.warping_network((5, 6, 7)))
    sample, last = model.graph.node[-1], model.graph.node[-2]
    if change == "domain":
        sample.domain = "elsewhere"
    elif change == "no input":
        del sample.input[1]
    elif change == "outputs":
        sample.output.append("more")
    else:
        last.domain = "elsewhere"
    data = model.SerializeToString()
    assert with_warps(data, {}) == (data, 0)


def test_the_word_elsewhere_in_a_file_changes_nothing():
    model = onnx.load_from_string(networks.network(3))
    model.graph.node[0].name = "mmreg.warp"
    data = model.SerializeToString()
    assert with_warps(data, {}) == (data, 0)


def test_a_damaged_file_is_an_error_at_any_length():
    model = networks.warping_network((5, 6))
    begins = model.index(b"mmreg.warp")  # what is cut before that has no such word
    for length in range(begins + 10, len(model) - 12, 7):  # up to the end of the graph
        with pytest.raises(BundleError, match="MMREG_E_ONNX_"):
            with_warps(model[:length], {})
    if by_name("onnxruntime").unavailable_reason("cpu") is None:
        with pytest.raises(InputError, match="MMREG_E_MODEL_LOAD"):
            by_name("onnxruntime").load(model[:-9], precision="fp32", threads=1, device="cpu")


def test_a_name_on_another_type_is_refused_when_it_is_loaded():
    if reason := by_name("onnxruntime").unavailable_reason("cpu"):
        pytest.skip(f"onnxruntime: {reason}")
    model = onnx.load_from_string(networks.warping_network((5, 6)))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    for tensor in model.graph.initializer[1:]:
        tensor.CopyFrom(
            onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor).astype(float), tensor.name)
        )
    with pytest.raises(InputError, match="MMREG_E_MODEL_LOAD"):
        by_name("onnxruntime").load(model.SerializeToString(), precision="fp32", threads=1, device="cpu")


def test_a_library_without_the_node_is_an_error(monkeypatch, tmp_path):
    if reason := by_name("onnxruntime").unavailable_reason("cpu"):
        pytest.skip(f"onnxruntime: {reason}")
    from mmreg_rt.backends import onnxruntime

    monkeypatch.setattr(onnxruntime, "_warp_library", lambda: str(tmp_path / "none.so"))
    with pytest.raises(InputError, match="MMREG_E_MODEL_LOAD"):
        run(networks.warping_network((5, 6)), images((5, 6)))
