"""Planes through a scan: the position of each pixel in space, and the value of any image there.

Volumes and fields are sampled at the same points of space, so scans on different grids, with any obliqueness
and spacing, appear in one frame and to scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from ..geometry import Grid, Volume

Array = NDArray[np.floating]

LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))  # towards lower and higher x, y, z
# name, axis and sense to the right of the picture, axis and sense upwards; the patient's right is on the left
VIEWS = (("axial", (0, -1), (1, 1)), ("coronal", (0, -1), (2, 1)), ("sagittal", (1, -1), (2, 1)))


@dataclass(frozen=True, eq=False)
class Plane:
    """The points of one picture."""

    name: str
    points: NDArray[np.float64]  # (h, w, 3), RAS+ mm
    pixel_mm: float
    left: str  # the side of the patient at each border of the picture
    right: str
    top: str
    bottom: str

    @property
    def right_mm(self) -> Array:
        """Unit vector to the right of the picture, RAS+."""
        return _unit(self.points[0, -1] - self.points[0, 0])

    @property
    def up_mm(self) -> Array:
        """Unit vector upwards, RAS+."""
        return _unit(self.points[0, 0] - self.points[-1, 0])


def planes(*volumes: Volume, across_px: int = 340) -> list[list[Plane]]:
    """Return up to three planes per volume along its axes, through the middle of its content; one if 2-D.

    All pictures have the same scale and width, and those of one view the same height.
    """
    views = [_views(volume.grid) for volume in volumes]
    width_mm = max(
        _extent_mm(v.grid, axes[0])
        for v, axes_by_view in zip(volumes, views, strict=True)
        for axes in axes_by_view.values()
    )
    pixel_mm = width_mm / across_px
    height_mm: dict[str, float] = {}
    for volume, axes_by_view in zip(volumes, views, strict=True):
        for name, axes in axes_by_view.items():
            height_mm[name] = max(_extent_mm(volume.grid, axes[1]), height_mm.get(name, 0))
    return [
        [
            _plane(volume, name, axes, (width_mm, height_mm[name]), pixel_mm)
            for name, axes in axes_by_view.items()
        ]
        for volume, axes_by_view in zip(volumes, views, strict=True)
    ]


def patient_axes(grid: Grid) -> tuple[int, int, int]:
    """Return for each array axis the patient axis (0 x, 1 y, 2 z) closest to it, each used once."""
    cosines = np.abs(grid.affine[:3, :3] / grid.spacing_mm)
    a, b, c = max(permutations((0, 1, 2)), key=lambda p: float(sum(cosines[p[i], i] for i in range(3))))
    return a, b, c


def orientation(grid: Grid) -> str:
    """Return where array axes 2, 1, 0 (x, y, z of a NIfTI file) run to: ``RAS`` is right, front, head."""
    role = patient_axes(grid)
    return "".join(LETTERS[role[i]][int(grid.affine[role[i], i] > 0)] for i in (2, 1, 0))


def sample(data: Array, grid: Grid, points: Array) -> Array:
    """Sample ``data`` (..., D, H, W) trilinearly at points (h, w, 3), RAS+ mm; NaN outside."""
    back = np.linalg.inv(grid.affine)
    # not a matrix product: BLAS would start threads for three columns
    index = np.einsum("nj,ij->ni", points.reshape(-1, 3), back[:3, :3]) + back[:3, 3]
    last = np.array(grid.shape) - 1
    inside = np.asarray(((index >= -0.5) & (index <= last + 0.5)).all(axis=1))
    index = np.clip(index[inside], 0, last)
    low = np.minimum(index.astype(np.intp), np.maximum(last - 1, 0))
    t, high = (index - low).astype(np.float32), np.minimum(low + 1, last)
    corners = [((low[:, a], 1 - t[:, a]), (high[:, a], t[:, a])) for a in range(3)]
    value = sum(
        w0 * w1 * w2 * data[..., i0, i1, i2]
        for i0, w0 in corners[0]
        for i1, w1 in corners[1]
        for i2, w2 in corners[2]
    )
    out = np.full((*data.shape[:-3], len(inside)), np.nan, np.float32)
    out[..., inside] = value
    return out.reshape(*data.shape[:-3], *points.shape[:-1])


def sample_vectors(field: Array, grid: Grid, points: Array) -> Array:
    """Sample ``field`` (3, D, H, W) trilinearly at points (h, w, 3) as vectors (h, w, 3); NaN outside."""
    return np.moveaxis(sample(field, grid, points), 0, -1)


def _views(grid: Grid) -> dict[str, tuple[int, int]]:
    """Return the array axes across and up each picture, for views in which the scan has an extent."""
    role = patient_axes(grid)
    views = {name: (role.index(across), role.index(up)) for name, (across, _), (up, _) in VIEWS}
    return {name: axes for name, axes in views.items() if min(grid.shape[axes[0]], grid.shape[axes[1]]) > 1}


def _extent_mm(grid: Grid, axis: int) -> float:
    return grid.shape[axis] * grid.spacing_mm[axis]


def _plane(
    volume: Volume, name: str, axes: tuple[int, int], frame_mm: tuple[float, float], pixel_mm: float
) -> Plane:
    grid = volume.grid
    role = patient_axes(grid)
    senses = next((across[1], up[1]) for view, across, up in VIEWS if view == name)
    places, letters = [], []
    for axis, sense, size_mm in zip(axes, senses, frame_mm, strict=True):
        count = max(2, round(size_mm / pixel_mm))
        offset = (np.arange(count) - (count - 1) / 2) * pixel_mm / grid.spacing_mm[axis]
        along = np.sign(grid.affine[role[axis], axis]) * sense  # direction of the picture along the array
        places.append((grid.shape[axis] - 1) / 2 + along * offset)
        letters.append(LETTERS[role[axis]] if sense > 0 else LETTERS[role[axis]][::-1])
    index = np.empty((len(places[1]), len(places[0]), 3))
    index[...] = _middle(volume)
    index[..., axes[0]] = places[0]
    index[..., axes[1]] = places[1][::-1, None]
    points = grid.map_indices(index.reshape(-1, 3)).reshape(index.shape)
    return Plane(name, points, pixel_mm, letters[0][0], letters[0][1], letters[1][1], letters[1][0])


def _middle(volume: Volume) -> Array:
    """Return the voxel in the middle of what is brighter than average: the body, not the air."""
    stride = tuple(max(1, n // 48) for n in volume.data.shape)
    coarse = np.nan_to_num(volume.data[tuple(slice(None, None, s) for s in stride)].astype(np.float64))
    bright = np.argwhere(coarse > coarse.mean())
    if len(bright) == 0:
        return (np.array(volume.data.shape) - 1) // 2
    return np.asarray(np.rint(bright.mean(axis=0)) * stride)


def _unit(vector: Array) -> Array:
    return np.asarray(vector / np.linalg.norm(vector))
