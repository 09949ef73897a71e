"""Untrusted text, such as file names, made safe to print and to store.

A file name is bytes on disk: it may contain line breaks, escape sequences that a terminal obeys, marks that
reverse the reading direction, and bytes that are not UTF-8, which Python keeps as lone surrogates.
"""

from __future__ import annotations

import unicodedata

# controls, formatting such as bidirectional marks, lone surrogates, separators of lines and paragraphs
_ESCAPED = ("Cc", "Cf", "Cs", "Zl", "Zp")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str) -> str:
    r"""Return ``text`` on one line, without anything that a terminal or a page would obey.

    A byte that is not UTF-8 becomes ``\xff``, any other character without a glyph ``\x1b`` or ``\u202e``.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_escaped, text))


def valid_unicode(text: str) -> str:
    r"""Return ``text`` with bytes that are not UTF-8 as ``\xff``, otherwise unchanged."""
    if text.isascii():
        return text
    return "".join(_escaped(c) if unicodedata.category(c) == "Cs" else c for c in text)


def _escaped(character: str) -> str:
    if unicodedata.category(character) not in _ESCAPED:
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # Python's surrogate for a byte that it could not decode
        return f"\\x{code - 0xDC00:02x}"
    short = f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return _SHORT.get(character, short)
