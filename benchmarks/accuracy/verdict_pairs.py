"""Pairs that differ by nature: hearts in two phases, CT and MR slices, photographs and angiograms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.wide_starts import harvard
from benchmarks.datasets.vessels import retina

Array = NDArray[Any]
# MR and CT slices of different studies, aligned to 3 pixels in the archive
HARVARD = (0, 3, 6, 8, 11, 19, 21, 28, 29)

NATURAL = ("acdc_midslice", "camus_4ch", "harvard", "retina")


def natural(data: Path) -> Iterator[tuple[str, str, Array, Array]]:
    """Yield name, organ, fixed and moving ``(1, Y, X)``, aligned except for motion of the living body."""
    for name, organ in (("acdc_midslice", "heart"), ("camus_4ch", "echo")):
        with np.load(data / f"cardiac_2d_pairs/{name}.npz") as hearts:
            for k in range(2, 75, 8):
                fixed, moving = (np.float32(hearts[f"{phase}_image"][k])[None] for phase in ("ed", "es"))
                yield f"{name} {k}", organ, fixed, moving
    for k, (mr, ct) in enumerate(harvard(data)):
        if k in HARVARD:
            yield f"harvard {k}", "head slice", mr.as_float32(), ct.as_float32()
    for seed in range(100, 110):
        eye = retina(seed, 320, (0.0, 0.0), 0.0)
        yield f"retina {seed}", "retina", eye.fixed, eye.moving
