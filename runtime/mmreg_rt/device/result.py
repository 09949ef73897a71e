"""Scans that lie on a device, checked there, and what a registration leaves there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..geometry import Grid
from ..input_validation import check_extremes, check_grids, check_overlap
from ..preprocess.padding import AIR_HU
from ..results import Outcome, told
from ..transform import Affine, Rigid
from .array import DeviceArray, is_on_device, located

if TYPE_CHECKING:
    from .._native import DeviceQueue
    from ..geometry import Array


@dataclass(frozen=True, eq=False)
class DeviceRegistration(Outcome):
    """What ``Registrar.register_on_device`` returns: as a ``Registration``, with arrays of the device.

    ``warped`` ``(D, H, W)``, ``displacement_mm`` ``(3, D, H, W)`` and ``deformation_mm`` lie on the fixed
    grid, ``inverse_mm`` on the moving one; float32, RAS+ mm. They are yours, and complete. ``inverse_mm``
    is None where the deadline left no time for it.
    """

    warped: DeviceArray
    displacement_mm: DeviceArray
    inverse_mm: DeviceArray | None
    deformation_mm: DeviceArray | None
    fixed_grid: Grid
    moving_grid: Grid
    rigid: Rigid | None
    affine: Affine | None


@dataclass(frozen=True, eq=False)
class DeviceScan:
    """A scan in the memory of a device: an array that native operations take, and where its voxels lie."""

    image: Any
    grid: Grid
    queue: DeviceQueue
    name: str

    @classmethod
    def of(cls, array: Any, affine: Array, queue: DeviceQueue, name: str) -> DeviceScan:
        """The scan of another library's array.

        Raises:
            InputError: It is no array of a device, or not C-contiguous float32 ``(D, H, W)``.
            GeometryError: The affine is that of no scan.
            DeviceError: It lies on another device.
        """
        if not is_on_device(array):
            raise InputError(
                "MMREG_E_DEVICE_ARRAY",
                f"The {name} scan must be an array of a CUDA device; found {type(array).__name__}. Use "
                "register for arrays of the host.",
            )
        address, shape = located(array, queue, name)
        if len(shape) != 3:
            raise InputError(
                "MMREG_E_DEVICE_ARRAY", f"The {name} scan must be (D, H, W); found shape {shape}. Reshape it."
            )
        grid = Grid((shape[0], shape[1], shape[2]), affine)
        return cls(queue.array(address, list(shape), array), grid, queue, name)

    def check_intensities(self) -> tuple[str, ...]:
        """Warnings.

        Raises:
            IntensityError: A voxel is not finite, or all are the same.
        """
        import mmreg_rt._native as _native

        facts = _native.summary(self.image, target=self.queue)
        low, high = facts["smallest"], facts["largest"]
        check_extremes(low, high, facts["not_finite"], self.grid.size, self.name)
        if low < AIR_HU:
            return (f"{self.name}: values down to {low:g}, below any tissue; padding is left as it is",)
        return ()


def check_device_pair(fixed: DeviceScan, moving: DeviceScan, *, same_space: bool) -> tuple[str, ...]:
    """What ``checks.check_pair`` looks at, where the scans lie. Padding and denormal numbers are left alone.

    Raises:
        GeometryError: The two grids do not belong together.
        IntensityError: The voxels of a scan cannot be used.
    """
    check_grids(fixed.grid, moving.grid)
    if same_space:
        check_overlap(fixed.grid, moving.grid)
    return (*fixed.check_intensities(), *moving.check_intensities())


def finished(
    found: Mapping[str, Any],
    fixed: Grid,
    moving: Grid,
    queue: DeviceQueue,
    seconds: Mapping[str, float],
    warnings: tuple[str, ...],
    align: str,
) -> DeviceRegistration:
    """What the native pipeline left on the device."""

    def array(name: str) -> Any:
        if found[name] is None:
            return None
        address, shape, owner = found[name]
        return DeviceArray(queue, address, tuple(shape), np.dtype(np.float32), owner)

    return DeviceRegistration(
        array("warped"),
        array("displacement_mm"),
        array("inverse_mm"),
        array("deformation_mm"),
        fixed,
        moving,
        **told(found, seconds, warnings, align),
    )
