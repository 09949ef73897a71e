"""How times are distributed: in blocks for a terminal, as SVG for a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..report.markup import Html, tag
from .latency import figures

if TYPE_CHECKING:
    from ..geometry import Float64

BLOCKS = " ▁▂▃▄▅▆▇█"
WIDTH, HEIGHT, MARGIN, BINS = 640, 150, 40, 48
SHOWN = {"p50": "#1b7837", "p90": "#b35806", "p99": "#b2182b"}


def blocks(samples_s: list[float], columns: int = 48) -> str:
    """A histogram in one line, with its ends in ms."""
    counts, edges = _histogram(samples_s, columns)
    heights = np.ceil(counts / counts.max() * (len(BLOCKS) - 1)).astype(int)
    return f"{edges[0]:.2f} {''.join(BLOCKS[h] for h in heights)} {edges[-1]:.2f} ms"


def svg(rows: list[tuple[str, list[float]]]) -> str:
    """One histogram below the other, each with its title, its scale in ms, and where the percentiles lie."""
    panels = [_panel(title, samples, 10 + i * (HEIGHT + 60)) for i, (title, samples) in enumerate(rows)]
    height = 10 + len(rows) * (HEIGHT + 60)
    box = f"0 0 {WIDTH + 2 * MARGIN} {height}"
    back = tag("rect", width=WIDTH + 2 * MARGIN, height=height, fill="#fff")
    return tag(
        "svg", back, *panels, xmlns="http://www.w3.org/2000/svg", viewBox=box, font_family="sans-serif"
    )


def _panel(title: str, samples_s: list[float], top: int) -> Html:
    counts, edges = _histogram(samples_s, BINS)
    base, step = top + 24 + HEIGHT, WIDTH / BINS
    bars = [
        tag("rect", x=f"{MARGIN + i * step:.1f}", y=f"{base - h:.1f}", width=f"{step - 1:.1f}",
            height=f"{h:.1f}", fill="#4477aa")
        for i, h in enumerate(counts / counts.max() * (HEIGHT - 20)) if h
    ]  # fmt: skip
    ends = [
        tag("text", f"{edges[i]:.2f} ms", x=x, y=base + 16, text_anchor=anchor, font_size=11, fill="#444")
        for i, x, anchor in ((0, MARGIN, "start"), (-1, MARGIN + WIDTH, "end"))
    ]
    axis = tag("line", x1=MARGIN, x2=MARGIN + WIDTH, y1=base, y2=base, stroke="#444")
    name = tag("text", title, x=MARGIN, y=top + 12, font_size=13, fill="#111")
    return tag("g", name, *bars, axis, *ends, *_percentiles(samples_s, edges, top, base))


def _percentiles(samples_s: list[float], edges: Float64, top: int, base: int) -> list[Html]:
    """A dashed line at each, and its value in the title's row, from the right."""
    marks, found = [], figures(samples_s)
    for i, (name, colour) in enumerate(SHOWN.items()):
        x = MARGIN + (found[name] - edges[0]) / (edges[-1] - edges[0]) * WIDTH
        words = f"{name} {found[name]:.2f}"
        marks += [
            tag("line", x1=f"{x:.1f}", x2=f"{x:.1f}", y1=top + 24, y2=base, stroke=colour,
                stroke_dasharray="4 3", stroke_width=1.5),
            tag("text", words, x=MARGIN + WIDTH - (2 - i) * 90, y=top + 12, text_anchor="end", font_size=12,
                fill=colour),
        ]  # fmt: skip
    return marks


def _histogram(samples_s: list[float], bins: int) -> tuple[Float64, Float64]:
    """Counts and edges in ms; equal samples get a bin around them."""
    values = np.asarray(samples_s) * 1e3
    low, high = values.min(), values.max()
    spread = max(high - low, 1e-3)
    return np.histogram(values, bins, (low, low + spread))
