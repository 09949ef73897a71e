"""Two scans of one head: an MR-like fixed one and a CT-like moving one, rendered through the exact truth.

The moving scan shows the head in its pose. The fixed scan is rendered at ``T(p)``: each voxel takes the
tissue at the point that the true transform maps it to. No image is resampled, so the truth is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from numpy.typing import NDArray

from ..geometry import Grid, Volume
from ..process import memory, threads
from .anatomy import Head
from .motion import Truth, random_truth, rotation
from .shapes import Floats as Array
from .shapes import Points, Ripples
from .tissues import CT_HOUNSFIELD, MR_SIGNAL, Canvas, Tissue

if TYPE_CHECKING:
    from ..transform import Transform

MR_SNR = 18.0  # white matter over the standard deviation of the noise in each channel
CT_NOISE_HU = 12.0  # brain is 28 to 41 HU: a signal-to-noise ratio of about 3
BLOCK = 1 << 17  # points per block, so that its temporaries stay in the cache


@dataclass(frozen=True, eq=False)
class Phantom:
    """A pair of scans with labels and the true transform."""

    fixed: Volume  # MR-like, int16
    moving: Volume  # CT-like, int16, HU
    fixed_labels: Volume  # Tissue values, uint8
    moving_labels: Volume
    truth: Truth  # fixed points to moving points
    seed: int

    @property
    def head(self) -> NDArray[np.bool_]:
        """Voxels of the fixed scan that lie in the head, (D, H, W)."""
        return np.asarray(self.fixed_labels.data > 0)


def phantom(seed: int = 0, *, scale: float = 1.0) -> Phantom:
    """Draw a head, a deformation and a pose, and scan the head twice.

    Args:
        seed: Seed of head, deformation, pose and noise. Equal seeds give identical scans.
        scale: Factor of the voxel size along each axis (tests use 2 or more).

    Returns:
        The MR-like and the CT-like scan, int16, on grids of their own, with labels and the true transform.

    Raises:
        OutOfMemoryError: The memory of this process does not suffice.

    Example:
        >>> pair = phantom(seed=3)
        >>> error_mm = np.linalg.norm(result.transform.map_points(p) - pair.truth.map_points(p), axis=1)
    """
    head = Head(seed)
    truth = random_truth(seed, _points_inside(head))
    fixed_grid, moving_grid = _fixed_grid(scale), _moving_grid(seed, truth, scale)
    memory.check_room(fixed_grid.shape, moving_grid.shape)  # to draw them takes less than to register them
    back = np.linalg.inv(truth.pose)
    fixed, fixed_labels = _render(head, fixed_grid, MR_SIGNAL, truth.flow.map_rows)
    moving, moving_labels = _render(head, moving_grid, CT_HOUNSFIELD, lambda rows: _in_head(back, rows))
    return Phantom(
        Volume(_as_mr(fixed, fixed_grid, seed), fixed_grid),
        Volume(_as_ct(moving, seed), moving_grid),
        Volume(fixed_labels, fixed_grid),
        Volume(moving_labels, moving_grid),
        truth,
        seed,
    )


def _points_inside(head: Head) -> Array:
    axes = [np.arange(-96, 97, 8.0), np.arange(-112, 121, 8.0), np.arange(-112, 97, 8.0)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    return points[head.surface(Points(*points.T.astype(np.float32))) < 0]


def _fixed_grid(scale: float) -> Grid:
    """Return the MR grid: array axes S, A, R; 1.2 mm; rotated by 4 degrees, as in practice."""
    shape = (int(168 / scale), int(192 / scale), int(156 / scale))
    turn = rotation(np.array([1.0, 0.3, 0]), 4)
    return _grid(shape, np.full(3, 1.2 * scale), turn, np.eye(3)[::-1], np.array([0, 3, -12]))


def _moving_grid(seed: int, truth: Truth, scale: float) -> Grid:
    """Return the CT grid: array axes S, P, L; 1.1 mm in slices 1.5 mm apart; not centred on the head."""
    shape = (int(140 / scale), int(216 / scale), int(192 / scale))
    axes = np.array([[0, 0, 1.0], [0, -1, 0], [-1, 0, 0]])
    offset = np.random.default_rng([seed, 3]).uniform(-6, 6, 3)
    center = truth.pose[:3, :3] @ np.array([0, 3, -12]) + truth.pose[:3, 3] + offset
    return _grid(shape, np.array([1.5, 1.1, 1.1]) * scale, rotation(np.array([0.2, 1, 0.1]), 3), axes, center)


def _grid(shape: tuple[int, int, int], spacing_mm: Array, turn: Array, axes: Array, centre_mm: Array) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = turn @ (axes * spacing_mm[:, None]).T
    affine[:3, 3] = centre_mm - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


def _rows(grid: Grid, first: int, last: int) -> Array:
    """Return the positions (3, N), float32, of the voxels of slices ``first`` to ``last``, in C order."""
    _, height, width = grid.shape
    index = np.arange(first, last)[:, None, None], np.arange(height)[:, None], np.arange(width)
    rows = [sum(a * i for a, i in zip(line[:3], index, strict=True)) + line[3] for line in grid.affine[:3]]
    return np.stack([np.asarray(row, np.float32).ravel() for row in rows])


def _slabs(grid: Grid) -> list[tuple[int, int]]:
    thickness = max(1, BLOCK // (grid.shape[1] * grid.shape[2]))
    return [(first, min(first + thickness, grid.shape[0])) for first in range(0, grid.shape[0], thickness)]


def _in_head(back: Array, rows: Array) -> Array:
    return np.stack([a * rows[0] + b * rows[1] + c * rows[2] + d for a, b, c, d in back[:3].tolist()])


def _render(
    head: Head, grid: Grid, contrast: dict[Tissue, float], to_head: Callable[[Array], Array]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Render signal (float32) and labels (uint8) of ``head`` at ``to_head(p)`` for each voxel centre."""
    signal = np.full(grid.shape, contrast[Tissue.AIR], np.float32)
    labels = np.zeros(grid.shape, np.uint8)

    def paint(slab: tuple[int, int]) -> None:
        points = Points(*to_head(_rows(grid, *slab)))
        near = np.flatnonzero(head.surface(points) < Canvas.EDGE_MM)
        canvas = Canvas(near.size, contrast)
        head.paint(points.at(near), canvas)
        signal[slice(*slab)].reshape(-1)[near] = canvas.signal
        labels[slice(*slab)].reshape(-1)[near] = canvas.label

    _each(_slabs(grid), paint)
    return signal, labels


def _each(slabs: Iterable[tuple[int, int]], paint: Callable[[tuple[int, int]], None]) -> None:
    """Paint the slabs in a few threads: NumPy releases the GIL inside its loops."""
    workers = threads.startable(4)
    if workers < 2:
        for slab in slabs:
            paint(slab)
        return
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(paint, slabs))


def _as_mr(signal: NDArray[np.float32], grid: Grid, seed: int) -> NDArray[np.int16]:
    """Apply coil sensitivity (a smooth factor of about 0.7 to 1.4) and Rician noise; scale to integers."""
    rng = np.random.default_rng([seed, 4])
    coil = Ripples(rng, 210.0, count=3)
    for slab in _slabs(grid):
        part = signal[slice(*slab)]
        part *= np.exp(0.26 * coil.value(Points(*_rows(grid, *slab)))).reshape(part.shape)
    sigma = np.float32(1 / MR_SNR)
    real = rng.standard_normal(signal.shape, np.float32) * sigma + signal
    imaginary = rng.standard_normal(signal.shape, np.float32) * sigma
    return np.asarray(np.rint(800 * np.sqrt(real * real + imaginary * imaginary)), np.int16)


def _as_ct(signal: NDArray[np.float32], seed: int) -> NDArray[np.int16]:
    """Add Gaussian noise, clip to the range of a scanner, and round to Hounsfield units."""
    rng = np.random.default_rng([seed, 5])
    noisy = signal + rng.standard_normal(signal.shape, np.float32) * np.float32(CT_NOISE_HU)
    return np.asarray(np.rint(np.clip(noisy, -1024, 3071)), np.int16)


class Score(TypedDict):
    """The distance of a transform from the truth over the voxels of the head, in mm."""

    start_error_mm: float  # of the identity
    mean_error_mm: float
    p95_error_mm: float
    max_error_mm: float
    error_mm: NDArray[np.float32]  # (D, H, W), NaN outside the head


def score(pair: Phantom, transform: Transform) -> Score:
    """Measure the distance of ``transform``, from fixed to moving points, from the truth."""
    grid, head = pair.fixed.grid, pair.head
    points = grid.map_indices(np.argwhere(head))
    true = np.concatenate([pair.truth.map_points(part) for part in np.array_split(points, 32)])
    error = np.linalg.norm(transform.moved(points) - true, axis=1)
    error_mm = np.full(grid.shape, np.nan, np.float32)
    error_mm[head] = error
    return {
        "start_error_mm": float(np.linalg.norm(true - points, axis=1).mean()),
        "mean_error_mm": float(error.mean()),
        "p95_error_mm": float(np.percentile(error, 95)),
        "max_error_mm": float(error.max()),
        "error_mm": error_mm,
    }
