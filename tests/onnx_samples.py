"""For every operator that is run, nodes that are right: what they take, their attributes, the operator set.

``samples()`` lists them; ``network`` makes a network of one, whose output is the difference of the images and
a number that the node leads to, so that no library can leave the node out.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

F32, I64, BOOL = np.float32, np.int64, np.bool_


@dataclass(frozen=True)
class Moving:
    """An operand that depends on the images."""

    shape: tuple
    dtype: Any = F32


@dataclass(frozen=True)
class Sample:
    """A node: an operand is ``Moving``, an array that is a constant, or None for one that is left out."""

    op: str
    operands: list
    attributes: dict = field(default_factory=dict)
    opset: int = 20
    outputs: int = 1

    def __str__(self):
        return f"{self.op}-{self.opset}-{len(self.operands)}-{'-'.join(self.attributes)}"


def i64(*values):
    return np.array(values, I64)


def f32(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0.1, 1, shape).astype(F32)


X, IMAGE, VOLUME = Moving((2, 4, 6)), Moving((1, 4, 6, 8)), Moving((1, 4, 6, 8, 4))
UNARY = [
    "Abs",
    "Atan",
    "Ceil",
    "Celu",
    "Cos",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "IsInf",
    "IsNaN",
    "LeakyRelu",
    "Log",
    "LogSoftmax",
    "LpNormalization",
    "Mish",
    "Neg",
    "Reciprocal",
    "Relu",
    "Round",
    "Selu",
    "Sigmoid",
    "Sign",
    "Sin",
    "Softmax",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Tan",
    "Tanh",
    "ThresholdedRelu",
    "ArgMax",
    "ArgMin",
    "Shape",
    "Size",
    "Transpose",
    "Flatten",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
]
BINARY = [
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Pow",
    "Max",
    "Min",
    "Mean",
    "Sum",
    "PRelu",
]


def samples():
    made = [Sample(op, [X]) for op in UNARY]
    made += [Sample(op, [X, f32(4, 1)]) for op in BINARY]
    made += [Sample(op, [Moving((2, 4), BOOL), np.ones((4,), BOOL)]) for op in ("And", "Or", "Xor")]
    made += [Sample("Not", [Moving((3,), BOOL)]), Sample("Mod", [X, f32(6)], {"fmod": 1})]
    made += [Sample("Mod", [Moving((4,), I64), i64(3)]), Sample("Div", [Moving((4,), I64), i64(2, 3, 4, 5)])]
    made += [Sample("BitShift", [Moving((3,), np.uint8), np.uint8([1, 2, 3])], {"direction": "LEFT"})]
    made += [Sample("Clip", [X, F32(0), F32(1)]), Sample("Clip", [X]), Sample("Clip", [X, None, F32(1)])]
    made += [Sample("Cast", [X], {"to": 7}), Sample("CastLike", [X, i64(1)])]
    made += [
        Sample("Max", [X, f32(4, 6), f32(6)]),
        Sample("Sum", [X, X, X]),
        Sample("Concat", [X, X], {"axis": -1}),
    ]
    made += [Sample("Where", [np.array([True, False] * 3), X, F32(0)])]
    made += [*_reductions(), *_products(), *_layers(), *_layout(), *_indices(), *_attention(), *_quantised()]
    return made


def _reductions():
    axes = {"axes": [0, -1], "keepdims": 0}
    return [
        Sample("ReduceMax", [X], axes, 17),
        Sample("ReduceMean", [X, i64(1)], {"keepdims": 0}, 18),
        Sample("ReduceSum", [X, i64()], {"noop_with_empty_axes": 1}),
        Sample("ReduceSumSquare", [X, i64(-1, 0)]),
        Sample("ArgMax", [X], {"axis": 2, "keepdims": 0}),
        Sample("TopK", [X, i64(2)], {"axis": 1}, outputs=2),
        Sample("CumSum", [X, np.array(1)], {"reverse": 1, "exclusive": 1}),
        Sample("MeanVarianceNormalization", [IMAGE]),
        Sample("Softmax", [X], {"axis": 0}),
        Sample("LpNormalization", [X], {"axis": 1, "p": 1}),
    ]


def _products():
    return [
        Sample("MatMul", [X, f32(6, 3)]),
        Sample("MatMul", [X, f32(6)]),
        Sample("MatMul", [Moving((3, 1, 2, 4)), f32(5, 4, 3)]),
        Sample("Gemm", [Moving((3, 4)), f32(4, 5), f32(5)], {"alpha": 0.5}),
        Sample("Gemm", [Moving((4, 3)), f32(5, 4)], {"transA": 1, "transB": 1}),
        Sample("Einsum", [X, f32(6, 3)], {"equation": "bij,jk->bik"}),
        Sample("Einsum", [X, f32(4)], {"equation": "bij, i"}),
    ]


def _layers():
    ones = f32(4)
    return [
        Sample("Conv", [IMAGE, f32(3, 4, 3, 3)]),
        Sample(
            "Conv", [VOLUME, f32(6, 4, 3, 1, 2), f32(6)], {"pads": [1, 0, 0, 1, 0, 1], "strides": [2, 1, 2]}
        ),
        Sample("Conv", [IMAGE, f32(4, 2, 3, 2)], {"group": 2, "dilations": [2, 1]}),
        Sample("Conv", [IMAGE, f32(3, 4, 3, 2)], {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
        Sample("ConvTranspose", [IMAGE, f32(4, 3, 3, 3)], {"strides": [2, 2], "output_padding": [1, 0]}),
        Sample("ConvTranspose", [VOLUME, f32(4, 2, 2, 2, 2), f32(4)], {"group": 2, "strides": [2, 2, 2]}),
        Sample("ConvTranspose", [IMAGE, f32(4, 3, 3, 3)], {"pads": [1, 1, 1, 1]}),
        Sample("AveragePool", [VOLUME], {"kernel_shape": [2, 2, 2], "strides": [2, 2, 2]}),
        Sample(
            "AveragePool", [IMAGE], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}
        ),
        Sample("MaxPool", [IMAGE], {"kernel_shape": [3, 2], "strides": [2, 3], "ceil_mode": 1}),
        Sample("MaxPool", [VOLUME], {"kernel_shape": [2, 2, 2], "dilations": [2, 1, 1]}),
        Sample("GlobalAveragePool", [VOLUME]),
        Sample("GlobalMaxPool", [IMAGE]),
        Sample("BatchNormalization", [IMAGE, ones, ones, ones, ones]),
        Sample("InstanceNormalization", [VOLUME, ones, ones]),
        Sample("GroupNormalization", [IMAGE, f32(4), f32(4)], {"num_groups": 2}, 21),
        Sample("GroupNormalization", [IMAGE, f32(2), f32(2)], {"num_groups": 2}, 18),
        Sample("LayerNormalization", [X, f32(6), f32(6)]),
        Sample("LayerNormalization", [X, f32(4, 6)], {"axis": 1}),
        Sample("RMSNormalization", [X, f32(6)], {"axis": -1}, 23),
        Sample("Resize", [IMAGE, None, F32([1, 1, 2, 1.5])], {"mode": "linear"}),
        Sample("Resize", [VOLUME, None, None, i64(1, 4, 12, 4, 4)], {"mode": "nearest"}),
        Sample("Resize", [IMAGE, None, None, i64(3, 4)], {"mode": "cubic", "axes": [2, 3], "antialias": 1}),
        Sample("GridSample", [IMAGE, f32(1, 5, 3, 2)], {"mode": "bilinear"}, 17),
        Sample("GridSample", [VOLUME, f32(1, 2, 5, 3, 3)], {"padding_mode": "border", "align_corners": 1}),
        Sample("GridSample", [IMAGE, f32(1, 5, 3, 2)], {"mode": "cubic"}),
        Sample("DepthToSpace", [IMAGE], {"blocksize": 2}),
        Sample("SpaceToDepth", [IMAGE], {"blocksize": 2}),
    ]


def _layout():
    far = np.iinfo(I64).max
    return [
        Sample("Constant", [], {"value": np.float32([1, 2])}),
        Sample("Constant", [], {"value_ints": [1, 2, 3]}),
        Sample("ConstantOfShape", [i64(2, 3)], {"value": np.float32([4])}),
        Sample("Range", [i64(1).reshape(()), i64(9).reshape(()), i64(3).reshape(())]),
        Sample("Shape", [X], {"start": 1, "end": -1}),
        Sample("Reshape", [X, i64(0, -1)]),
        Sample("Reshape", [X, i64(2, 2, 2, 6)], {"allowzero": 1}),
        Sample("Flatten", [X], {"axis": -1}),
        Sample("Squeeze", [Moving((1, 3, 1)), i64(-1)]),
        Sample("Squeeze", [Moving((1, 3, 1))]),
        Sample("Unsqueeze", [X, i64(0, -1)]),
        Sample("Transpose", [X], {"perm": [2, 0, 1]}),
        Sample("Split", [X, i64(1, 3)], {"axis": 1}, outputs=2),
        Sample("Split", [X], {"axis": 2, "num_outputs": 3}, outputs=3),
        Sample("Slice", [X, i64(1, -1), i64(far, 0), i64(1, 2), i64(2, -2)]),
        Sample("Slice", [X, i64(0), i64(-1)]),
        Sample("Pad", [X, i64(1, 0, 2, 0, 1, -1), F32(3)]),
        Sample("Pad", [IMAGE, i64(2, 2, 2, 2), None, i64(2, 3)], {"mode": "reflect"}),
        Sample("Pad", [X, i64(0, 0, 2, 0, 0, 2)], {"mode": "edge"}),
        Sample("Tile", [X, i64(1, 2, 3)]),
        Sample("Expand", [Moving((3, 1)), i64(2, 1, 4)]),
        Sample("Trilu", [X, np.array(1)], {"upper": 0}),
    ]


def _indices():
    points = i64(0, 1, 1, -1).reshape(2, 2)
    return [
        Sample("Gather", [X, i64(0, -1, 2)], {"axis": 1}),
        Sample("GatherElements", [X, np.zeros((2, 4, 3), I64)], {"axis": 2}),
        Sample("GatherND", [X, points]),
        Sample("GatherND", [X, i64(1, 3).reshape(2, 1)], {"batch_dims": 1}),
        Sample("ScatterElements", [X, np.zeros((2, 1, 6), I64), f32(2, 1, 6)], {"axis": 1}),
        Sample("ScatterND", [X, points, f32(2, 6)], {"reduction": "add"}),
    ]


def _attention():
    heads = {"q_num_heads": 2, "kv_num_heads": 2}
    return [
        Sample("Attention", [Moving((1, 5, 8)), f32(1, 3, 8), f32(1, 3, 4)], heads, 23),
        Sample("Attention", [Moving((1, 2, 5, 4)), f32(1, 2, 3, 4), f32(1, 2, 3, 4), f32(5, 3)], {}, 23),
        Sample("RotaryEmbedding", [Moving((1, 2, 5, 4)), f32(1, 5, 2), f32(1, 5, 2)], {}, 23),
    ]


def _quantised():
    whole = np.arange(-12, 12).astype(np.int8).reshape(4, 6)
    return [
        Sample("QuantizeLinear", [X, F32(0.1), np.uint8(3)]),
        Sample("QuantizeLinear", [X, f32(4), np.zeros(4, np.int8)], {"axis": 1}),
        Sample("DequantizeLinear", [whole, f32(6), np.zeros(6, np.int8)], {"axis": 1}),
        Sample("DequantizeLinear", [whole, F32(0.5)]),
    ]


def opset_of(sample):
    """Operator sets that came later than 20 where the operator needs one."""
    return max(
        sample.opset, {"RMSNormalization": 23, "Attention": 23, "RotaryEmbedding": 23}.get(sample.op, 0)
    )


def graph_nodes(sample):
    """The node and what makes its operands: nodes, constants, and the names that come out."""
    from onnx import helper, numpy_helper
    from onnx.helper import np_dtype_to_tensor_dtype

    nodes, constants, names = [], {}, []
    nodes.append(helper.make_node("Sub", ["fixed", "moving"], ["difference"]))
    nodes.append(helper.make_node("ReduceMean", ["difference"], ["number"], keepdims=0))
    for place, operand in enumerate(sample.operands):
        name = f"operand{place}" if operand is not None else ""
        names.append(name)
        if isinstance(operand, Moving):
            constants[f"base{place}"] = f32(*operand.shape, seed=place) + F32(0.5)
            whole = np.dtype(operand.dtype)
            moved = name if whole == F32 else f"float{place}"
            nodes.append(helper.make_node("Add", [f"base{place}", "number"], [moved]))
            if moved != name:
                to = np_dtype_to_tensor_dtype(whole)
                nodes.append(helper.make_node("Cast", [moved], [name], to=to))
        elif operand is not None:
            constants[name] = np.asarray(operand)
    given = {
        name: numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
        for name, value in sample.attributes.items()
    }
    out = [f"found{place}" for place in range(sample.outputs)]
    nodes.append(helper.make_node(sample.op, names, out, "sampled", **given))
    return nodes, constants, out


def network(sample):
    """Its bytes."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, out = graph_nodes(sample)
    free = ["d", "h", "w"]
    last = helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 3, *free])
    nodes.append(helper.make_node("Concat", ["difference"] * 3, ["three"], axis=1))
    total = "three"
    for place, name in enumerate(out):
        nodes.append(helper.make_node("Cast", [name], [f"real{place}"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("ReduceMax", [f"real{place}"], [f"max{place}"], keepdims=0))
        nodes.append(helper.make_node("Add", [total, f"max{place}"], [f"total{place}"]))
        total = f"total{place}"
    nodes.append(helper.make_node("Identity", [total], ["output"]))
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 1, *free]) for n in ("fixed", "moving")]
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "sample", ports, [last], stored)
    imported = [helper.make_opsetid("", opset_of(sample))]
    return helper.make_model(graph, opset_imports=imported, ir_version=10).SerializeToString()
