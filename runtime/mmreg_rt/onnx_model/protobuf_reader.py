"""Reader of the protocol buffers of ONNX files: within bounds, and only for the fields listed here.

A message is decoded against its table below. A field that is not in the table, is repeated where it must not
be, has another wire type, runs past the end of its message or is not validly encoded is refused: so this
reader and the library that loads the file later cannot read two different things. No message of the tables
contains itself, so there is no unbounded nesting.

The ``onnx`` package is not used: the runtime has no other need of it, and protobuf skips unknown fields and
keeps the last of repeated ones, which are the differences that this reader refuses.

Field numbers: onnx.proto of ONNX 1.23, IR version 13. Encoding: protobuf.dev, "Encoding".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from ..errors import BundleError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MAX_FIELDS = 500_000  # about a second of work; a network of 1000 nodes has about 20 000
TEXT_BYTES = 1 << 20  # of a name or remark; exporters keep stack traces in remarks
KEPT_NUMBERS = 4096  # of one field: lists of axes and small constants; larger ones are raw data

# Kinds: "int" is a number; "ints", "floats", "doubles" are many, packed or not; "text" is a string; "bytes"
# and names of tables are spans. A trailing * allows many. Capitals are the error code of a refused field.
MESSAGES: dict[str, dict[int, tuple[str, str]]] = {
    "model": {
        1: ("ir_version", "int"),
        2: ("producer", "text"),
        3: ("producer_version", "text"),
        4: ("domain", "text"),
        5: ("model_version", "int"),
        6: ("remark", "text"),
        7: ("graph", "graph"),
        8: ("opsets", "opset*"),
        14: ("remarks", "remark*"),
        25: ("functions", "MMREG_E_ONNX_FUNCTION"),
    },
    "opset": {1: ("domain", "text"), 2: ("version", "int")},
    "remark": {1: ("key", "text"), 2: ("value", "text")},
    "graph": {
        1: ("nodes", "node*"),
        2: ("name", "text"),
        5: ("initialisers", "tensor*"),
        10: ("remark", "text"),
        11: ("inputs", "value*"),
        12: ("outputs", "value*"),
        13: ("values", "value*"),
        16: ("remarks", "remark*"),
    },
    "node": {
        1: ("inputs", "text*"),
        2: ("outputs", "text*"),
        3: ("name", "text"),
        4: ("op", "text"),
        5: ("attributes", "attribute*"),
        6: ("remark", "text"),
        7: ("domain", "text"),
        8: ("overload", "text"),
        9: ("remarks", "remark*"),
    },
    "attribute": {
        1: ("name", "text"),
        2: ("float", "float"),
        3: ("int", "int"),
        4: ("string", "text"),
        5: ("tensor", "tensor"),
        6: ("graph", "MMREG_E_ONNX_SUBGRAPH"),
        7: ("floats", "floats"),
        8: ("ints", "ints"),
        9: ("strings", "text*"),
        11: ("graphs", "MMREG_E_ONNX_SUBGRAPH"),
        13: ("remark", "text"),
        20: ("type", "int"),
    },
    "tensor": {
        1: ("dims", "ints"),
        2: ("type", "int"),
        4: ("float_data", "floats"),
        5: ("int32_data", "ints"),
        7: ("int64_data", "ints"),
        8: ("name", "text"),
        9: ("raw_data", "bytes"),
        10: ("double_data", "doubles"),
        11: ("uint64_data", "ints"),
        12: ("remark", "text"),
        13: ("external_data", "MMREG_E_ONNX_EXTERNAL_DATA"),
        14: ("location", "int"),
        16: ("remarks", "remark*"),
    },
    "value": {1: ("name", "text"), 2: ("type", "type"), 3: ("remark", "text"), 4: ("remarks", "remark*")},
    "type": {1: ("tensor", "tensor_type"), 6: ("denotation", "text")},
    "tensor_type": {1: ("element", "int"), 2: ("shape", "shape")},
    "shape": {1: ("dims", "dim*")},
    "dim": {1: ("value", "int"), 2: ("symbol", "text"), 3: ("denotation", "text")},
}

_PACKED_BYTES = {"floats": 4, "doubles": 8}
_REAL = {4: struct.Struct("<f"), 8: struct.Struct("<d")}
_WIRES = {
    "int": (VARINT,),
    "float": (FIXED32,),
    "ints": (VARINT, BYTES),
    "floats": (FIXED32, BYTES),
    "doubles": (FIXED64, BYTES),
}
_ADVICE = {
    "MMREG_E_ONNX_FUNCTION": "Inline them when the model is exported (onnx.inliner).",
    "MMREG_E_ONNX_SUBGRAPH": "Control flow is not supported; export one branch.",
    "MMREG_E_ONNX_EXTERNAL_DATA": "Save the model with its weights in one file.",
}


@dataclass(frozen=True, slots=True)
class Span:
    """Position of a value in the file, from ``start`` up to ``end``."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


@dataclass(slots=True)
class Message:
    """A decoded message: numbers, texts, and the spans of its parts."""

    numbers: dict[str, int] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)
    parts: dict[str, list[Span]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)  # of "ints", "floats", "doubles"
    # their first KEPT_NUMBERS values
    ints: dict[str, list[int]] = field(default_factory=dict)
    reals: dict[str, list[float]] = field(default_factory=dict)  # and of "float"

    def text(self, name: str) -> str:
        """Return the text of a field, or "" if it is absent."""
        return self.texts.get(name, [""])[0]


class Wire:
    """Decoder for the messages of one file, of up to ``MAX_FIELDS`` fields."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._fields_left = MAX_FIELDS

    def message(self, kind: str, span: Span) -> Message:
        """Decode a message of the given kind.

        Args:
            kind: A key of ``MESSAGES``.
            span: Position of the message.

        Raises:
            BundleError: It is damaged, or has fields that are not accepted.
        """
        table, message, at = MESSAGES[kind], Message(), span.start
        while at < span.end:
            self._count_field()
            tag, at = self._varint(at, span.end)
            number, wire = tag >> 3, tag & 7
            name, meaning = table.get(number, ("", ""))
            if not name:
                raise BundleError(
                    "MMREG_E_ONNX_FIELD",
                    f"The ONNX file has field {number} in a {kind} at byte {at}, which this version does not "
                    "accept. Export the model with a current exporter and without extras.",
                )
            if meaning.startswith("MMREG_E_"):
                raise BundleError(
                    meaning,
                    f"The ONNX file has the field {name!r} in a {kind} at byte {at}, which this version does "
                    f"not accept. {_ADVICE[meaning]}",
                )
            at = self._field(message, kind, name, meaning, wire, at, span.end)
        return message

    def _field(
        self, message: Message, kind: str, name: str, meaning: str, wire: int, at: int, end: int
    ) -> int:
        """Read one value at ``at`` into ``message``, and return where the next field begins."""
        many, meaning = meaning.endswith("*"), meaning.removesuffix("*")
        if wire not in _WIRES.get(meaning, (BYTES,)):
            raise _malformed(f"field '{name}' of a {kind} with wire type {wire}", at)
        if meaning in ("ints", "floats", "doubles"):
            return self._numbers(message, name, meaning, wire, at, end)
        seen = message.numbers, message.texts, message.parts
        if not many and any(name in values for values in seen):
            raise _malformed(f"field '{name}' of a {kind} twice", at)
        if meaning == "int":
            message.numbers[name], at = self._signed(at, end)
            return at
        if meaning == "float":
            if name in message.reals:
                raise _malformed(f"field '{name}' of a {kind} twice", at)
            after = self._inside(at, 4, end)
            message.reals[name] = [_REAL[4].unpack_from(self.data, at)[0]]
            return after
        value, at = self._sized(at, end)
        if meaning == "text":
            message.texts.setdefault(name, []).append(self._text(value))
        else:
            message.parts.setdefault(name, []).append(value)
        return at

    def _numbers(self, message: Message, name: str, meaning: str, wire: int, at: int, end: int) -> int:
        """Read numbers of a repeated field, packed or single: count them and keep the first ones."""
        packed, after = self._sized(at, end) if wire == BYTES else (Span(at, end), at)
        size = _PACKED_BYTES.get(meaning)
        if size:
            if wire == BYTES and len(packed) % size:
                raise _malformed(f"{len(packed)} bytes of packed {meaning}", at)
            count, after = (len(packed) // size, after) if wire == BYTES else (1, self._inside(at, size, end))
            kept = message.reals.setdefault(name, [])
            kept += self._reals(packed.start, size, min(count, KEPT_NUMBERS - len(kept)))
        elif len(packed) <= KEPT_NUMBERS or wire == VARINT:
            count, after = self._whole_numbers(message, name, packed, wire)
        else:
            count = self._count_varints(packed)
        message.counts[name] = message.counts.get(name, 0) + count
        return after

    def _reals(self, at: int, size: int, count: int) -> list[float]:
        return [_REAL[size].unpack_from(self.data, at + size * place)[0] for place in range(count)]

    def _whole_numbers(self, message: Message, name: str, span: Span, wire: int) -> tuple[int, int]:
        at, kept, count = span.start, message.ints.setdefault(name, []), 0
        while at < span.end:
            self._count_field()
            value, at = self._signed(at, span.end)
            count += 1
            if len(kept) < KEPT_NUMBERS:
                kept.append(value)
            if wire == VARINT:
                break
        return count, at

    def _count_varints(self, span: Span) -> int:
        """Count packed varints: the bytes without the continuation bit."""
        packed = self.data[span.start : span.end]
        if packed and packed[-1] >= 0x80:
            raise _malformed("packed numbers that end within one", span.start)
        return len(packed) - len(packed.translate(None, _LAST_BYTES))

    def _text(self, span: Span) -> str:
        if len(span) > TEXT_BYTES:
            raise _malformed(f"a text of {len(span)} bytes (limit {TEXT_BYTES})", span.start)
        try:
            return self.data[span.start : span.end].decode()
        except UnicodeDecodeError as reason:
            raise _malformed("a text that is not UTF-8", span.start) from reason

    def _sized(self, at: int, end: int) -> tuple[Span, int]:
        length, at = self._varint(at, end)
        stop = self._inside(at, length, end)
        return Span(at, stop), stop

    def _inside(self, at: int, length: int, end: int) -> int:
        """Return ``at + length``, or raise if that is past the end of the message."""
        if length > end - at:
            raise BundleError(
                "MMREG_E_ONNX_TRUNCATED",
                f"The ONNX file is cut off or damaged: {length} bytes are announced at byte {at}, but "
                f"{end - at} are left. Copy or export it again.",
            )
        return at + length

    def _signed(self, at: int, end: int) -> tuple[int, int]:
        value, at = self._varint(at, end)
        return (value - (1 << 64) if value >> 63 else value), at

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value, shift = 0, 0
        while True:
            self._inside(at, 1, end)
            byte = self.data[at]
            value |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                break
            if shift >= 70:
                raise _malformed("a number of more than ten bytes", at)
        if value >> 64:
            raise _malformed("a number of more than 64 bits", at)
        return value, at

    def _count_field(self) -> None:
        self._fields_left -= 1
        if self._fields_left < 0:
            raise BundleError(
                "MMREG_E_ONNX_TOO_LARGE",
                f"The ONNX file has more than {MAX_FIELDS} fields. Export a smaller graph, with weights as "
                "raw data.",
            )


_LAST_BYTES = bytes(range(0x80))


def _malformed(fault: str, at: int) -> BundleError:
    return BundleError(
        "MMREG_E_ONNX_MALFORMED",
        f"This is not a valid ONNX file: {fault} at byte {at}. Copy or export it again.",
    )
