"""Memory and work of a network at one size, computed node by node before any library sees it.

Shapes and, where few and known, numbers are propagated through the graph: sizes of an ``Expand``, indices of
a ``Gather``, axes of a ``Slice``. So dynamic requests of a graph are known too, and every operand that a
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


KNOWN_BYTES = 64 << 20  # of all numbers that are computed here


@dataclass(frozen=True)
class Bounds:
    """Limits of a network: memory that is alive at once, and multiply-adds."""

    bytes: int
    work: int


@dataclass(frozen=True)
class Graph:
    """The nodes of a file in order, its constants, and the names of inputs and outputs."""

    opset: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    constants: Mapping[str, Stored]


@dataclass(frozen=True)
class Footprint:
    """Memory and work of a network at one size.

    Attributes:
        peak_bytes: Most memory alive at once, without what libraries add.
        work: Approximate number of multiply-adds.
        outputs: Shapes of the outputs, by name.
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
    """Return the rule of each operator: a function from a call to its outputs and its work."""
    modules = arithmetic, layers, layout
    by_operator: dict[str, Callable[[Call], tuple[list[Value], int]]] = {}
    for name, operators in _GROUPS.items():
        rule = next(getattr(module, name) for module in modules if hasattr(module, name))
        by_operator |= dict.fromkeys(operators.split(), rule)
    return by_operator


def footprint(graph: Graph, inputs: Mapping[str, Shape], bounds: Bounds) -> Footprint:
    """Compute memory and work of a graph.

    Args:
        graph: The graph.
        inputs: Shapes of its float32 inputs, by name.
        bounds: Limits.

    Raises:
        BundleError: A node does not fit its inputs, or the graph exceeds ``bounds``.
    """
    values = {name: Value("float32", shape) for name, shape in inputs.items()}
    values |= {name: Value(c.dtype, c.shape, c.read) for name, c in graph.constants.items()}
    uses = Counter(name for node in graph.nodes for name in node.inputs)
    uses.update(graph.outputs)
    alive = sum(value.bytes for value in values.values())
    stored = sum(values[name].bytes for name in graph.constants)  # bounded by the size of the file
    peak, work, known = alive, 0, 0
    _check_bytes(peak - stored, bounds)
    for node in graph.nodes:
        results, added_work = _called(graph.opset, node, values)
        known = _forget(results, known)
        work += added_work
        new = sum(value.bytes for value in results)
        peak = max(peak, alive + new)
        _check_bytes(peak - stored, bounds)
        _check_work(work, node, bounds)
        values |= dict(zip(node.outputs, results, strict=False))
        alive += sum(value.bytes for value in results[: len(node.outputs)])
        uses.subtract(node.inputs)
        alive -= _drop(values, uses, node)
    outputs = {name: values[name] for name in graph.outputs}
    _check_outputs(outputs)
    return Footprint(peak, work, {name: value.shape for name, value in outputs.items()})


def _forget(results: list[Value], known: int) -> int:
    """Return the bytes of all known numbers with those of ``results``, which are dropped above a limit."""
    for value in results:
        known += value.content.nbytes if isinstance(value.content, np.ndarray) else 0
        if known > KNOWN_BYTES:
            value.content = None
    return known


def _drop(values: dict[str, Value], uses: Counter[str], node: Node) -> int:
    """Drop the values that no later node uses, and return their bytes."""
    gone = {name for name in (*node.inputs, *node.outputs) if name in values and uses[name] <= 0}
    return sum(values.pop(name).bytes for name in gone)


def _called(opset: int, node: Node, values: Mapping[str, Value]) -> tuple[list[Value], int]:
    call = Call(node, opset, [values[name] if name else None for name in node.inputs])
    while call.inputs and call.inputs[-1] is None:
        call.inputs.pop()
    _check_operands(call)
    results, work = rules()[node.op](call)
    for value in results:
        # an empty list of axes or extents is allowed; other empty values would divide by zero
        call.need(len(value.shape) <= layout.RANK, f"gives {len(value.shape)} axes")
        call.need(value.elements > 0 or len(value.shape) == 1, f"gives {value.shape}, which has no elements")
    return results, work


def _check_operands(call: Call) -> None:
    """Raise unless the operands have allowed types, equal where required, and are known where required."""
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
            call.need(value.content is not None, f"has an input {place} that must be known beforehand")


def _check_outputs(outputs: Mapping[str, Value]) -> None:
    for name, value in outputs.items():
        if value.dtype != "float32":
            raise BundleError(
                "MMREG_E_ONNX_GRAPH",
                f"The ONNX file is not a valid graph: its output {name[:80]!r} becomes {value.dtype}, not "
                "float32. Export it again.",
            )


def _check_bytes(needed: int, bounds: Bounds) -> None:
    if needed > bounds.bytes:
        raise BundleError(
            "MMREG_E_ONNX_MEMORY",
            f"The network needs {_gib(needed)} at once here in addition to its weights; the limit is "
            f"{_gib(bounds.bytes)}. Use a smaller grid, or export a smaller network.",
        )


def _check_work(needed: int, node: Node, bounds: Bounds) -> None:
    if needed > bounds.work:
        raise BundleError(
            "MMREG_E_ONNX_WORK",
            f"The network needs more than {bounds.work:.1e} multiply-adds here, exceeded at node {node.op} "
            f"({node.name[:80]!r}). Use a smaller grid, or export a smaller network.",
        )


def _gib(bytes_: int) -> str:
    return f"{bytes_ / 2**30:.3g} GiB"
