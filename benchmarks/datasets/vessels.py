"""Synthetic retina images: thin vessel trees in two contrasts, with known shift and rotation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[Any]
MARGIN = 0.5  # of the tree beyond the field of view, in image widths


Mark = tuple[float, float, float]  # y, x, width


def branch(rng: np.random.Generator, at: Mark, angle: float, into: list[Mark]) -> None:
    """Walk from ``at`` with random bends, and fork until the vessel is thin."""
    y, x, width = at
    steps = int(rng.uniform(20, 50))
    angles = angle + np.cumsum(rng.normal(0, 0.12, steps))
    ys, xs = y + 3 * np.cumsum(np.sin(angles)), x + 3 * np.cumsum(np.cos(angles))
    into.extend((float(p), float(q), width) for p, q in zip(ys, xs, strict=True))
    if width > 1.2:
        for side in (-1, 1):
            end = (float(ys[-1]), float(xs[-1]), width * rng.uniform(0.6, 0.8))
            branch(rng, end, float(angles[-1]) + side * rng.uniform(0.15, 0.9), into)


def tree(rng: np.random.Generator, size: int) -> Array:
    """Return the thickness of vessels, 0 to 1, on a canvas larger than the image on all sides."""
    n = int(size * (1 + 2 * MARGIN))
    marks: list[Mark] = []
    for _ in range(max(6, n // 60)):
        y, x = rng.uniform(0, n, 2)
        branch(rng, (y, x, size / 640 * rng.uniform(3, 6) + 0.8), rng.uniform(0, 2 * np.pi), marks)
    places, widths = np.round([m[:2] for m in marks]).astype(int), np.array([m[2] for m in marks])
    canvas = np.zeros((n, n))
    edges = np.linspace(widths.min(), widths.max() + 1e-6, 6)
    for low, high in zip(edges, edges[1:], strict=False):
        inside = ((places >= 0) & (places < n)).all(1) & (widths >= low) & (widths < high)
        spots = np.ones((n, n), bool)
        spots[tuple(places[inside].T)] = False
        if inside.any():
            distance = ndimage.distance_transform_edt(spots) - (low + high) / 2
            canvas = np.maximum(canvas, 1 / (1 + np.exp(np.clip(1.5 * distance, -30, 30))))
    return canvas


@dataclass(frozen=True)
class Retina:
    """Two images; ``truth`` maps points (0, y, x) of the fixed one to the moving one, in pixels."""

    fixed: Array
    moving: Array
    truth: Array


def contrast(vessels: Array, rng: np.random.Generator, bright: bool) -> Array:
    """Render vessels dark (a photograph) or bright (an angiogram), lit from one side, with noise."""
    n = vessels.shape[0]
    y, x = np.indices(vessels.shape) / n - 0.5
    direction = rng.uniform(0, 2 * np.pi)
    light = 1 + 0.5 * (np.cos(direction) * x + np.sin(direction) * y) - 0.6 * (x * x + y * y)
    blotches = ndimage.gaussian_filter(rng.normal(size=vessels.shape), n / 25)
    ground = 0.5 + 0.05 * blotches / blotches.std()
    image = light * (0.4 * ground + 0.5 * vessels if bright else ground - 0.2 * vessels)
    return (100 * (image + rng.normal(0, 0.015, image.shape))).astype(np.float32)


def retina(seed: int, size: int, shift: tuple[float, float], degrees: float) -> Retina:
    """Create a pair whose overlap lacks the strip moved out of the image by ``shift``.

    Args:
        seed: Seed of tree, light and noise.
        size: Side of the square images, in pixels.
        shift: Shift of the middle of the fixed image along y and x, in pixels.
        degrees: Rotation about the middle.
    """
    rng = np.random.default_rng(seed)
    vessels = tree(rng, size)
    middle = (size - 1) / 2
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[c, -s], [s, c]])
    truth = np.eye(4)
    truth[1:3, 1:3] = turn
    truth[1:3, 3] = np.full(2, middle) + shift - turn @ np.full(2, middle)
    index = np.stack(np.indices((size, size)), -1) - truth[1:3, 3]
    sources = (np.stack(np.indices((size, size)), -1), index @ turn)  # the inverse of turn is its transpose
    pictures = [
        ndimage.map_coordinates(vessels, list(np.moveaxis(p + size * MARGIN, -1, 0)), order=1)
        for p in sources
    ]
    images = [contrast(picture, rng, bright) for picture, bright in zip(pictures, (False, True), strict=True)]
    return Retina(images[0][None], images[1][None], truth)
