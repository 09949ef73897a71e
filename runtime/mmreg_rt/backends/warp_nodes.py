"""Warps of an ONNX file as one ``mmreg::Warp`` node each, for runtimes that can call our kernel.

A bundle keeps warps as standard operators, so that any runtime reads the file. ``mmreg_export.warp_lowering``
writes

    GridSample(image, Transpose(Add(Mul(Gather(displacement), scale), places)))

with the channels reversed and moved to the last axis. The name of the GridSample, ``mmreg.warp...``, promises
that scale and places are those of positions in voxels. Here such a node becomes ``Warp(image, displacement)``
and the nodes that computed its grid are dropped. A node of that name with another structure is left as it is.

Field numbers are those of onnx.proto, as in ``onnx_model.protobuf_reader``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..onnx_model.protobuf_reader import Span, Wire
from ..onnx_model.protobuf_writer import attribute, number, part, rewritten, text
from ..onnx_model.validation import STANDARD_DOMAINS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..onnx_model.protobuf_reader import Message

DOMAIN, OPERATOR, NAME = "mmreg", "Warp", "mmreg.warp"
_GRID = ("Transpose", "Add", "Mul", "Gather")  # from the grid back to the displacement, along first inputs
_LINEAR = ("linear", "bilinear")
_PADDINGS = ("zeros", "border")


@dataclass(frozen=True)
class _Node:
    content: bytes
    op: str  # empty if the operator is not a standard one
    inputs: Sequence[str]
    outputs: Sequence[str]


def with_warps(model: bytes, attributes: Mapping[str, int | str]) -> tuple[bytes, int]:
    """Replace the warps of a network by ``mmreg::Warp`` nodes.

    Args:
        model: An ONNX file that ``onnx_model.validation`` accepts.
        attributes: Attributes for each of these nodes, besides ``padding`` ("zeros" or "border").

    Returns:
        The new file and the number of such nodes; the same bytes if there are none.

    Raises:
        BundleError: The file is damaged.
    """
    if NAME.encode() not in model:
        return model, 0
    wire = Wire(model)
    whole = wire.message("model", Span(0, len(model)))
    graph = wire.message("graph", (whole.parts.get("graph") or [Span(0, 0)])[0])
    messages = [wire.message("node", at) for at in graph.parts.get("nodes", [])]
    nodes = [_read(model, *pair) for pair in zip(messages, graph.parts.get("nodes", []), strict=True)]
    producers = {name: node for node in nodes for name in node.outputs}
    warps = [
        _warp(wire, message, node, producers, attributes)
        for message, node in zip(messages, nodes, strict=True)
    ]
    count = len(warps) - warps.count(None)
    if not count:
        return model, 0
    outputs = [wire.message("value", at).text("name") for at in graph.parts.get("outputs", [])]
    used = _used([warp or node for warp, node in zip(warps, nodes, strict=True)], outputs)
    # declarations of intermediate values may refer to dropped ones
    changed = rewritten(model, "graph", graph, {"nodes": [node.content for node in used], "values": []})
    imported = [model[at.start : at.end] for at in whole.parts.get("opsets", [])]
    imported.append(text(1, DOMAIN) + number(2, 1))
    return rewritten(model, "model", whole, {"graph": [changed], "opsets": imported}), count


def _read(model: bytes, message: Message, at: Span) -> _Node:
    op = message.text("op") if message.text("domain") in STANDARD_DOMAINS else ""
    texts = message.texts
    return _Node(model[at.start : at.end], op, texts.get("inputs", []), texts.get("outputs", []))


def _warp(
    wire: Wire,
    message: Message,
    node: _Node,
    producers: Mapping[str, _Node],
    attributes: Mapping[str, int | str],
) -> _Node | None:
    """Return the node as a warp, or None if it is not one."""
    name = message.text("name")
    if node.op != "GridSample" or not name.startswith(NAME):
        return None
    settings = [wire.message("attribute", at) for at in message.parts.get("attributes", [])]
    texts = {one.text("name"): one.text("string") for one in settings}
    corners = any(one.text("name") == "align_corners" and one.numbers.get("int", 0) for one in settings)
    padding, displacement = texts.get("padding_mode", "zeros"), _displacement(node, producers)
    known = texts.get("mode", "linear") in _LINEAR and padding in _PADDINGS and not corners
    if displacement is None or not known:
        return None
    parts = [text(1, node.inputs[0]), text(1, displacement), text(2, node.outputs[0])]
    parts += [text(3, name), text(4, OPERATOR), text(7, DOMAIN)]
    parts += [part(5, attribute(*item)) for item in {"padding": padding, **attributes}.items()]
    return _Node(b"".join(parts), OPERATOR, [node.inputs[0], displacement], node.outputs)


def _displacement(node: _Node, producers: Mapping[str, _Node]) -> str | None:
    """Return the displacement that the grid of a GridSample was computed from, if by the known nodes."""
    if len(node.inputs) != 2 or len(node.outputs) != 1:
        return None
    name = node.inputs[1]
    for op in _GRID:
        producer = producers.get(name)
        if producer is None or producer.op != op or not producer.inputs:
            return None
        name = producer.inputs[0]
    return name or None


def _used(nodes: Sequence[_Node], outputs: Sequence[str]) -> list[_Node]:
    """Return the nodes that an output needs, in order: libraries also run unused ones."""
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if needed.intersection(node.outputs):
            needed.update(node.inputs)
            kept.append(node)
    return kept[::-1]
