"""ONNX files of one fixed shape, for engines that prepare everything before the first run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .protobuf_reader import Span, Wire
from .protobuf_writer import number, part, rewritten, text

if TYPE_CHECKING:
    from collections.abc import Mapping

_FLOAT = 1  # TensorProto.DataType


def with_static_shapes(model: bytes, shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    """Return a network whose inputs and outputs have fixed shapes.

    Declarations of intermediate values, which may name symbols of the free shape, are dropped; libraries
    infer them.

    Args:
        model: An ONNX file that ``onnx_model.validation`` accepts.
        shapes: Shape of each input and output, by name; all are float32.

    Raises:
        BundleError: The file is damaged.
    """
    wire = Wire(model)
    whole = wire.message("model", Span(0, len(model)))
    graph = wire.message("graph", whole.parts["graph"][0])
    ports = {
        side: [
            _declared(name, shapes[name])
            for name in (wire.message("value", at).text("name") for at in graph.parts.get(side, []))
        ]
        for side in ("inputs", "outputs")
    }
    changed = rewritten(model, "graph", graph, {**ports, "values": []})
    return rewritten(model, "model", whole, {"graph": [changed]})


def _declared(name: str, shape: tuple[int, ...]) -> bytes:
    """Encode the declaration of a float32 value."""
    dims = b"".join(part(1, number(1, extent)) for extent in shape)
    return text(1, name) + part(2, part(1, number(1, _FLOAT) + part(2, dims)))
