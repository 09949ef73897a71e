"""What is in an ONNX file, and whether it may be run: known before any library loads it.

A network for this package is one file of plain operators of the standard domain: no weights elsewhere, no
functions, no control flow, no operator that is not on the list below. The file is read by ``onnx_wire``, the
``onnx`` package is not needed. What a graph asks for while it runs, such as the size of an ``Expand``, is not
computed here.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import BundleError
from .onnx_wire import Message, Span, Wire

if TYPE_CHECKING:
    from collections.abc import Mapping

STANDARD_DOMAINS = ("", "ai.onnx")
CONTROL_FLOW = {"If", "Loop", "Scan", "SequenceMap"}
# What convolutional, windowed-attention and transformer networks in 2-D and 3-D become on export, quantised
# or not. None of them draws random numbers or handles sequences or strings.
_NAMES = """
    Abs Add And ArgMax ArgMin Atan Attention AveragePool BatchNormalization BitShift Cast CastLike Ceil
    Celu Clip Concat Constant ConstantOfShape Conv ConvTranspose Cos CumSum DepthToSpace
    DequantizeLinear Div Einsum Elu Equal Erf Exp Expand Flatten Floor Gather GatherElements GatherND
    Gelu Gemm GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization
    HardSigmoid HardSwish Identity InstanceNormalization IsInf IsNaN LayerNormalization LeakyRelu Less
    LessOrEqual Log LogSoftmax LpNormalization MatMul Max MaxPool Mean MeanVarianceNormalization Min
    Mish Mod Mul Neg Not Or Pad Pow PRelu QuantizeLinear Range Reciprocal ReduceL1 ReduceL2
    ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape
    Resize RMSNormalization RotaryEmbedding Round ScatterElements ScatterND Selu Shape Sigmoid Sign Sin
    Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh
    ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Where Xor
"""
OPERATORS = frozenset(_NAMES.split())
# TensorProto.DataType -> name, bytes of an element in raw data, field that holds the elements otherwise
ELEMENTS = {
    1: ("float32", 4, "float_data"),
    2: ("uint8", 1, "int32_data"),
    3: ("int8", 1, "int32_data"),
    6: ("int32", 4, "int32_data"),
    7: ("int64", 8, "int64_data"),
    9: ("bool", 1, "int32_data"),
    10: ("float16", 2, "int32_data"),
    11: ("float64", 8, "double_data"),
    16: ("bfloat16", 2, "int32_data"),
}
_DATA_FIELDS = ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data")


@dataclass(frozen=True)
class Limits:
    """What a network may have at most; ``opsets`` from and to."""

    bytes: int = 1 << 30
    nodes: int = 20_000
    initialisers: int = 20_000
    elements: int = 1 << 28  # of one tensor: 1 GiB of float32
    rank: int = 8
    opsets: tuple[int, int] = (17, 23)
    ir_versions: tuple[int, int] = (3, 13)


@dataclass(frozen=True)
class TensorFacts:
    """An input or output: its name, its type, and of each dimension the size, or the symbol, or None."""

    name: str
    dims: tuple[int | str | None, ...]
    dtype: str


@dataclass(frozen=True)
class ModelFacts:
    """What a network consists of.

    ``ops``: how often each operator occurs. ``parameters``: elements of all weights. ``sha256``: of the file.
    """

    opset: int
    producer: str
    ops: Mapping[str, int]
    nodes: int
    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    parameters: int
    bytes: int
    sha256: str


LIMITS = Limits()


def check_model(data: bytes, limits: Limits = LIMITS) -> ModelFacts:
    """The facts about the ONNX file in ``data``.

    Raises:
        BundleError: The file is damaged, or has something that is not accepted; the message says what.
    """
    _within("bytes", len(data), limits.bytes)
    wire = Wire(data)
    model = wire.message("model", Span(0, len(data)))
    opset = _opset(wire, model, limits)
    if len(model.parts.get("graph", ())) != 1:
        raise _graph_error("no graph")
    _read_remarks(wire, model)
    graph = wire.message("graph", model.parts["graph"][0])
    _read_remarks(wire, graph)
    return _graph_facts(wire, graph, limits, opset, model.text("producer"))


def text_attributes(data: bytes, op: str, attribute: str, default: str) -> list[str]:
    """Of every node of an operator, in the file's order, an attribute that is a text.

    Raises:
        BundleError: The file is damaged.
    """
    wire = Wire(data)
    graph = wire.message("graph", wire.message("model", Span(0, len(data))).parts["graph"][0])
    found = []
    for span in graph.parts.get("nodes", ()):
        node = wire.message("node", span)
        if node.text("op") == op:
            given = [wire.message("attribute", part) for part in node.parts.get("attributes", ())]
            texts = [one.text("string") for one in given if one.text("name") == attribute]
            found.append(texts[0] if texts else default)
    return found


def _graph_facts(wire: Wire, graph: Message, limits: Limits, opset: int, producer: str) -> ModelFacts:
    parts = graph.parts
    _within("nodes", len(parts.get("nodes", ())), limits.nodes)
    _within("initialisers", len(parts.get("initialisers", ())), limits.initialisers)
    inputs = [_value(wire, span, limits) for span in parts.get("inputs", ())]
    outputs = [_value(wire, span, limits) for span in parts.get("outputs", ())]
    for span in parts.get("values", ()):
        _value(wire, span, limits, declared=False)
    known = {""}  # an input that is left out
    for value in inputs:
        _define(known, value.name)
    parameters = 0
    for span in parts.get("initialisers", ()):
        name, elements = _tensor(wire, span, limits)
        _define(known, name)
        parameters += elements
    ops = Counter(_node(wire, span, known, limits) for span in parts.get("nodes", ()))
    for value in outputs:
        if value.name not in known or not value.name:
            raise _graph_error(f"an output {value.name[:80]!r} that nothing computes")
    return ModelFacts(
        opset=opset,
        producer=producer[:80],
        ops=dict(ops),
        nodes=len(parts.get("nodes", ())),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        parameters=parameters,
        bytes=len(wire.data),
        sha256=hashlib.sha256(wire.data).hexdigest(),
    )


def _opset(wire: Wire, model: Message, limits: Limits) -> int:
    """The version of the standard operators, the only ones that may be imported."""
    ir_version = model.numbers.get("ir_version", 0)
    if not limits.ir_versions[0] <= ir_version <= limits.ir_versions[1]:
        raise BundleError(
            "MMREG_E_ONNX_VERSION",
            f"An ONNX file needs an IR version in the range {limits.ir_versions}; found {ir_version}. "
            "Export it again.",
        )
    versions = []
    for span in model.parts.get("opsets", ())[:64]:
        imported = wire.message("opset", span)
        _check_domain(imported.text("domain"), "imports")
        versions.append(imported.numbers.get("version", 0))
    low, high = limits.opsets
    if len(versions) != 1 or not low <= versions[0] <= high:
        raise BundleError(
            "MMREG_E_ONNX_OPSET",
            f"A network needs one operator set, version {low} to {high}; found {versions[:4] or 'none'}. "
            "Export it with opset_version=20.",
        )
    return versions[0]


def _node(wire: Wire, span: Span, known: set[str], limits: Limits) -> str:
    """The operator of a node that may be run, once its attributes and its place in the graph are checked."""
    node = wire.message("node", span)
    op = node.text("op")
    if op in CONTROL_FLOW:
        raise BundleError(
            "MMREG_E_ONNX_SUBGRAPH",
            f"The ONNX file has the control flow operator {op}. Export the branch that is meant.",
        )
    _check_domain(node.text("domain"), f"operator {op[:80]!r} is of")
    if op not in OPERATORS or node.text("overload"):
        raise BundleError(
            "MMREG_E_ONNX_OPERATOR",
            f"The ONNX file has the operator {op[:80]!r}, which is not on the list of those that are run "
            "(mmreg_rt.onnx_check.OPERATORS). Export the network without it.",
        )
    _read_remarks(wire, node)
    for attribute in node.parts.get("attributes", ()):
        for tensor in wire.message("attribute", attribute).parts.get("tensor", ()):
            _tensor(wire, tensor, limits)
    for name in node.texts.get("inputs", ()):
        if name not in known:
            raise _graph_error(f"a node {op} that uses {name[:80]!r} before it is computed")
    for name in node.texts.get("outputs", ()):
        if name:
            _define(known, name)
    return op


def _tensor(wire: Wire, span: Span, limits: Limits) -> tuple[str, int]:
    """Name and number of elements of a tensor whose data are all there."""
    tensor = wire.message("tensor", span)
    name = tensor.text("name")
    if tensor.numbers.get("location", 0):
        raise BundleError(
            "MMREG_E_ONNX_EXTERNAL_DATA",
            f"The data of tensor {name[:80]!r} lie outside of the ONNX file. Save the model with its weights "
            "in the one file.",
        )
    dtype, size, where = _element(tensor.numbers.get("type", 0), name)
    elements = _elements(tensor.ints.get("dims", []), name, limits)
    raw = tensor.parts.get("raw_data")
    present = {f for f in _DATA_FIELDS if f in tensor.parts or tensor.counts.get(f)}
    found = len(raw[0]) / size if raw else float(tensor.counts.get(where, 0))
    if found != elements or not present <= {"raw_data" if raw else where}:
        raise BundleError(
            "MMREG_E_ONNX_TENSOR",
            f"Tensor {name[:80]!r} has data for {found:g} elements of {dtype} in {_listed(present)}; its "
            f"dimensions need {elements}. Export it again.",
        )
    return name, elements


def _value(wire: Wire, span: Span, limits: Limits, declared: bool = True) -> TensorFacts:
    """An input, an output or a remark on a value in between; ``declared`` ones must have type and shape."""
    value = wire.message("value", span)
    name = value.text("name")
    kinds = [wire.message("type", s) for s in value.parts.get("type", ())]
    types = [wire.message("tensor_type", s) for kind in kinds for s in kind.parts.get("tensor", ())]
    shapes = [wire.message("shape", s) for kind in types for s in kind.parts.get("shape", ())]
    if declared and not shapes:
        raise _graph_error(f"an input or output {name[:80]!r} without type and shape")
    dims = tuple(_dim(wire, s) for shape in shapes for s in shape.parts.get("dims", ()))
    _elements([d if isinstance(d, int) else 1 for d in dims], name, limits)
    dtype = _element(types[0].numbers.get("element", 0), name)[0] if types else ""
    return TensorFacts(name, dims, dtype)


def _dim(wire: Wire, span: Span) -> int | str | None:
    dim = wire.message("dim", span)
    return dim.numbers["value"] if "value" in dim.numbers else dim.text("symbol") or None


def _element(code: int, name: str) -> tuple[str, int, str]:
    if code not in ELEMENTS:
        raise BundleError(
            "MMREG_E_ONNX_TENSOR",
            f"Tensor {name[:80]!r} has elements of type {code}, which is not accepted. Use float32, float16, "
            "bfloat16, float64, bool, int8, uint8, int32 or int64.",
        )
    return ELEMENTS[code]


def _elements(dims: list[int], name: str, limits: Limits) -> int:
    """The product of the dimensions, within the limit."""
    _within("dimensions of a tensor", len(dims), limits.rank)
    elements = 1
    for size in dims:
        if size < 0:
            raise BundleError(
                "MMREG_E_ONNX_TENSOR",
                f"Tensor {name[:80]!r} has a dimension of {size}. Export it again.",
            )
        elements *= size
        _within(f"elements of tensor {name[:80]!r}", max(elements, size), limits.elements)
    return elements


def _read_remarks(wire: Wire, message: Message) -> None:
    """Remarks are not used, but must be what they should be."""
    for span in message.parts.get("remarks", ()):
        wire.message("remark", span)


def _define(known: set[str], name: str) -> None:
    if name in known:
        raise _graph_error(f"two values named {name[:80]!r}" if name else "a value without a name")
    known.add(name)


def _check_domain(domain: str, what: str) -> None:
    if domain not in STANDARD_DOMAINS:
        raise BundleError(
            "MMREG_E_ONNX_DOMAIN",
            f"The ONNX file {what} the domain {domain[:80]!r}; only standard operators are run. Export the "
            "network without it.",
        )


def _within(what: str, found: int, limit: int) -> None:
    if found > limit:
        raise BundleError(
            "MMREG_E_ONNX_TOO_LARGE",
            f"An ONNX file may have {limit} {what}; found {found if found < 1 << 64 else 'more than 2**64'}. "
            "Export a smaller network.",
        )


def _graph_error(found: str) -> BundleError:
    return BundleError(
        "MMREG_E_ONNX_GRAPH", f"The ONNX file is no graph that can be run: {found}. Export it again."
    )


def _listed(fields: set[str]) -> str:
    return ", ".join(sorted(fields)) or "no field"
