"""The tissues of the head, and their appearance in the two scans."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from .shapes import Floats


class Tissue(IntEnum):
    """Label values of the phantom's label maps; 0 is the air around the head."""

    AIR = 0
    SKIN = 1
    FAT = 2
    MUSCLE = 3
    BONE = 4
    MARROW = 5
    CSF = 6
    GREY = 7
    WHITE = 8
    VENTRICLE = 9
    THALAMUS = 10
    STRIATUM = 11
    CEREBELLUM = 12
    BRAINSTEM = 13
    EYE = 14
    LENS = 15
    VESSEL = 16
    SINUS = 17


# T1-weighted MR, relative to white matter = 1. Bone and air are dark, fat and white matter bright.
MR_SIGNAL = {
    Tissue.AIR: 0.0, Tissue.SKIN: 0.62, Tissue.FAT: 1.18, Tissue.MUSCLE: 0.48, Tissue.BONE: 0.05,
    Tissue.MARROW: 0.52, Tissue.CSF: 0.24, Tissue.GREY: 0.70, Tissue.WHITE: 1.0, Tissue.VENTRICLE: 0.20,
    Tissue.THALAMUS: 0.82, Tissue.STRIATUM: 0.75, Tissue.CEREBELLUM: 0.72, Tissue.BRAINSTEM: 0.90,
    Tissue.EYE: 0.22, Tissue.LENS: 0.6, Tissue.VESSEL: 0.38, Tissue.SINUS: 0.0,
}  # fmt: skip

# CT, Hounsfield units. Bone is bright and air dark, both dark in MR; grey is above white matter, there below.
CT_HOUNSFIELD = {
    Tissue.AIR: -1000.0, Tissue.SKIN: 70.0, Tissue.FAT: -95.0, Tissue.MUSCLE: 55.0, Tissue.BONE: 1150.0,
    Tissue.MARROW: 420.0, Tissue.CSF: 6.0, Tissue.GREY: 41.0, Tissue.WHITE: 28.0, Tissue.VENTRICLE: 4.0,
    Tissue.THALAMUS: 37.0, Tissue.STRIATUM: 44.0, Tissue.CEREBELLUM: 39.0, Tissue.BRAINSTEM: 30.0,
    Tissue.EYE: 10.0, Tissue.LENS: 75.0, Tissue.VESSEL: 62.0, Tissue.SINUS: -990.0,
}  # fmt: skip


class Canvas:
    """Painted tissue at points; a shape covers a point by its depth inside the shape (partial volume)."""

    EDGE_MM = 0.55  # half the width of a border: about half a voxel

    def __init__(self, count: int, contrast: dict[Tissue, float]) -> None:
        self._contrast = contrast
        self.signal = np.full(count, contrast[Tissue.AIR], np.float32)
        self.label: NDArray[np.uint8] = np.zeros(count, np.uint8)

    @contextmanager
    def part(self, chosen: NDArray[np.intp]) -> Iterator[Canvas]:
        """Yield a canvas of some of the points, by index, and copy it back afterwards."""
        part = Canvas(0, self._contrast)
        part.signal, part.label = self.signal[chosen], self.label[chosen]
        yield part
        self.signal[chosen], self.label[chosen] = part.signal, part.label

    def paint(self, distance: Floats, tissue: Tissue, strength: float = 1.0) -> None:
        """Cover ``distance < 0`` with ``tissue``; ``strength`` < 1 mixes with the tissue below."""
        touched = np.flatnonzero(distance < self.EDGE_MM)
        if touched.size == 0:
            return
        depth = distance[touched]
        cover = np.clip(0.5 - depth / (2 * self.EDGE_MM), 0, 1) * np.float32(strength)
        self.signal[touched] += cover * (np.float32(self._contrast[tissue]) - self.signal[touched])
        self.label[touched[depth < 0]] = tissue
