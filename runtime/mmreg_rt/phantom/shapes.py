"""Shapes as signed distances, in mm: negative inside, about one mm per mm near the surface.

Every function takes the coordinates of ``n`` points as three float32 arrays, so a scene is a few dozen
lines of arithmetic that can be evaluated at any point of space, not only on a grid.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]  # float32; operations that numpy promotes may give float64


class Points(NamedTuple):
    """Right, anterior and superior coordinates of ``n`` points, mm."""

    x: Floats
    y: Floats
    z: Floats

    def mirrored(self) -> Points:
        """Fold the left half onto the right one, for paired organs."""
        return Points(np.abs(self.x), self.y, self.z)

    def at(self, chosen: NDArray[np.intp]) -> Points:
        """Return some of the points, by index."""
        return Points(self.x[chosen], self.y[chosen], self.z[chosen])


Triple = tuple[float, float, float]


def ellipsoid(p: Points, center: Triple, radii: Triple) -> Floats:
    """Return the first-order distance to an ellipsoid: k (k - 1) / |grad k| with k = |p / r|."""
    a, b, c = ((axis - m) / r for axis, m, r in zip(p, center, radii, strict=True))
    k = np.sqrt(a * a + b * b + c * c) + np.float32(1e-6)
    slope = np.sqrt((a / radii[0]) ** 2 + (b / radii[1]) ** 2 + (c / radii[2]) ** 2) + np.float32(1e-6)
    return np.asarray(k * (k - 1) / slope, np.float32)


def capsule(p: Points, start: Triple, end: Triple, radius: float, end_radius: float | None = None) -> Floats:
    """Return the distance to the segment ``start`` to ``end``, minus a radius that varies along it."""
    along = [b - a for a, b in zip(start, end, strict=True)]
    rel = [axis - a for axis, a in zip(p, start, strict=True)]
    length2 = sum(v * v for v in along)
    t = np.clip((rel[0] * along[0] + rel[1] * along[1] + rel[2] * along[2]) / length2, 0, 1)
    square = (rel[0] - t * along[0]) ** 2 + (rel[1] - t * along[1]) ** 2 + (rel[2] - t * along[2]) ** 2
    thickness = radius if end_radius is None else radius + t * (end_radius - radius)
    return np.asarray(np.sqrt(square) - thickness, np.float32)


def blend(a: Floats, b: Floats, width: float) -> Floats:
    """Unite two shapes, with the seam rounded over ``width`` mm (polynomial smooth minimum)."""
    h = np.clip(width - np.abs(a - b), 0, None) / width
    return np.asarray(np.minimum(a, b) - h * h * np.float32(width / 4))


def carve(a: Floats, b: Floats, width: float) -> Floats:
    """Intersect two shapes, with a rounded edge."""
    return -blend(-a, -b, width)


class Sheets:
    """A random, non-repeating family of curved sheets: the zero set of a gyroid in warped coordinates.

    ``value`` is about the signed distance to the nearest sheet in mm; neighbouring sheets are about
    ``spacing`` mm apart. Sulci, folia, trabeculae and air cells are all made from it.
    """

    def __init__(self, rng: np.random.Generator, spacing: float, warp: float = 0.45) -> None:
        self.wavenumber = np.pi / spacing
        self.phase = rng.uniform(0, 2 * np.pi, 3)
        self.warp_amplitude = warp * spacing
        self.warp_waves = rng.normal(0, 1 / (2.2 * spacing), (3, 3)) * np.pi
        self.warp_phase = rng.uniform(0, 2 * np.pi, 3)

    def value(self, p: Points) -> Floats:
        """Return the approximate signed distance to the nearest sheet, mm."""
        q = []
        for i in range(3):
            wave = [float(w) for w in self.warp_waves[i]]
            bend = np.sin(p.x * wave[0] + p.y * wave[1] + p.z * wave[2] + float(self.warp_phase[i]))
            q.append((p[i] + self.warp_amplitude * bend) * self.wavenumber + float(self.phase[i]))
        sine, cosine = [np.sin(v) for v in q], [np.cos(v) for v in q]
        gyroid = sine[0] * cosine[1] + sine[1] * cosine[2] + sine[2] * cosine[0]
        return np.asarray(gyroid / (1.45 * self.wavenumber), np.float32)  # 1.45: mean slope near zero


class Ripples:
    """A smooth random function of space, about -1 to 1, with features of size ``wavelength`` mm."""

    def __init__(self, rng: np.random.Generator, wavelength: float, count: int = 4) -> None:
        direction = rng.normal(size=(count, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        self.waves = direction * 2 * np.pi / (wavelength * rng.uniform(0.75, 1.5, (count, 1)))
        self.phase = rng.uniform(0, 2 * np.pi, count)

    def value(self, p: Points) -> Floats:
        """Evaluate the function at each point."""
        total = np.zeros_like(p.x)
        for (a, b, c), phase in zip(self.waves.tolist(), self.phase.tolist(), strict=True):
            total += np.sin(p.x * a + p.y * b + p.z * c + phase)
        return np.asarray(total / np.float32(np.sqrt(2 * len(self.phase))), np.float32)
