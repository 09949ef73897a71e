"""Correction of values that were not measured: padding around the field of view of CT, wrapped integers.

Both are corrected before any work is done with a scan: a padded region looks like a body of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..geometry import Float32

    Mask = npt.NDArray[np.bool_]
    Scalar = TypeVar("Scalar", np.bool_, np.float32)

AIR_HU = -1024.0  # lowest measured value
AIR_TO_HU = -700.0  # values from AIR_HU to this are air
BELOW_AIR_HU = 500.0  # values this far below air are not measured: they are padding, or mixed with it
ABOVE_AIR_HU = 300.0  # a constant border this far above air is not air
LEAST_SHARE = 1e-3  # share of the voxels: a value repeated less often is a coincidence
LEAST_MEASURED = 0.02  # share of the voxels that must remain, and of air for a scan to be in HU
LEAST_CONSTANT = 0.2  # share of the voxels darker than air, where a resampling mixed some with padding
BLEND_VOXELS = 4  # distance over which a resampling mixes padding with its neighbours
HALF_RANGE, WHOLE_RANGE = 32768.0, 65536.0  # of unsigned 16-bit integers


def without_padding(data: Float32, mask: Mask | None = None) -> tuple[Float32, list[str], Mask | None]:
    """Replace padding by the lowest measured value, and unwrap integers.

    Padding is only looked for in scans in HU: those in which the only values more than 500 below air (-1024)
    are repeated exactly and reach the border of the array, or were mixed with such values by a resampling; or
    those that have air, but another value along their whole border. Negative integers that wrapped around
    65536 are unwrapped first.

    Args:
        data: ``(D, H, W)``, finite.
        mask: ``(D, H, W)``, region in which the lowest value is searched.

    Returns:
        The scan; remarks on corrections; and the voxels to ignore, ``(D, H, W)``, where a resampling mixed
        padding with its surroundings so that the value cannot be restored. None if the padding has sharp
        edges.
    """
    data, remarks = _unwrapped(data)
    unknown = None
    for find in (_below_air, _above_air):
        filled, values = find(data)
        measured = ~filled if mask is None else ~filled & mask
        if not values or not measured.any():
            continue
        lowest = data[measured].min()
        named = ", ".join(f"{value:g}" for value in values)
        constant = np.isin(data, values)
        mixed = filled & ~constant
        blend = f" and {mixed.sum()} voxels mixed with it by a resampling" if mixed.any() else ""
        if mixed.any():  # the traces of padding in voxels further away
            lowest = max(lowest, data.dtype.type(AIR_HU))
            data, unknown = np.maximum(data, lowest), filled
        data = np.where(filled, lowest, data)
        remarks.append(f"padding of {named} in {constant.sum()} voxels{blend}; taken as {lowest:g}")
    return data, remarks, unknown


def _unwrapped(data: Float32) -> tuple[Float32, list[str]]:
    """Unwrap 16-bit integers that were read as unsigned: two groups of values, at both ends of the range."""
    if data.min() < 0 or not HALF_RANGE < data.max() < WHOLE_RANGE:
        return data, []
    high = data >= HALF_RANGE
    share, low_top, high_bottom = high.mean(), data[~high].max(initial=0.0), data[high].min()
    saturated = high_bottom == data.max()  # one value: metal, or the end of the range
    split = high_bottom - low_top >= HALF_RANGE / 2 and LEAST_SHARE <= share < 1
    if not split or (saturated and not _fills_border(high)) or (data != np.rint(data)).any():
        return data, []
    remark = (
        f"{int(high.sum())} voxels from {high_bottom:g} to {data.max():g} are negative integers that wrapped"
    )
    return np.where(high, data - np.float32(WHOLE_RANGE), data), [
        f"{remark}; taken as less by {WHOLE_RANGE:g}"
    ]


def _below_air(data: Float32) -> tuple[Mask, list[float]]:
    """Find voxels darker than air: constant ones at the border, and their blurred rim."""
    low = data < AIR_HU - BELOW_AIR_HU
    if not low.any():
        return low, []
    values = [value for value in _repeated(data[low], data.size) if _touches_border(data == value)]
    if not values or low.mean() > 1 - LEAST_MEASURED:
        return low, []
    constant = np.isin(data, values)
    explained = _widened(constant, BLEND_VOXELS) | _reached(low)
    own = np.count_nonzero(low & ~explained) > LEAST_SHARE * data.size
    if own or constant.sum() < LEAST_CONSTANT * low.sum():  # a scan with such measured values is not in HU
        return low, []
    if (low == constant).all():
        return low, values
    # Next to a blurred edge, values that look measured may still contain some padding.
    return low | _widened(low, 1), values


def _above_air(data: Float32) -> tuple[Mask, list[float]]:
    """Find a constant along the border of a scan that has air elsewhere: a masked field of view."""
    none = np.zeros(data.shape, bool)
    if not AIR_HU - BELOW_AIR_HU <= data.min() <= AIR_TO_HU:
        return none, []
    edge = np.concatenate([face.ravel() for face in _faces(data)])
    values, counts = np.unique(edge, return_counts=True)
    value = values[counts.argmax()]
    if value < AIR_HU + ABOVE_AIR_HU or ((data <= AIR_TO_HU) & (data != value)).mean() < LEAST_MEASURED:
        return none, []
    filled = _reached(data == value)
    return (filled, [float(value)]) if filled.mean() > LEAST_MEASURED else (none, [])


def _repeated(values: Float32, voxels: int) -> list[float]:
    distinct, counts = np.unique(values, return_counts=True)
    return [float(value) for value in distinct[counts >= max(2.0, LEAST_SHARE * voxels)]]


def _faces(data: npt.NDArray[Scalar]) -> list[npt.NDArray[Scalar]]:
    """Return the outermost planes, except along an axis of one voxel."""
    axes = [axis for axis in range(data.ndim) if data.shape[axis] > 1]
    return [np.take(data, index, axis) for axis in axes for index in (0, -1)]


def _touches_border(flags: Mask) -> bool:
    return any(bool(face.any()) for face in _faces(flags))


def _fills_border(flags: Mask) -> bool:
    return bool(np.mean([face.mean() for face in _faces(flags)]) > 0.5)


def _widened(flags: Mask, voxels: int) -> Mask:
    """Dilate the flags by ``voxels`` along all axes."""
    out: Mask = flags.copy()
    for axis in range(flags.ndim):
        before = np.moveaxis(out.copy(), axis, 0)
        after = np.moveaxis(out, axis, 0)
        for step in range(1, min(voxels, len(before) - 1) + 1):
            after[step:] |= before[:-step]
            after[:-step] |= before[step:]
    return out


def _reached(flags: Mask) -> Mask:
    """Return the flagged voxels that a straight line of flagged voxels joins to the border of the array."""
    out = np.zeros_like(flags)
    for axis in range(flags.ndim):
        if flags.shape[axis] == 1:
            continue
        lines, joined = np.moveaxis(flags, axis, 0), np.moveaxis(out, axis, 0)
        joined |= np.logical_and.accumulate(lines, axis=0)
        joined |= np.logical_and.accumulate(lines[::-1], axis=0)[::-1]
    return out
