"""Parts of drawings as SVG."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, tostring

from ..text.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable


def drawn(width: float, height: float, parts: Iterable[Element]) -> str:
    """Return a drawing of these parts on white."""
    picture = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {width:g} {height:g}",
            "font-family": "sans-serif",
        },
    )
    picture.append(Element("rect", width="100%", height="100%", fill="#fff"))
    picture.extend(parts)
    return tostring(picture, encoding="unicode")


def round_numbers(low: float, high: float, count: int = 7) -> list[float]:
    """Return about ``count`` multiples of 1, 2 or 5 times a power of ten between two numbers."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((power * factor for factor in (1, 2, 5, 10)), key=lambda size: abs(math.log(size / rough)))
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def line(x1: float, x2: float, y1: float, y2: float, colour: str, dashes: str | None = None) -> Element:
    """Return a straight line."""
    ends = {"x1": x1, "x2": x2, "y1": y1, "y2": y2}
    made = Element("line", {name: f"{value:.1f}" for name, value in ends.items()}, stroke=colour)
    if dashes is not None:
        made.attrib |= {"stroke-width": "1.5", "stroke-dasharray": dashes}
    return made


def text(words: str, x: float, y: float, size: int, colour: str, anchor: str = "start") -> Element:
    """Return one line of text."""
    style = {"x": f"{x:.1f}", "y": f"{y:.1f}", "font-size": str(size), "fill": colour, "text-anchor": anchor}
    element = Element("text", style)
    element.text = printable(words)
    return element
