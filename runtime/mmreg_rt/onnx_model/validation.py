"""Validation of an ONNX file, before any library loads it.

A network for this package is one file of plain operators of the standard domain: no external weights, no
functions, no control flow, no operator outside the table of ``onnx_model.schema``, which also lists the
inputs, outputs and attributes that each may have. The file is read by ``protobuf_reader``; the checker of the
``onnx`` package would not do: it accepts all that the standard allows, and bounds no memory or work. Dynamic
requests of a graph, such as the size of an ``Expand``, are computed for one size by ``ModelFacts.footprint``.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..errors import BundleError
from .footprint import Bounds, Footprint, Graph, footprint
from .protobuf_reader import KEPT_NUMBERS, Message, Span, Wire
from .schema import ELEMENTS, OPERATORS, check_attributes, check_node, refuse
from .values import Node, Stored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..geometry import Array
    from .schema import Content

STANDARD_DOMAINS = ("", "ai.onnx")
CONTROL_FLOW = {"If", "Loop", "Scan", "SequenceMap"}
# AttributeProto.type, and the field that holds its value
_REAL, _WHOLE, _TEXT, _TENSOR, _REALS = 1, 2, 3, 4, 6
_HOLDERS = {_REAL: "float", _WHOLE: "int", _TEXT: "string", _TENSOR: "tensor", _REALS: "floats", 7: "ints"}
_DATA_FIELDS = ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data")


@dataclass(frozen=True)
class Limits:
    """Limits of an ONNX file; ``opsets`` and ``ir_versions`` are ranges."""

    bytes: int = 1 << 30
    nodes: int = 20_000
    initialisers: int = 20_000
    elements: int = 1 << 28  # of one tensor: 1 GiB of float32
    rank: int = 8
    opsets: tuple[int, int] = (17, 23)
    ir_versions: tuple[int, int] = (3, 13)


@dataclass(frozen=True)
class TensorFacts:
    """An input or output: name, type, and the size, symbol or None of each dimension."""

    name: str
    dims: tuple[int | str | None, ...]
    dtype: str


@dataclass(frozen=True)
class ModelFacts:
    """Facts about a network.

    Attributes:
        opset: Version of the standard operators.
        producer: Program that wrote the file.
        ops: Number of nodes, by operator.
        nodes: Number of nodes.
        inputs: Inputs of the graph.
        outputs: Outputs of the graph.
        parameters: Number of elements of all weights.
        bytes: Size of the file.
        sha256: Checksum of the file.
        graph: The graph.
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
    graph: Graph = field(repr=False, compare=False)

    def footprint(self, shape: tuple[int, ...], bounds: Bounds) -> Footprint:
        """Return memory and work of the network for inputs of one shape.

        Args:
            shape: Shape of each input, with batch and channels.
            bounds: Limits.

        Raises:
            BundleError: A node does not fit its inputs, or the network exceeds ``bounds``.
        """
        return footprint(self.graph, {value.name: shape for value in self.inputs}, bounds)


LIMITS = Limits()


def check_model(data: bytes, limits: Limits = LIMITS) -> ModelFacts:
    """Check an ONNX file.

    Args:
        data: Bytes of the file.
        limits: Limits of size.

    Returns:
        Facts about the network.

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
    """Return a text attribute of every node of an operator, in the order of the file.

    Args:
        data: Bytes of the file.
        op: Operator.
        attribute: Name of the attribute.
        default: Value for nodes without it.

    Raises:
        BundleError: The file is damaged.
    """
    wire = Wire(data)
    graph = wire.message("graph", wire.message("model", Span(0, len(data))).parts["graph"][0])
    values = []
    for span in graph.parts.get("nodes", ()):
        node = wire.message("node", span)
        if node.text("op") == op:
            attributes = [wire.message("attribute", part) for part in node.parts.get("attributes", ())]
            texts = [one.text("string") for one in attributes if one.text("name") == attribute]
            values.append(texts[0] if texts else default)
    return values


def _graph_facts(wire: Wire, graph: Message, limits: Limits, opset: int, producer: str) -> ModelFacts:
    parts = graph.parts
    _within("nodes", len(parts.get("nodes", ())), limits.nodes)
    _within("initialisers", len(parts.get("initialisers", ())), limits.initialisers)
    inputs = [_value(wire, span, limits) for span in parts.get("inputs", ())]
    outputs = [_value(wire, span, limits) for span in parts.get("outputs", ())]
    for span in parts.get("values", ()):
        _value(wire, span, limits, declared=False)
    known = {""}  # the name of an omitted input
    for value in inputs:
        _define(known, value.name)
    constants = {}
    for span in parts.get("initialisers", ()):
        stored = _tensor(wire, span, limits)
        _define(known, stored.name)
        constants[stored.name] = stored
    nodes = tuple(_node(wire, span, known, limits, opset) for span in parts.get("nodes", ()))
    for value in outputs:
        if value.name not in known or not value.name:
            raise _graph_error(f"no node computes the output {value.name[:80]!r}")
    return ModelFacts(
        opset=opset,
        producer=producer[:80],
        ops=dict(Counter(node.op for node in nodes)),
        nodes=len(nodes),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        parameters=sum(math.prod(stored.shape) for stored in constants.values()),
        bytes=len(wire.data),
        sha256=hashlib.sha256(wire.data).hexdigest(),
        graph=Graph(opset, tuple(v.name for v in inputs), tuple(v.name for v in outputs), nodes, constants),
    )


def _opset(wire: Wire, model: Message, limits: Limits) -> int:
    """Return the version of the standard operators, the only ones that may be imported."""
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


def _node(wire: Wire, span: Span, known: set[str], limits: Limits, opset: int) -> Node:
    """Read a node, and check its attributes and its place in the graph."""
    node = wire.message("node", span)
    op = node.text("op")
    if op in CONTROL_FLOW:
        raise BundleError(
            "MMREG_E_ONNX_SUBGRAPH",
            f"The ONNX file has the control flow operator {op}, which is not supported. Export one branch.",
        )
    _check_domain(node.text("domain"), f"has the operator {op[:80]!r} of")
    if op not in OPERATORS or node.text("overload"):
        raise BundleError(
            "MMREG_E_ONNX_OPERATOR",
            f"The ONNX file has the operator {op[:80]!r}, which is not supported "
            "(mmreg_rt.onnx_model.schema.OPERATORS lists those that are). Export the network without it.",
        )
    _read_remarks(wire, node)
    attributes = _attributes(wire, node, op, opset, limits)
    inputs, outputs = node.texts.get("inputs", []), node.texts.get("outputs", [])
    check_node(op, opset, inputs, outputs)
    for name in inputs:
        if name not in known:
            raise _graph_error(f"a node {op} uses {name[:80]!r} before it is computed")
    for name in outputs:
        _define(known, name)
    return Node(op, node.text("name"), tuple(inputs), tuple(outputs), attributes)


def _attributes(wire: Wire, node: Message, op: str, opset: int, limits: Limits) -> dict[str, Content]:
    """Return the values of a node's attributes, by name."""
    values: dict[str, tuple[int, Content]] = {}
    for span in node.parts.get("attributes", ()):
        message = wire.message("attribute", span)
        name = message.text("name")
        if name in values:
            refuse(op, f"with the attribute {name[:80]!r} twice")
        values[name] = message.numbers.get("type", 0), _attribute_value(wire, message, op, name, limits)
    check_attributes(op, opset, values)
    return {name: value for name, (_, value) in values.items()}


def _attribute_value(wire: Wire, message: Message, op: str, name: str, limits: Limits) -> Content:
    """Return the value of an attribute, from the one field that its type names."""
    kind = message.numbers.get("type", 0)
    present = {*message.numbers, *message.texts, *message.parts, *message.reals, *message.ints}
    present -= {"name", "remark", "type"}
    field_name = _HOLDERS.get(kind, "")
    if not present <= {field_name} or any(n > KEPT_NUMBERS for n in message.counts.values()):
        refuse(op, f"with the attribute {name[:80]!r} of type {kind} that holds {_listed(present)}")
    if kind == _TENSOR:
        if field_name not in present:
            refuse(op, f"with the attribute {name[:80]!r} without its tensor")
        return _tensor(wire, message.parts["tensor"][0], limits)
    if kind == _TEXT:
        return message.text("string")
    if kind == _REAL:
        return message.reals.get("float", [0.0])[0]
    if kind == _WHOLE:
        return message.numbers.get("int", 0)
    return tuple((message.reals if kind == _REALS else message.ints).get(field_name, ()))


def _tensor(wire: Wire, span: Span, limits: Limits) -> Stored:
    """Read a constant, whose data must be complete and in the file."""
    tensor = wire.message("tensor", span)
    name = tensor.text("name")
    if tensor.numbers.get("location", 0):
        raise BundleError(
            "MMREG_E_ONNX_EXTERNAL_DATA",
            f"The data of tensor {name[:80]!r} are outside the ONNX file. Save the model with its weights in "
            "one file.",
        )
    dtype, size, where = _element(tensor.numbers.get("type", 0), name)
    dims = tuple(tensor.ints.get("dims", []))
    elements = _elements(dims, name, limits, tensor.counts.get("dims", 0))
    raw = tensor.parts.get("raw_data")
    present = {f for f in _DATA_FIELDS if f in tensor.parts or tensor.counts.get(f)}
    count = len(raw[0]) / size if raw else float(tensor.counts.get(where, 0))
    if count != elements or not present <= {"raw_data" if raw else where}:
        raise BundleError(
            "MMREG_E_ONNX_TENSOR",
            f"Tensor {name[:80]!r} has data for {count:g} elements of {dtype} in {_listed(present)}; its "
            f"dimensions need {elements}. Export it again.",
        )
    if raw:
        return Stored(name, dtype, dims, partial(_from_raw, wire.data, raw[0], dtype, dims))
    numbers = tensor.reals.get(where, tensor.ints.get(where, []))
    return Stored(name, dtype, dims, partial(_from_numbers, numbers, dtype, dims))


def _from_raw(data: bytes, span: Span, dtype: str, dims: tuple[int, ...]) -> Array | None:
    """Return raw data as an array, or None for bfloat16, which NumPy lacks."""
    if dtype == "bfloat16":
        return None
    flat: Array = np.frombuffer(data[span.start : span.end], np.dtype(dtype).newbyteorder("<"))
    return flat.reshape(dims)


def _from_numbers(numbers: Sequence[float], dtype: str, dims: tuple[int, ...]) -> Array | None:
    """Return data that are not raw as an array, or None for half floats, kept as bits, and for many."""
    if dtype in ("bfloat16", "float16") or len(numbers) != math.prod(dims):
        return None
    wide = np.asarray(numbers, np.float64 if dtype.startswith("float") else np.int64)
    return wide.astype(dtype).reshape(dims)


def _value(wire: Wire, span: Span, limits: Limits, declared: bool = True) -> TensorFacts:
    """Read an input, an output or an intermediate value; ``declared`` ones must have type and shape."""
    value = wire.message("value", span)
    name = value.text("name")
    kinds = [wire.message("type", s) for s in value.parts.get("type", ())]
    types = [wire.message("tensor_type", s) for kind in kinds for s in kind.parts.get("tensor", ())]
    shapes = [wire.message("shape", s) for kind in types for s in kind.parts.get("shape", ())]
    if declared and not shapes:
        raise _graph_error(f"input or output {name[:80]!r} has no type and shape")
    dims = tuple(_dim(wire, s) for shape in shapes for s in shape.parts.get("dims", ()))
    _elements([d if isinstance(d, int) else 1 for d in dims], name, limits, len(dims))
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


def _elements(dims: Sequence[int], name: str, limits: Limits, rank: int) -> int:
    """Return the product of the dimensions, within the limit."""
    _within("dimensions of a tensor", rank, limits.rank)
    elements = 1
    for size in dims:
        if size < 0:
            raise BundleError(
                "MMREG_E_ONNX_TENSOR", f"Tensor {name[:80]!r} has a dimension of {size}. Export it again."
            )
        elements *= size
        _within(f"elements of tensor {name[:80]!r}", max(elements, size), limits.elements)
    return elements


def _read_remarks(wire: Wire, message: Message) -> None:
    """Check remarks, which are not used but must be valid."""
    for span in message.parts.get("remarks", ()):
        wire.message("remark", span)


def _define(known: set[str], name: str) -> None:
    if name in known:
        raise _graph_error(f"two values are named {name[:80]!r}" if name else "a value has no name")
    known.add(name)


def _check_domain(domain: str, subject: str) -> None:
    if domain not in STANDARD_DOMAINS:
        raise BundleError(
            "MMREG_E_ONNX_DOMAIN",
            f"The ONNX file {subject} the domain {domain[:80]!r}; only standard operators are supported. "
            "Export the network without it.",
        )


def _within(name: str, count: int, limit: int) -> None:
    if count > limit:
        raise BundleError(
            "MMREG_E_ONNX_TOO_LARGE",
            f"An ONNX file may have {limit} {name}; found {count if count < 1 << 64 else 'more than 2**64'}. "
            "Export a smaller network.",
        )


def _graph_error(fault: str) -> BundleError:
    return BundleError("MMREG_E_ONNX_GRAPH", f"The ONNX file is not a valid graph: {fault}. Export it again.")


def _listed(fields: set[str]) -> str:
    return ", ".join(sorted(fields)) or "no field"
