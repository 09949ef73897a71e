"""Writer of the protocol buffers of ONNX files, the counterpart of ``protobuf_reader``.

Written here because the runtime has no ``onnx`` package, and unchanged parts are copied byte for byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .protobuf_reader import BYTES, MESSAGES, VARINT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .protobuf_reader import Message

_STRING, _INT = 3, 2  # AttributeProto.type


def rewritten(data: bytes, kind: str, message: Message, contents: Mapping[str, Sequence[bytes]]) -> bytes:
    """Encode a message of the file ``data`` again, with some fields replaced.

    Args:
        data: The file.
        kind: A key of ``MESSAGES``; the message must have texts, numbers and parts only, like ``model``.
        message: The decoded message.
        contents: New contents of fields, by name.
    """
    parts = []
    for field, (name, _) in MESSAGES[kind].items():
        original = [data[at.start : at.end] for at in message.parts.get(name, [])]
        parts += [part(field, one) for one in contents.get(name, original)]
        parts += [text(field, one) for one in message.texts.get(name, [])]
        if name in message.numbers:
            parts.append(number(field, message.numbers[name]))
    return b"".join(parts)


def attribute(name: str, value: int | str) -> bytes:
    """Encode an attribute of a node."""
    if isinstance(value, str):
        return text(1, name) + text(4, value) + number(20, _STRING)
    return text(1, name) + number(3, value) + number(20, _INT)


def text(field: int, value: str) -> bytes:
    """Encode a text field."""
    return part(field, value.encode())


def part(field: int, content: bytes) -> bytes:
    """Encode a field with a message or bytes."""
    return _varint(field << 3 | BYTES) + _varint(len(content)) + content


def number(field: int, value: int) -> bytes:
    """Encode a field with a 64-bit whole number."""
    return _varint(field << 3 | VARINT) + _varint(value & 0xFFFF_FFFF_FFFF_FFFF)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
