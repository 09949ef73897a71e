"""What nodes may be, and what comes out of them: against the ``onnx`` package and ONNX Runtime."""

import numpy as np
import pytest
from fixtures import onnx_bytes as ox
from fixtures import onnx_samples
from fixtures.onnx_samples import IMAGE, Moving, Sample, X, f32, i64

from mmreg_rt.errors import BundleError
from mmreg_rt.onnx_model import footprint as walk
from mmreg_rt.onnx_model.footprint import Bounds, rules
from mmreg_rt.onnx_model.schema import _kind
from mmreg_rt.onnx_model.validation import OPERATORS, check_model

onnx = pytest.importorskip("onnx", reason="onnx, with which the test networks are made, is not installed")
WIDE = Bounds(1 << 40, 1 << 50)
SHAPE = (1, 1, 4, 8, 4)
OPSETS = range(17, 24)
FAR, FARTHEST = 2**40, 2**63


def found_of(sample, monkeypatch):
    """What is worked out for the node of a sample."""
    seen, called = [], walk._called

    def watched(opset, node, values):
        made = called(opset, node, values)
        if node.name == "sampled":
            seen.extend(made[0])
        return made

    monkeypatch.setattr(walk, "_called", watched)
    check_model(onnx_samples.network(sample)).footprint(SHAPE, WIDE)
    return seen[: sample.outputs]


def test_every_operator_has_a_rule_and_a_sample():
    assert set(OPERATORS) == set(rules()) == {sample.op for sample in onnx_samples.samples()}


@pytest.mark.parametrize("name", OPERATORS)
def test_the_table_allows_nothing_that_the_standard_does_not(name):
    row = OPERATORS[name]
    for opset in OPSETS:
        if opset < row.since:
            continue
        schema = onnx.defs.get_schema(name, opset, "")
        low, high = row.arity(opset)
        assert schema.min_input <= low <= high <= schema.max_input
        assert schema.min_output <= row.outputs[0] <= row.outputs[1] <= schema.max_output
        current = {
            attribute: next((one for one in kinds if one.since <= opset < one.until), None)
            for attribute, kinds in row.attributes.items()
        }
        for attribute, kind in current.items():
            if kind is not None:
                assert schema.attributes[attribute].type.value == _kind(kind.kind)[0]
        needed = {name for name, attribute in schema.attributes.items() if attribute.required}
        assert needed == {name for name, kind in current.items() if kind is not None and kind.needed}


@pytest.mark.parametrize("sample", onnx_samples.samples(), ids=str)
def test_what_comes_out_is_what_onnx_runtime_gives(sample, monkeypatch):
    onnxruntime = pytest.importorskip("onnxruntime")
    model = onnx.load_from_string(onnx_samples.network(sample))
    names = [name for node in model.graph.node if node.name == "sampled" for name in node.output]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    images = np.random.default_rng(5).random((2, *SHAPE), np.float32)
    given = session.run(names, {"fixed": images[0], "moving": images[1]})
    for value, array in zip(found_of(sample, monkeypatch), given, strict=True):
        assert (value.shape, value.dtype) == (array.shape, str(array.dtype))
        if value.known is not None:
            np.testing.assert_allclose(value.known, array, rtol=1e-6)
        if value.within is not None:
            assert value.within[0] <= array.min()
            assert array.max() <= value.within[1]


# what libraries crash or hang on, or take memory for without end, of every kind that was met
WRONG = [
    Sample("ConvTranspose", [IMAGE, f32(4, 1, 3, 3)], {"group": 0}),
    Sample("Conv", [IMAGE], {}),
    Sample("Conv", [IMAGE, f32(3, 4, 3, 3)], {"group": -1}),
    Sample("Conv", [IMAGE, f32(3, 4, 3, 3)], {"strides": [0, 1]}),
    Sample("Conv", [IMAGE, f32(3, 4, 3, 3)], {"pads": [1, 1]}),
    Sample("Conv", [IMAGE, f32(3, 4, 3, 3)], {"dilations": [FAR, 1]}),
    Sample("Conv", [IMAGE, f32(3, 4, 3, 3)], {"dilations": [9, 1]}),
    Sample("Conv", [IMAGE, f32(3, 2, 3, 3)]),
    Sample("Conv", [IMAGE, f32(3, 4, 3, 3), f32(4)]),
    Sample("Conv", [IMAGE, np.zeros((0, 4, 3, 3), np.float32)]),
    Sample("Conv", [IMAGE, f32(3, 4, 3, 3)], {"auto_pad": "SAME"}),
    Sample("MaxPool", [IMAGE], {"kernel_shape": [2, 2], "pads": [2, 0, 0, 0]}),
    Sample("MaxPool", [IMAGE], {"kernel_shape": [0, 2]}),
    Sample("MaxPool", [IMAGE]),
    Sample("AveragePool", [IMAGE], {"kernel_shape": [2, 2], "strides": [0, 0]}),
    Sample("Attention", [Moving((1, 4, 8))] * 3, {"q_num_heads": 0, "kv_num_heads": 0}, 23),
    Sample("Attention", [Moving((1, 4, 8))] * 3, {"q_num_heads": 3, "kv_num_heads": 2}, 23),
    Sample("Attention", [Moving((1, 4, 8))] * 3, {}, 23),
    Sample("Gather", [X, i64(6)], {"axis": 1}),
    Sample("Gather", [X, i64(-FARTHEST)], {"axis": 1}),
    Sample("Gather", [X, i64(0)], {"axis": 3}),
    Sample("Gather", [X, Moving((2,), np.int64)]),
    Sample("GatherND", [X, i64(0, 0, FAR).reshape(1, 3)]),
    Sample("GatherND", [X, np.zeros((1, 4), np.int64)]),
    Sample("GatherND", [X, i64(0).reshape(1, 1)], {"batch_dims": 2}),
    Sample("GatherElements", [X, np.full((2, 4, 6), 4)], {"axis": 1}),
    Sample("ScatterND", [X, i64(0, 4).reshape(1, 2), f32(1, 6)]),
    Sample("ScatterElements", [X, np.full((2, 4, 6), -5), f32(2, 4, 6)], {"axis": 1}),
    Sample("Pad", [X, i64(0, 0, -FAR, 0, 0, -FAR)]),
    Sample("Pad", [X, i64(0, 0, FAR, 0, 0, 0)]),
    Sample("Pad", [X, i64(0, 0, 6, 0, 0, 0)], {"mode": "reflect"}),
    Sample("Pad", [X, i64(0, 0)]),
    Sample("Slice", [X, i64(FARTHEST - 1), i64(-FARTHEST), i64(2), i64(-FARTHEST)]),
    Sample("Slice", [X, i64(0), i64(1), i64(0), i64(0)]),
    Sample("Slice", [X, i64(0), i64(1), i64(7)]),
    Sample("Slice", [X, i64(0, 0), i64(1, 1), i64(1, -2)]),
    Sample("Slice", [X, Moving((1,), np.int64), i64(1)]),
    Sample("Reshape", [X, i64(-1, -1)]),
    Sample("Reshape", [X, i64(5, -1)]),
    Sample("Reshape", [X, i64(2**62, 2**62)]),
    Sample("Reshape", [X, Moving((2,), np.int64)]),
    Sample("Expand", [X, i64(FAR, 1, 1, 1)]),
    Sample("Tile", [X, i64(1, 0, 1)]),
    Sample("Tile", [X, i64(1, FAR, 1)]),
    Sample("ConstantOfShape", [i64(-1)]),
    Sample("ConstantOfShape", [i64(FAR, FAR)]),
    Sample("Range", [i64(0).reshape(()), i64(FARTHEST - 1).reshape(()), i64(1).reshape(())]),
    Sample("Range", [i64(0).reshape(()), i64(9).reshape(()), i64(0).reshape(())]),
    Sample("Resize", [IMAGE, None, np.float32([1, 1, np.inf, 1])]),
    Sample("Resize", [IMAGE, None, np.float32([1, 1, -2, 1])]),
    Sample("Resize", [IMAGE, None, np.float32([1, 1, 1e-9, 1])]),
    Sample("Resize", [IMAGE, None, None, i64(1, 4, 0, 8)]),
    Sample("Resize", [IMAGE]),
    Sample("Split", [X, i64(1, 1)], {"axis": 1}, outputs=2),
    Sample("Split", [X, i64(-1, 5)], {"axis": 1}, outputs=2),
    Sample("TopK", [X, i64(7)], outputs=2),
    Sample("TopK", [X, i64(-1)], outputs=2),
    Sample("Div", [Moving((4,), np.int64), i64(0)]),
    Sample("Mod", [Moving((4,), np.int64), Moving((4,), np.int64)]),
    Sample("Div", [Moving((4,), np.int64), i64(-1)]),
    Sample("BitShift", [Moving((3,), np.uint8), np.uint8([9])], {"direction": "LEFT"}),
    Sample("DepthToSpace", [IMAGE], {"blocksize": 0}),
    Sample("SpaceToDepth", [IMAGE], {"blocksize": 5}),
    Sample("DepthToSpace", [Moving((4, 4))], {"blocksize": 2}),
    Sample("GroupNormalization", [IMAGE, f32(4), f32(4)], {"num_groups": 3}, 21),
    Sample("InstanceNormalization", [IMAGE, f32(3), f32(4)]),
    Sample("BatchNormalization", [IMAGE] + [f32(4)] * 4, {"training_mode": 1}),
    Sample("LayerNormalization", [X, f32(5)]),
    Sample("LayerNormalization", [X, f32(6)], {"epsilon": -1.0}),
    Sample("LeakyRelu", [X], {"alpha": float("nan")}),
    Sample("Softmax", [X], {"axis": 3}),
    Sample("Transpose", [X], {"perm": [0, 1, 1]}),
    Sample("Transpose", [X], {"perm": [0, 1]}),
    Sample("Concat", [X, Moving((2, 4, 5))], {"axis": 1}),
    Sample("Concat", [X, X], {"axis": -4}),
    Sample("Unsqueeze", [X, i64(0, 0)]),
    Sample("Unsqueeze", [X, i64(*range(6))]),
    Sample("Squeeze", [X, i64(1)]),
    Sample("MatMul", [X, f32(5, 3)]),
    Sample("Gemm", [X, f32(6, 3)]),
    Sample("Einsum", [X, f32(6, 3)], {"equation": "bij,jk->bikz"}),
    Sample("Einsum", [X, f32(6, 3)], {"equation": "...j,jk->...k"}),
    Sample("GridSample", [IMAGE, f32(1, 5, 3, 3)]),
    Sample("GridSample", [IMAGE, f32(1, 5, 3, 2)], {"mode": "bilinear"}, 20),
    Sample("CumSum", [X, np.array(5)]),
    Sample("ReduceMax", [X, i64(3)]),
    Sample("ReduceMax", [X], {"axes": [0]}, 18),
    Sample("Cast", [X], {"to": 8}),
    Sample("Cast", [X]),
    Sample("Add", [X, i64(1)]),
    Sample("Add", [X, f32(5)]),
    Sample("Add", [X]),
    Sample("Add", [X, X, X]),
    Sample("Relu", [X], {"alpha": 1.0}),
    Sample("Identity", [X], outputs=2),
    Sample("Trilu", [Moving((3,))]),
    Sample("QuantizeLinear", [X, f32(3)], {"axis": 1}),
    Sample("DequantizeLinear", [Moving((2, 2), np.int8), Moving(())]),
    Sample("DequantizeLinear", [Moving((2, 2), np.int8), np.float32(np.inf)]),
    Sample("Mish", [X], {}, 17),
    Sample("RotaryEmbedding", [Moving((1, 2, 5, 4)), f32(9, 2), f32(9, 2), np.full((1, 5), 9)], {}, 23),
]


@pytest.mark.parametrize("sample", WRONG, ids=lambda sample: f"{sample}")
def test_a_node_that_no_library_may_see_is_refused_and_named(sample):
    with pytest.raises(BundleError, match=sample.op) as caught:
        check_model(onnx_samples.network(sample)).footprint(SHAPE, WIDE)
    assert caught.value.code == "MMREG_E_ONNX_NODE"


def test_memory_and_work_are_those_of_what_is_alive_and_multiplied():
    """Two images of 128 voxels are joined, and convolved to three with 3 x 2 weights."""
    found = check_model(ox.net()).footprint(SHAPE, WIDE)
    image, weights = 4 * 128, 4 * 6
    assert found.peak_bytes == weights + 2 * image + 3 * image  # the images themselves are gone by then
    assert found.work == 2 * 128 + 3 * 2 * 128
    assert found.outputs == {"output": (1, 3, 4, 8, 4)}


@pytest.mark.parametrize(
    ("sample", "code"),
    [
        (Sample("Expand", [Moving((1, 1)), i64(2**15, 2**15)]), "MMREG_E_ONNX_MEMORY"),
        (Sample("ConstantOfShape", [i64(500, 1000, 1000)]), "MMREG_E_ONNX_MEMORY"),
        (Sample("Tile", [X, i64(2**10, 2**10, 1)]), "MMREG_E_ONNX_MEMORY"),
        (Sample("Pad", [X, i64(0, 0, 2**30, 0, 0, 0)]), "MMREG_E_ONNX_MEMORY"),
        (Sample("Resize", [IMAGE, None, np.float32([1, 1, 1e4, 1e4])]), "MMREG_E_ONNX_MEMORY"),
        (Sample("MatMul", [Moving((2000, 2000)), f32(2000, 2000)]), "MMREG_E_ONNX_WORK"),
        (Sample("Conv", [Moving((1, 64, 128, 128)), f32(64, 64, 9, 9)]), "MMREG_E_ONNX_WORK"),
        (
            Sample("Einsum", [Moving((900, 9)), f32(900, 9), f32(900, 9)], {"equation": "ai,bi,ci->abc"}),
            "MMREG_E_ONNX",
        ),
    ],
    ids=str,
)
def test_what_takes_more_than_the_bounds_is_refused_without_taking_it(sample, code):
    with pytest.raises(BundleError) as caught:
        check_model(onnx_samples.network(sample)).footprint(SHAPE, Bounds(1 << 28, 1 << 30))
    assert caught.value.code.startswith(code)
