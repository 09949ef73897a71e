"""Operations on fields: typed wrappers of the native field operations.

A displacement ``u`` is ``(3, D, H, W)`` float32. In mm (``_mm``) its components are x, y, z along RAS+; in
voxels (``_vox``), as the native operations need it, they are ordered like the axes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np

import mmreg_rt._native as _native

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..geometry import Float32, Float64, Grid, Int32

    Flags = npt.NDArray[np.bool_]
    Interpolation = Literal["nearest", "linear", "cubic"]


LARGEST_CUBIC = 1e36  # larger values overflow float32 by the gain of the prefilter, 6 along each axis
FILL_VOX = 1.5  # sigma of the extrapolation into voxels that are not finite
FILL_LEAST = 1e-3  # weight of the mean, which dominates where no finite voxel is near


def add_affine(u: Float32, linear: Float64, matrix: Float64) -> Float32:
    """Compute ``linear @ u(i) + matrix @ (i, 1)`` at every array index ``i``: ``(3, 3)`` and ``(3, 4)``."""
    out: Float32 = np.empty(u.shape, np.float32)
    _, depth, height, width = u.shape
    axes = matrix[:, :, None, None]
    plane = axes[:, 1] * np.arange(height)[:, None] + axes[:, 2] * np.arange(width) + axes[:, 3]
    # three terms if the axes are aligned
    terms = [(c, j, float(linear[c, j])) for c, j in np.ndindex(3, 3) if linear[c, j]]
    for k in range(depth):  # one slice at a time keeps the float64 scratch in the cache
        total = plane + axes[:, 0] * k
        for c, j, factor in terms:
            total[c] += np.multiply(u[j, k], factor, dtype=np.float64)
        out[:, k] = total
    return out


def longest(u: Float32) -> tuple[float, int]:
    """Return the length of the longest finite vector of a displacement, and the number not finite."""
    extremes = _native.max_displacement(u)
    return float(extremes["longest"]), int(extremes["not_finite"])


def to_voxels(u_mm: Float32, grid: Grid, sampled: Grid) -> Float32:
    """Convert a displacement in mm to voxels: from index ``i`` of ``grid`` to the index in ``sampled``."""
    to_index = np.asarray(np.linalg.inv(sampled.affine), np.float64)
    offset: Float64 = to_index @ grid.affine - np.eye(4)
    return add_affine(u_mm, to_index[:3, :3], offset[:3])


def to_mm(u_vox: Float32, grid: Grid) -> Float32:
    """Convert a displacement in voxels of ``grid`` to mm along RAS+."""
    return add_affine(u_vox, grid.affine[:3, :3], np.zeros((3, 4)))


def jacobian(u_mm: Float32, grid: Grid) -> Float32:
    """Compute ``det(d(p + u(p)) / dp)``, ``(D, H, W)``, by central differences, one-sided at the border."""
    det: Float32 = _native.jacobian(to_voxels(u_mm, grid, grid))
    return det


def folding(u_mm: Float32, grid: Grid) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return the number of voxels with ``det <= 0`` and the smallest ``det``, as in ``Folding``."""
    result = _native.folding(to_voxels(u_mm, grid, grid))
    return tuple(result["count"]), tuple(result["smallest"])


def integrate(velocity_vox: Float32, steps: int) -> Float32:
    """Integrate a stationary velocity ``(3, D, H, W)`` over unit time to a displacement, both in voxels.

    Scaling and squaring (Arsigny et al. 2006): ``velocity / 2**steps``, composed with itself ``steps`` times.
    """
    u_vox: Float32 = _native.integrate(velocity_vox, steps)
    return u_vox


def invert(u_vox: Float32) -> tuple[Float32, float]:
    """Compute ``v`` with ``v(i) = -u(i + v(i))``, and the largest residual in voxels."""
    v_vox, residual = _native.invert(u_vox)
    return v_vox, float(residual["largest"])


def warp(
    moving: Float32,
    u_vox: Float32,
    interpolation: Interpolation,
    outside: float = 0.0,
    valid: Flags | None = None,
) -> Float32:
    """Compute ``moving(i + u(i))``, which fades into ``outside`` within one voxel around ``moving``.

    ``valid``, if given, receives whether ``i + u(i)`` lies in a voxel of ``moving``.
    """

    def sampled(source: Float32, how: Interpolation) -> Float32:
        warped: Float32 = _native.warp(source[None], u_vox, how, valid=_bytes(valid), outside=outside)[0]
        return warped

    return _interpolated(moving, interpolation, sampled)


def warp_labels(labels: Int32, u_vox: Float32, valid: Flags | None = None) -> Int32:
    """Return the label nearest to ``i + u(i)``, 0 outside; ``valid`` as in ``warp``."""
    warped: Int32 = _native.warp_labels(labels, u_vox)
    if valid is not None:
        warp(labels.view(np.float32), u_vox, "nearest", valid=valid)  # only for its flags
    return warped


def resample(
    moving: Float32,
    index_map: Float64,
    shape: tuple[int, int, int],
    interpolation: Interpolation,
    outside: float = 0.0,
    valid: Flags | None = None,
) -> Float32:
    """Compute ``moving(index_map @ (i, 1))``, ``index_map`` ``(3, 4)``; other arguments as in ``warp``."""
    contiguous = np.ascontiguousarray(index_map)

    def sampled(source: Float32, how: Interpolation) -> Float32:
        resampled: Float32 = _native.resample_affine(
            source[None], contiguous, shape, how, valid=_bytes(valid), outside=outside
        )[0]
        return resampled

    return _interpolated(moving, interpolation, sampled)


def sample(field: Float32, u_vox: Float32) -> Float32:
    """Compute ``field(i + u(i))`` of a displacement ``(3, D, H, W)``, extended by its border value."""
    sampled: Float32 = _native.warp(field, u_vox, "linear", "extend")
    return sampled


def resample_field(field: Float32, index_map: Float64, shape: tuple[int, int, int]) -> Float32:
    """Compute ``field(index_map @ (i, 1))`` of a displacement, extended by its border value."""
    resampled: Float32 = _native.resample_affine(
        field, np.ascontiguousarray(index_map), shape, "linear", "extend"
    )
    return resampled


def sample_points(field: Float32, indices: Float64) -> Float64:
    """Sample ``field`` at array indices ``(N, 3)``, trilinear, extended by its border value; ``(N, 3)``."""
    last = np.array(field.shape[1:]) - 1
    position = np.clip(indices, 0, last)
    low = np.minimum(position.astype(np.int64), np.maximum(last - 1, 0))
    t = position - low
    out = np.zeros((len(indices), 3))
    for corner in np.ndindex(2, 2, 2):
        weight = np.where(corner, t, 1 - t).prod(axis=1)
        i0, i1, i2 = np.minimum(low + corner, last).T
        out += weight[:, None] * field[:, i0, i1, i2].T
    return out


def _bytes(flags: Flags | None) -> npt.NDArray[np.uint8] | None:
    return None if flags is None else flags.view(np.uint8)


def _interpolated(
    moving: Float32, interpolation: Interpolation, sampled: Callable[[Float32, Interpolation], Float32]
) -> Float32:
    """Call ``sampled(source, how)`` on the image, or for cubic interpolation on its B-spline coefficients.

    The recursions of the prefilter would carry a voxel that is not finite along whole lines, so there the
    image is extrapolated from its other voxels first; where such a voxel counts, the result is that of linear
    interpolation.
    """
    if interpolation != "cubic":
        return sampled(moving, interpolation)
    usable = np.abs(moving) < LARGEST_CUBIC  # NaN is not
    if usable.all():
        return sampled(_native.prefilter(moving[None])[0], "cubic")
    smooth = sampled(_native.prefilter(_extrapolated(moving, usable)[None])[0], "cubic")
    unusable = np.where(usable, np.float32(0), np.float32(np.nan))
    return np.where(np.isnan(sampled(unusable, "linear")), sampled(moving, "linear"), smooth)


def _extrapolated(image: Float32, usable: Flags) -> Float32:
    """Fill voxels that are not usable from those nearby, by normalised convolution."""
    if not usable.any():
        return np.zeros_like(image)
    mean = np.float32(image[usable].mean(dtype=np.float64))
    weight = usable.astype(np.float32)
    rest = np.where(usable, image - mean, np.float32(0))
    near = [_native.gaussian(part[None], (FILL_VOX,) * 3)[0] for part in (rest, weight)]
    return np.where(usable, image, mean + near[0] / (near[1] + np.float32(FILL_LEAST)))
