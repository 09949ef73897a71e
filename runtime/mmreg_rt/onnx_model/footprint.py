"""What a network takes at one size, worked out node by node before any library sees it.

Shapes and, where they are few and known, numbers go through the graph: sizes of an ``Expand``, places of a
``Gather``, axes of a ``Slice``. So what a graph asks for while it runs is known too, and every operand that a
library might not check is checked here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ..errors import BundleError
from . import rules_arithmetic as arithmetic
from . import rules_layers as layers
from . import rules_layout as layout
from .schema import ALIKE, OPERATORS, TYPES
from .values import Call, Node, Shape, Stored, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


KNOWN_BYTES = 64 << 20  # of all numbers that are worked out here


@dataclass(frozen=True)
class Bounds:
    """Limits of a network: memory of all arrays that are alive at once, and multiply-adds."""

    bytes: int
    work: int


@dataclass(frozen=True)
class Graph:
    """The nodes of a file in their order, its constants, and the names of inputs and outputs."""

    opset: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    constants: Mapping[str, Stored]


@dataclass(frozen=True)
class Footprint:
    """Memory and work of a network at one size.

    ``peak_bytes``: of all that is alive at once, at the worst node, without what libraries add. ``work``: in
    multiply-adds, about. ``outputs``: their shapes, by name.
    """

    peak_bytes: int
    work: int
    outputs: Mapping[str, Shape]


_GROUPS: dict[str, str] = {
    "elementwise": "Abs Add And Atan Ceil Celu Cos Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual "
    "HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log Mish Mul Neg Not Or Pow "
    "Reciprocal Relu Round Selu Sigmoid Sign Sin Softplus Softsign Sqrt Sub Tan Tanh ThresholdedRelu "
    "Where Xor",
    "along_axis": "LogSoftmax LpNormalization Softmax",
    "quotient": "Div Mod",
    "extremes": "Max Mean Min Sum",
    "clipped": "Clip",
    "shifted": "BitShift",
    "scaled_by_slope": "PRelu",
    "cast": "Cast CastLike",
    "reduced": "ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum "
    "ReduceSumSquare",
    "extreme_places": "ArgMax ArgMin",
    "largest": "TopK",
    "running_sum": "CumSum",
    "product": "MatMul",
    "gemm": "Gemm",
    "einsum": "Einsum",
    "constant": "Constant",
    "filled": "ConstantOfShape",
    "counted": "Range",
    "shape_of": "Shape",
    "size_of": "Size",
    "reshaped": "Reshape",
    "flattened": "Flatten",
    "squeezed": "Squeeze",
    "unsqueezed": "Unsqueeze",
    "transposed": "Transpose",
    "joined": "Concat",
    "split": "Split",
    "sliced": "Slice",
    "padded": "Pad",
    "repeated": "Tile",
    "stretched": "Expand",
    "gathered": "Gather",
    "gathered_elements": "GatherElements",
    "gathered_points": "GatherND",
    "scattered_elements": "ScatterElements",
    "scattered_points": "ScatterND",
    "triangle": "Trilu",
    "blocks": "DepthToSpace SpaceToDepth",
    "convolved": "Conv",
    "deconvolved": "ConvTranspose",
    "pooled": "AveragePool MaxPool",
    "pooled_whole": "GlobalAveragePool GlobalMaxPool",
    "normalised": "BatchNormalization InstanceNormalization",
    "normalised_groups": "GroupNormalization",
    "normalised_layer": "LayerNormalization RMSNormalization",
    "normalised_axes": "MeanVarianceNormalization",
    "resized": "Resize",
    "sampled": "GridSample",
    "attended": "Attention",
    "turned": "RotaryEmbedding",
    "quantised": "QuantizeLinear",
    "dequantised": "DequantizeLinear",
}


@lru_cache(maxsize=1)
def rules() -> Mapping[str, Callable[[Call], tuple[list[Value], int]]]:
    """For each operator the function that finds what comes out of it."""
    homes = arithmetic, layers, layout
    made: dict[str, Callable[[Call], tuple[list[Value], int]]] = {}
    for name, operators in _GROUPS.items():
        rule = next(getattr(home, name) for home in homes if hasattr(home, name))
        made |= dict.fromkeys(operators.split(), rule)
    return made


def footprint(graph: Graph, inputs: Mapping[str, Shape], bounds: Bounds) -> Footprint:
    """Return the memory and work of the graph for float32 inputs of these shapes.

    Raises:
        BundleError: A node does not fit what goes into it, or more is needed than ``bounds``.
    """
    values = {name: Value("float32", shape) for name, shape in inputs.items()}
    values |= {name: Value(c.dtype, c.shape, c.read) for name, c in graph.constants.items()}
    uses = Counter(name for node in graph.nodes for name in node.inputs)
    uses.update(graph.outputs)
    alive = sum(value.bytes for value in values.values())
    stored = sum(values[name].bytes for name in graph.constants)  # the size of the file bounds these already
    peak, work, known = alive, 0, 0
    _check_bytes(peak - stored, bounds)
    for node in graph.nodes:
        made, multiplied = _called(graph.opset, node, values)
        known = _forget(made, known)
        work += multiplied
        new = sum(value.bytes for value in made)
        peak = max(peak, alive + new)
        _check_bytes(peak - stored, bounds)
        _check_work(work, node, bounds)
        values |= dict(zip(node.outputs, made, strict=False))
        alive += sum(value.bytes for value in made[: len(node.outputs)])
        uses.subtract(node.inputs)
        alive -= _drop(values, uses, node)
    outputs = {name: values[name] for name in graph.outputs}
    _check_outputs(outputs)
    return Footprint(peak, work, {name: value.shape for name, value in outputs.items()})


def _forget(made: list[Value], known: int) -> int:
    """How many bytes of numbers are worked out here, now with those of ``made``: no more than a bound."""
    for value in made:
        known += value.held.nbytes if isinstance(value.held, np.ndarray) else 0
        if known > KNOWN_BYTES:
            value.held = None
    return known


def _drop(values: dict[str, Value], uses: Counter[str], node: Node) -> int:
    """Let go of what no later node takes; its bytes."""
    gone = {name for name in (*node.inputs, *node.outputs) if name in values and uses[name] <= 0}
    return sum(values.pop(name).bytes for name in gone)


def _called(opset: int, node: Node, values: Mapping[str, Value]) -> tuple[list[Value], int]:
    call = Call(node, opset, [values[name] if name else None for name in node.inputs])
    while call.inputs and call.inputs[-1] is None:
        call.inputs.pop()
    _check_operands(call)
    made, work = rules()[node.op](call)
    for value in made:
        # an empty list of axes or extents is one; arithmetic on nothing divides by nothing
        call.need(len(value.shape) <= layout.RANK, f"gives {len(value.shape)} axes")
        call.need(value.elements > 0 or len(value.shape) == 1, f"gives {value.shape}, which has no elements")
    return made, work


def _check_operands(call: Call) -> None:
    """Types that the operator takes, alike where they must be, and known where they must be."""
    row, alike = OPERATORS[call.node.op], dict[str, str]()
    for place, value in enumerate(call.inputs):
        if value is None:
            continue
        letter = row.type_of(place)
        call.need(value.dtype in TYPES[letter], f"takes {value.dtype} as input {place}")
        if letter in ALIKE:
            same = alike.setdefault(letter, value.dtype) == value.dtype
            call.need(same, f"takes {alike[letter]} and {value.dtype}, which must be one type")
        if row.must_be_known(place):
            call.need(value.held is not None, f"takes as input {place} what must be known beforehand")


def _check_outputs(outputs: Mapping[str, Value]) -> None:
    for name, value in outputs.items():
        if value.dtype != "float32":
            raise BundleError(
                "MMREG_E_ONNX_GRAPH",
                f"The ONNX file is no graph that can be run: its output {name[:80]!r} becomes {value.dtype}, "
                "not float32. Export it again.",
            )


def _check_bytes(found: int, bounds: Bounds) -> None:
    if found > bounds.bytes:
        raise BundleError(
            "MMREG_E_ONNX_MEMORY",
            f"The network needs {_gib(found)} at once here beside its weights; allowed are "
            f"{_gib(bounds.bytes)}. Take a smaller grid, or export a smaller network.",
        )


def _check_work(found: int, node: Node, bounds: Bounds) -> None:
    if found > bounds.work:
        raise BundleError(
            "MMREG_E_ONNX_WORK",
            f"The network needs more than {bounds.work:.1e} multiply-adds here, passed at node {node.op} "
            f"({node.name[:80]!r}). Take a smaller grid, or export a smaller network.",
        )


def _gib(bytes_: int) -> str:
    return f"{bytes_ / 2**30:.3g} GiB"
