"""Pictures of planes: pure functions from sampled values to palette indices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .png import data_uri, ramp

Array = NDArray[np.floating]

BLACK, WHITE = (8, 10, 13), (255, 255, 255)
GREY = ramp((BLACK, WHITE))
# Checkerboard: tiles of the fixed scan are grey, those of the other scan have the colour of old paper.
TILES = np.vstack([ramp((BLACK, WHITE), 128), ramp((BLACK, (146, 120, 90), (255, 236, 204)), 128)])
EDGE_COLOUR = (64, 224, 208)
GRID_COLOUR = (255, 190, 92)
# Blue where space shrinks, red where it grows, nearly white where its volume stays.
DIVERGING = (
    (24, 62, 128),
    (70, 130, 196),
    (168, 205, 228),
    (246, 246, 244),
    (244, 190, 160),
    (212, 96, 76),
    (128, 16, 40),
)
SEQUENTIAL = ((250, 250, 247), (214, 228, 200), (140, 196, 178), (66, 146, 164), (40, 88, 140), (36, 36, 92))
FOLD_COLOUR = (255, 0, 255)
NOTHING = (226, 229, 234)  # where a map has no value
LEVELS, SHADES = 4, 63  # shades of a line drawn over a picture, and of the picture


@dataclass(frozen=True, eq=False)
class Picture:
    """Indices into a palette."""

    indices: NDArray[np.uint8]  # (h, w)
    palette: NDArray[np.uint8]  # (n, 3)
    light: bool = False  # text over it must be dark

    @property
    def uri(self) -> str:
        """The picture as a ``data:`` address."""
        return data_uri(self.indices, self.palette)


class Tone:
    """A display brightness curve per scan: histogram equalisation with a bounded slope.

    It shows brain and bone of a CT in one picture without knowing the modality. Slopes are limited to
    ``contrast`` times that of a plain window, as in contrast-limited equalisation (Zuiderveld, 1994).
    """

    def __init__(self, data: Array, contrast: float = 5.0) -> None:
        values = data.reshape(-1)[:: max(1, data.size // 200_000)].astype(np.float64)
        values = values[np.isfinite(values)]
        if values.size == 0:
            values = np.zeros(1)
        low, high = np.percentile(values, (0.5, 99.7))
        self.edges = np.linspace(low, max(high, low + 1e-6 * (1 + abs(low))), 257)
        counts = np.histogram(values, self.edges)[0].astype(np.float64)
        counts[: _air(counts)] = 0  # the air around the body, with its noise, is not content
        weights = np.minimum(counts, contrast * counts.mean()) + 0.12 * counts.mean() + 1e-12
        self.curve = np.concatenate([[0], np.cumsum(weights)]) / weights.sum()

    def __call__(self, values: Array) -> Array:
        """Return brightness, 0 to 1; NaN where the value is NaN."""
        return np.where(np.isnan(values), np.nan, np.interp(values, self.edges, self.curve))


def grey(brightness: Array) -> Picture:
    """Return a grey picture."""
    return Picture(_levels(brightness, 256), GREY)


def checkerboard(one: Array, other: Array, tiles: int = 9) -> Picture:
    """Return tiles of ``one`` in grey and of ``other`` in the colour of paper."""
    size = max(8, round(max(one.shape) / tiles))
    row, column = np.indices(one.shape) // size
    return Picture(
        np.where((row + column) % 2 == 0, _levels(one, 128), 128 + _levels(other, 128)).astype(np.uint8),
        TILES,
    )


def outlined(brightness: Array, line: Array, colour: tuple[int, int, int] = EDGE_COLOUR) -> Picture:
    """Return a grey picture with a line drawing, ``line`` 0 to 1, over it."""
    return _drawn(np.nan_to_num(brightness), line, (BLACK, WHITE), colour)


def coloured(
    place: Array,
    line: Array,
    anchors: Sequence[tuple[int, int, int]],
    colour: tuple[int, int, int] = (30, 34, 40),
    strength: float = 0.67,
) -> Picture:
    """Return a colour map, ``place`` 0 to 1 along ``anchors``, with a line drawing over it."""
    return replace(_drawn(place, strength * line, anchors, colour), light=True)


def edges(brightness: Array, keep: float = 0.09) -> Array:
    """Return outlines, 0 to 1: the strongest ``keep`` of all pixels on ridges of the gradient (Canny, 1986).

    Isolated specks, with hardly another outline within four pixels, are noise and left out.
    """
    gy, gx = np.gradient(_blur(brightness, 5))
    strength = np.hypot(gx, gy)
    ridge = _is_ridge(strength, gx, gy) & (strength > max(4e-3, 0.08 * strength.max()))
    if not ridge.any():
        return np.zeros_like(brightness)
    count = min(int(keep * strength.size), int(ridge.sum()))
    ridge &= strength >= np.partition(strength[ridge], -count)[-count]
    return np.asarray(ridge & (_window_sum(ridge, 4) >= 8), np.float64)


def grid_lines(across: Array, up: Array, step_mm: float) -> Array:
    """Return lines, 0 to 1, about a pixel wide, at positions (mm) that are multiples of ``step_mm``."""
    line = np.zeros_like(across)
    for position in (across / step_mm, up / step_mm):
        gy, gx = np.gradient(position)
        pixels = np.abs(position - np.rint(position)) / np.maximum(np.hypot(gx, gy), 1e-6)
        line = np.maximum(line, np.clip(1.25 - pixels, 0, 1))
    return line


def _levels(brightness: Array, count: int) -> NDArray[np.uint8]:
    return np.asarray(np.clip(np.nan_to_num(brightness) * count, 0, count - 1), np.uint8)


def _air(counts: Array) -> int:
    """Return the bin where the darkest peak of a histogram ends, at most Otsu's threshold."""
    peak = int(np.argmax(counts[: len(counts) // 4]))
    after = np.flatnonzero(counts[peak:] < 0.05 * counts[peak])
    return min(_otsu(counts), peak + int(after[0])) if after.size else 0


def _otsu(counts: Array) -> int:
    """Return the bin that best separates dark from bright (Otsu, 1979)."""
    share = np.cumsum(counts) / max(counts.sum(), 1e-12)
    mean = np.cumsum(counts * np.arange(len(counts))) / max(counts.sum(), 1e-12)
    between = (mean[-1] * share - mean) ** 2 / np.maximum(share * (1 - share), 1e-12)
    return int(np.argmax(between))


def _drawn(
    place: Array, line: Array, anchors: Sequence[tuple[int, int, int]], over: tuple[int, int, int]
) -> Picture:
    """Draw with ``LEVELS`` palettes, covered more and more by ``over``, and one colour for no value."""
    colours = ramp(anchors, SHADES)
    cover = np.linspace(0, 1, LEVELS)[:, None, None]
    palette = ((1 - cover) * colours + cover * np.array(over)).reshape(-1, 3)
    level = np.asarray(np.rint(np.clip(np.nan_to_num(line), 0, 1) * (LEVELS - 1)), np.uint8)
    indices = np.where(np.isnan(place), LEVELS * SHADES, level * np.uint8(SHADES) + _levels(place, SHADES))
    palette = np.asarray(np.rint(np.vstack([palette, NOTHING])), np.uint8)
    return Picture(np.asarray(indices, np.uint8), palette)


def _blur(image: Array, passes: int) -> Array:
    """Blur by repeated (1 2 1) / 4 along both axes: a Gaussian of sqrt(passes / 2) pixels."""
    image = np.nan_to_num(image)
    for _ in range(passes):
        for axis in (0, 1):
            padded = np.pad(image, [(1, 1) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
            parts = [np.take(padded, range(s, s + image.shape[axis]), axis) for s in (0, 1, 2)]
            image = (parts[0] + 2 * parts[1] + parts[2]) / 4
    return image


def _window_sum(mask: Array, reach: int) -> Array:
    """Count the pixels of ``mask`` within ``reach`` rows and columns."""
    total = np.pad(mask.astype(np.int64), reach).cumsum(0).cumsum(1)
    total = np.pad(total, ((1, 0), (1, 0)))
    size = 2 * reach + 1
    return np.asarray(
        total[size:, size:] - total[:-size, size:] - total[size:, :-size] + total[:-size, :-size]
    )


def _is_ridge(strength: Array, gx: Array, gy: Array) -> NDArray[np.bool_]:
    """Return whether the gradient is largest along its own direction, rounded to one of four."""
    sector = np.rint(np.arctan2(gy, gx) / (np.pi / 4)).astype(int) % 4
    around = np.pad(strength, 1)
    ridge = np.zeros(strength.shape, bool)
    h, w = strength.shape
    for which, (dy, dx) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        ahead = around[1 + dy : 1 + dy + h, 1 + dx : 1 + dx + w]
        behind = around[1 - dy : 1 - dy + h, 1 - dx : 1 - dx + w]
        ridge |= (sector == which) & (strength >= ahead) & (strength > behind)
    return ridge
