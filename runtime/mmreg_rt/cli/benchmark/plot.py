"""The distribution of times: as blocks for a terminal, as SVG for a page.

Stragglers that would squeeze all other samples into one bar are only counted, at the end of the axis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

import numpy as np

from ..svg import drawn, line, round_numbers, text
from .measure import figures

if TYPE_CHECKING:
    from ...geometry import Float64

BLOCKS = " ▁▂▃▄▅▆▇█"
WIDTH, HEIGHT, LEFT, RIGHT = 640, 110, 46, 34
BINS = 24, 64  # least and most, by the number of samples
HEADING, CAPTION, BELOW = 34, 42, 26  # heights above and below the bars of a panel
COLOURS = {"p50": "#1b7837", "p90": "#b35806", "p99": "#b2182b", "max": "#444"}
BARS = {"total": "#4477aa", "under contention": "#aa7744"}
STRAGGLER = 1.0  # limit beyond p99, in units of p99 minus the minimum
Row = tuple[str, list[float], list[float]]  # title, seconds, seconds under contention


@dataclass(frozen=True)
class Histogram:
    """Counts, edges in ms, and the number of samples ``beyond`` the last edge."""

    counts: Float64
    edges: Float64
    beyond: int


def blocks(samples_s: list[float], columns: int = 48) -> str:
    """Return a histogram in one line, with its ends in ms."""
    distribution = histogram(samples_s, columns)
    heights = np.ceil(distribution.counts / distribution.counts.max() * (len(BLOCKS) - 1)).astype(int)
    ends = f"{distribution.edges[-1]:.2f} ms" + (
        f", {distribution.beyond} beyond" if distribution.beyond else ""
    )
    return f"{distribution.edges[0]:.2f} {''.join(BLOCKS[h] for h in heights)} {ends}"


def svg(heading: str, rows: list[Row]) -> str:
    """Draw the distribution of the total for each size, and below it that under contention."""
    parts, top = [text(heading, LEFT, 26, 16, "#111")], 34.0
    for title, alone, contended in rows:
        parts.append(text(title, LEFT, top + 20, 14, "#111"))
        top += HEADING
        for name, samples in (("total", alone), ("under contention", contended)):
            if samples:
                mark_ms = None if samples is alone else figures(alone)["p50"]
                panel = Element("g", {"class": "panel"})
                panel.extend(_panel(name, samples, top, mark_ms))
                parts.append(panel)
                top += CAPTION + HEIGHT + BELOW
    return drawn(LEFT + WIDTH + RIGHT, top, parts)


def histogram(samples_s: list[float], bins: int, include_ms: float | None = None) -> Histogram:
    """Count samples in seconds; the axis includes ``include_ms``. Equal samples get a bin around them."""
    values = np.asarray(samples_s) * 1e3
    low, p99, high = values.min(), np.percentile(values, 99), values.max()
    high = min(high, p99 + STRAGGLER * (p99 - low))
    if include_ms is not None:
        low, high = min(low, include_ms), max(high, include_ms)
    high = max(high, low + 1e-3)
    counts, edges = np.histogram(values, bins, (low, high))
    return Histogram(counts, edges, int((values > edges[-1]).sum()))


def _panel(name: str, samples_s: list[float], top: float, mark_ms: float | None) -> list[Element]:
    bins = min(max(3 * math.isqrt(len(samples_s)), BINS[0]), BINS[1])
    distribution = histogram(samples_s, bins, mark_ms)
    base, most = top + CAPTION + HEIGHT, distribution.counts.max()
    step = WIDTH / bins
    bars = [
        Element("rect", x=f"{LEFT + i * step:.1f}", y=f"{base - h:.1f}", width=f"{step - 1:.1f}",
                height=f"{h:.1f}", fill=BARS[name])
        for i, h in enumerate(distribution.counts / most * HEIGHT) if h
    ]  # fmt: skip
    return [
        text(f"{name}, {len(samples_s)} runs", LEFT, top + 14, 12, BARS[name]),
        text(f"{most:g}", LEFT - 6, base - HEIGHT + 4, 10, "#666", "end"),
        text("0", LEFT - 6, base + 4, 10, "#666", "end"),
        line(LEFT, LEFT + WIDTH, base - HEIGHT, base - HEIGHT, "#ddd"),
        *bars,
        line(LEFT, LEFT + WIDTH, base, base, "#444"),
        *_ticks(distribution, base),
        *_percentiles(samples_s, distribution, top, base),
        *_mark(distribution, top, base, mark_ms),
    ]


def _ticks(distribution: Histogram, base: float) -> list[Element]:
    """Draw round numbers along the axis, and the count beyond its end."""
    parts = []
    for value_ms in round_numbers(distribution.edges[0], distribution.edges[-1]):
        x = _x(distribution, value_ms)
        parts += [
            line(x, x, base, base + 4, "#444"),
            text(f"{value_ms:.10g}", x, base + 16, 11, "#444", "middle"),
        ]
    parts.append(text("ms", LEFT + WIDTH + 8, base + 4, 11, "#444"))
    if distribution.beyond:
        parts.append(
            text(f"{distribution.beyond} beyond", LEFT + WIDTH, base - HEIGHT - 5, 10, "#444", "end")
        )
    return parts


def _percentiles(samples_s: list[float], distribution: Histogram, top: float, base: float) -> list[Element]:
    """Draw a dashed line at each percentile, and its value above the bars."""
    parts, values = [], {name: ms for name, ms in figures(samples_s).items() if ms is not None}
    for place, (name, ms) in enumerate(reversed(values.items())):
        colour = COLOURS[name]
        right = LEFT + WIDTH - 92 * place
        parts.append(text(f"{name} {ms:.4g} ms", right, top + 14, 12, colour, "end"))
        if ms <= distribution.edges[-1]:
            x = _x(distribution, ms)
            parts.append(line(x, x, base - HEIGHT, base, colour, dashes="4 3"))
    return parts


def _mark(distribution: Histogram, top: float, base: float, mark_ms: float | None) -> list[Element]:
    """Mark the median of the runs without contention."""
    if mark_ms is None:
        return []
    x = _x(distribution, mark_ms)
    words = text("p50 alone", x, top + CAPTION - 6, 10, BARS["total"], "start")
    return [line(x, x, top + CAPTION - 4, base, BARS["total"]), words]


def _x(distribution: Histogram, ms: float) -> float:
    return float(
        LEFT + (ms - distribution.edges[0]) / (distribution.edges[-1] - distribution.edges[0]) * WIDTH
    )
