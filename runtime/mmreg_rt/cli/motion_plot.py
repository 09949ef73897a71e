"""The motion of a series as curves: shifts, angles, and the displacement from frame to frame."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

import numpy as np

from .svg import drawn, line, round_numbers, text

if TYPE_CHECKING:
    from ..geometry import Float64

WIDTH, HEIGHT, LEFT, RIGHT, ABOVE, BELOW = 640, 120, 60, 24, 30, 34
COLOURS = ("#b2182b", "#1b7837", "#4477aa")
LEAST_RANGE = 0.02  # mm or degrees: what moves less is drawn flat


def motion_svg(parameters: Float64, moved_mm: Float64) -> str:
    """Draw the six parameters of each frame, and how far it moved from the one before."""
    panels = (
        ("shift, mm", parameters[:, :3].T, "xyz"),
        ("rotation, degrees", np.degrees(parameters[:, 3:]).T, "xyz"),
        ("framewise displacement, mm", moved_mm[None], ""),
    )
    parts: list[Element] = []
    for k, (title, curves, names) in enumerate(panels):
        parts += _panel(title, curves, names, ABOVE + k * (HEIGHT + ABOVE + BELOW))
    return drawn(LEFT + WIDTH + RIGHT, len(panels) * (HEIGHT + ABOVE + BELOW) + 10, parts)


def _panel(title: str, curves: Float64, names: str, top: float) -> list[Element]:
    low, high = min(0.0, float(np.nanmin(curves))), max(0.0, float(np.nanmax(curves)))
    if high - low < LEAST_RANGE:
        low, high = low - LEAST_RANGE / 2, high + LEAST_RANGE / 2
    frames = curves.shape[1]

    def x(frame: float) -> float:
        return float(LEFT + frame / max(frames - 1, 1) * WIDTH)

    def y(value: float) -> float:
        return float(top + (high - value) / (high - low) * HEIGHT)

    parts = [text(title, LEFT, top - 10, 13, "#111")]
    for value in round_numbers(low, high, 4):
        parts += [
            line(LEFT, LEFT + WIDTH, y(value), y(value), "#ddd"),
            text(f"{value:.6g}", LEFT - 6, y(value) + 4, 10, "#666", "end"),
        ]
    for frame in round_numbers(0, max(frames - 1, 1)):
        if frame == int(frame):
            parts.append(text(f"{frame:.0f}", x(frame), top + HEIGHT + 16, 10, "#666", "middle"))
    parts.append(text("frame", LEFT + WIDTH, top + HEIGHT + 28, 10, "#666", "end"))
    for k, curve in enumerate(curves):
        known = np.flatnonzero(np.isfinite(curve))
        points = " ".join(f"{x(frame):.1f},{y(curve[frame]):.1f}" for frame in known)
        style = {"points": points, "fill": "none", "stroke": COLOURS[k], "stroke-width": "1.5"}
        parts.append(Element("polyline", style))
        if names:
            parts.append(text(names[k], LEFT + WIDTH - 40 + 16 * k, top - 10, 13, COLOURS[k]))
    return parts
