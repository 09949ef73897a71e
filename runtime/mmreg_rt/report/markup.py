"""HTML in which text is always escaped, unless it is markup already."""

from __future__ import annotations

from html import escape

from ..text.printable import printable

VOID = frozenset(("br", "hr", "img", "input", "link", "meta"))


class Html(str):
    """A finished piece of markup; any other string is text."""

    __slots__ = ()


def text(value: object) -> Html:
    """Return ``value`` as escaped text, or unchanged if it is markup."""
    return value if isinstance(value, Html) else Html(escape(printable(str(value)), quote=True))


def join(*parts: object) -> Html:
    """Join the parts; leave out ``None``."""
    return Html("".join(text(part) for part in parts if part is not None))


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """Return ``<name attributes>children</name>``; ``class_`` is ``class``, ``aria_label`` ``aria-label``."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{written}>" if name in VOID else f"<{name}{written}>{join(*children)}</{name}>")
