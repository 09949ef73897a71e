"""Scans in device memory, checked on the device, and the result of a registration on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..geometry import Grid
from ..input_validation import check_extremes, check_grids, check_overlap
from ..preprocess.padding import AIR_HU
from ..results import RegistrationSummary
from .array import DeviceArray, is_on_device, located

if TYPE_CHECKING:
    from .._native import DeviceQueue, Result, Scan
    from ..geometry import Array

    Kept = tuple[int, Sequence[int], object]  # address, shape, and what keeps the memory alive


@dataclass(frozen=True, eq=False)
class DeviceRegistration(RegistrationSummary):
    """The result of ``Registrar.register_on_device``: a ``Registration`` with device arrays.

    ``warped`` and ``valid`` ``(D, H, W)``, ``displacement_mm`` and ``deformation_mm`` ``(3, D, H, W)`` lie on
    the fixed grid, ``inverse_mm`` on the moving one; ``valid`` is uint8, the others float32, fields in RAS+
    mm. The arrays are complete and the caller's own. ``inverse_mm`` is None if the deadline left no time.
    """

    warped: DeviceArray
    valid: DeviceArray
    displacement_mm: DeviceArray
    inverse_mm: DeviceArray | None
    deformation_mm: DeviceArray | None
    fixed_grid: Grid
    moving_grid: Grid


@dataclass(frozen=True, eq=False)
class DeviceScan:
    """A scan in device memory: an array for native operations, and its grid."""

    image: Any
    grid: Grid
    queue: DeviceQueue
    name: str

    @classmethod
    def of(cls, array: object, affine: Array, queue: DeviceQueue, name: str) -> DeviceScan:
        """Create a scan from another library's array.

        Args:
            array: ``(D, H, W)`` float32, C-contiguous, in device memory.
            affine: ``(4, 4)``, array indices to RAS+ mm.
            queue: Queue of the device.
            name: ``"fixed"`` or ``"moving"``, for messages.

        Raises:
            InputError: It is not a device array, or not C-contiguous float32 ``(D, H, W)``.
            GeometryError: The affine is not valid.
            DeviceError: It lies on another device.
        """
        if not is_on_device(array):
            raise InputError(
                "MMREG_E_DEVICE_ARRAY",
                f"The {name} scan must be an array on a CUDA device; found {type(array).__name__}. Use "
                "register for arrays on the host.",
            )
        address, shape = located(array, queue, name)
        if len(shape) != 3:
            raise InputError(
                "MMREG_E_DEVICE_ARRAY", f"The {name} scan must be (D, H, W); found shape {shape}. Reshape it."
            )
        grid = Grid((shape[0], shape[1], shape[2]), affine)
        return cls(queue.array(address, list(shape), array), grid, queue, name)

    def native(self) -> Scan:
        """Return the scan for ``_native.register``."""
        import mmreg_rt._native as _native

        return _native.Scan(self.image, np.ascontiguousarray(self.grid.affine))

    def check_intensities(self) -> tuple[str, ...]:
        """Check the voxel values and return warnings.

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
    """Check a pair as ``input_validation.check_pair`` does, on the device, and return warnings.

    Padding and denormal numbers are kept.

    Raises:
        GeometryError: The two grids do not belong together.
        IntensityError: The voxels of a scan cannot be used.
    """
    check_grids(fixed.grid, moving.grid)
    if same_space:
        check_overlap(fixed.grid, moving.grid)
    return (*fixed.check_intensities(), *moving.check_intensities())


def device_registration(
    result: Result, grids: tuple[Grid, Grid], queue: DeviceQueue, summary: RegistrationSummary
) -> DeviceRegistration:
    """Return the result of the native pipeline as device arrays.

    Args:
        result: Pipeline result with arrays kept on the device.
        grids: Grids of the fixed and of the moving scan.
        queue: Queue of the device.
        summary: Output of ``results.summary_fields``.
    """

    def array(kept: Kept, dtype: type[np.generic] = np.float32) -> DeviceArray:
        address, shape, owner = kept
        return DeviceArray(queue, address, tuple(shape), np.dtype(dtype), owner)

    return DeviceRegistration(
        warped=array(result.warped),
        valid=array(result.valid, np.uint8),
        displacement_mm=array(result.displacement_mm),
        inverse_mm=None if result.inverse_mm is None else array(result.inverse_mm),
        deformation_mm=None if result.deformation_mm is None else array(result.deformation_mm),
        fixed_grid=grids[0],
        moving_grid=grids[1],
        **vars(summary),
    )
