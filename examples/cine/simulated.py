"""A simulated cine with known motion: in a slice of a chest organs move with breathing, the skin stays."""

from __future__ import annotations

import numpy as np

SIDE, PIXEL_MM, FRAME_S = 128, 1.5, 0.2
BREATH_S, AMPLITUDE_PX, NOISE = 4.0, 6.0, 0.03
# centre and radii of ellipses, as shares of the side, and their brightness; the first is the body
ORGANS = (
    (0.00, 0.00, 0.36, 0.42, 0.5),
    (-0.08, 0.05, 0.12, 0.15, 0.8),
    (0.12, -0.20, 0.04, 0.04, 1.0),
    (-0.05, -0.22, 0.04, 0.05, 0.7),
    (0.20, 0.10, 0.05, 0.09, 0.6),
    (0.17, 0.23, 0.03, 0.03, 1.0),
)
LESION = (79, 38)  # row and column of the centre of the third


def motion_px(places, time_s):
    """Return the displacement (2, ...) in pixels of what is at these places now from its place at rest."""
    y, x = (places - SIDE / 2) / np.reshape([0.40 * SIDE, 0.44 * SIDE], (2, *[1] * (places.ndim - 1)))
    down = AMPLITUDE_PX * np.sin(2 * np.pi * time_s / BREATH_S) * np.clip(1 - y**2 - x**2, 0, 1)
    return np.stack([down, down / 3])


def moved_px(place, time_s):
    """Return where the point that is here at rest has moved to."""
    now = np.asarray(place, float)
    for _ in range(50):  # now = place + motion(now), a contraction
        now = place + motion_px(now, time_s)
    return now


def frame(time_s):
    """Return the image (SIDE, SIDE) at a time, with noise of its own."""
    places = np.mgrid[:SIDE, :SIDE].astype(float)
    y, x = (places - motion_px(places, time_s) - SIDE / 2) / SIDE
    image = np.random.default_rng(round(1e6 * time_s)).normal(0, NOISE, (SIDE, SIDE))
    for cy, cx, ry, rx, bright in ORGANS:
        outside_px = SIDE * min(ry, rx) * (np.hypot((y - cy) / ry, (x - cx) / rx) - 1)
        image += bright / (1 + np.exp(np.clip(1.5 * outside_px, -50, 50)))  # an edge of about two pixels
    return image.astype(np.float32)


def cine(breaths=2):
    """Return frames (T, 1, SIDE, SIDE), their affine and their times in seconds; the first is at rest."""
    times_s = np.arange(0, breaths * BREATH_S, FRAME_S)
    # coronal: slices to the front, rows down, columns to the left of the patient
    affine = np.array([[0, 0, -PIXEL_MM, 0], [PIXEL_MM, 0, 0, 0], [0, -PIXEL_MM, 0, 0], [0, 0, 0, 1]], float)
    return np.stack([frame(time_s)[None] for time_s in times_s]), affine, times_s
