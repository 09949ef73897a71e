"""Text that others chose, such as names of files, made safe to show and to store.

A name of a file is bytes on disk: it may hold line breaks, escape sequences that a terminal obeys, marks that
turn the reading direction, and bytes that are no UTF-8, which Python keeps as lone surrogates.
"""

from __future__ import annotations

import unicodedata

# controls, formatting such as bidirectional marks, lone surrogates, separators of lines and paragraphs
_ESCAPED = ("Cc", "Cf", "Cs", "Zl", "Zp")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str) -> str:
    """Return ``text`` on one line, without anything that a terminal or a page would obey.

    A byte that is no UTF-8 is shown as ``\\xff``, every other character without a glyph as ``\\x1b`` or
    ``\\u202e``.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown, text))


def valid_unicode(text: str) -> str:
    """Return ``text`` with bytes that are no UTF-8 as ``\\xff``; everything else stays as it is."""
    if text.isascii():
        return text
    return "".join(_shown(c) if unicodedata.category(c) == "Cs" else c for c in text)


def _shown(character: str) -> str:
    if unicodedata.category(character) not in _ESCAPED:
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps a byte that it could not decode
        return f"\\x{code - 0xDC00:02x}"
    short = f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return _SHORT.get(character, short)
