"""The warps of an ONNX file as one node each, for runtimes that are given our kernel: ``mmreg::Warp``.

In a bundle a warp stands in the standard's words, so that any runtime reads the file:
``mmreg_export.warp_lowering`` writes

    GridSample(image, Transpose(Add(Mul(Gather(displacement), scale), places)))

with channels turned about, and put last in the end, and promises by the name of the GridSample,
``mmreg.warp...``, that scale and places are those of positions in voxels. Here such a node becomes
``Warp(image, displacement)`` and what made its grid is left out. A node of that name with another structure
stays what it is.

Numbers of fields: onnx.proto, as in ``onnx_wire``.
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
_GRID = ("Transpose", "Add", "Mul", "Gather")  # from the grid back to the displacement, by first inputs
_LINEAR = ("linear", "bilinear")
_PADDINGS = ("zeros", "border")


@dataclass(frozen=True)
class _Node:
    content: bytes
    op: str  # empty if it is not one of the standard
    inputs: Sequence[str]
    outputs: Sequence[str]


def with_warps(model: bytes, attributes: Mapping[str, int | str]) -> tuple[bytes, int]:
    """The same network with ``mmreg::Warp`` nodes, and how many; the same bytes if there are none.

    Args:
        model: An ONNX file that ``onnx_check`` accepts.
        attributes: Of each of these nodes, besides ``padding`` ("zeros" or "border").

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
    made = {name: node for node in nodes for name in node.outputs}
    warps = [
        _warp(wire, message, node, made, attributes) for message, node in zip(messages, nodes, strict=True)
    ]
    count = len(warps) - warps.count(None)
    if not count:
        return model, 0
    outputs = [wire.message("value", at).text("name") for at in graph.parts.get("outputs", [])]
    used = _used([warp or node for warp, node in zip(warps, nodes, strict=True)], outputs)
    # what is said of values in between may be of some that are gone
    changed = rewritten(model, "graph", graph, {"nodes": [node.content for node in used], "values": []})
    imported = [model[at.start : at.end] for at in whole.parts.get("opsets", [])]
    imported.append(text(1, DOMAIN) + number(2, 1))
    return rewritten(model, "model", whole, {"graph": [changed], "opsets": imported}), count


def _read(model: bytes, message: Message, at: Span) -> _Node:
    op = message.text("op") if message.text("domain") in STANDARD_DOMAINS else ""
    texts = message.texts
    return _Node(model[at.start : at.end], op, texts.get("inputs", []), texts.get("outputs", []))


def _warp(
    wire: Wire, message: Message, node: _Node, made: Mapping[str, _Node], attributes: Mapping[str, int | str]
) -> _Node | None:
    """The node as a warp; None if it is none."""
    name = message.text("name")
    if node.op != "GridSample" or not name.startswith(NAME):
        return None
    given = [wire.message("attribute", at) for at in message.parts.get("attributes", [])]
    texts = {one.text("name"): one.text("string") for one in given}
    corners = any(one.text("name") == "align_corners" and one.numbers.get("int", 0) for one in given)
    padding, displacement = texts.get("padding_mode", "zeros"), _displacement(node, made)
    known = texts.get("mode", "linear") in _LINEAR and padding in _PADDINGS and not corners
    if displacement is None or not known:
        return None
    parts = [text(1, node.inputs[0]), text(1, displacement), text(2, node.outputs[0])]
    parts += [text(3, name), text(4, OPERATOR), text(7, DOMAIN)]
    parts += [part(5, attribute(*item)) for item in {"padding": padding, **attributes}.items()]
    return _Node(b"".join(parts), OPERATOR, [node.inputs[0], displacement], node.outputs)


def _displacement(node: _Node, made: Mapping[str, _Node]) -> str | None:
    """What the grid of a GridSample was made of, if it was made in the way that is known here."""
    if len(node.inputs) != 2 or len(node.outputs) != 1:
        return None
    name = node.inputs[1]
    for op in _GRID:
        maker = made.get(name)
        if maker is None or maker.op != op or not maker.inputs:
            return None
        name = maker.inputs[0]
    return name or None


def _used(nodes: Sequence[_Node], outputs: Sequence[str]) -> list[_Node]:
    """Those that an output needs, in their order: libraries also run what nothing uses."""
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if needed.intersection(node.outputs):
            needed.update(node.inputs)
            kept.append(node)
    return kept[::-1]
