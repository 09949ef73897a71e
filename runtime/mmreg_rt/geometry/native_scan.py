"""Volumes as the native pipeline takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .._native import Scan
    from .grid import Array, Float64
    from .volume import Volume


def native_scan(volume: Volume, mask: Array | None = None, affine: Float64 | None = None) -> Scan:
    """Return a volume for ``_native.register``.

    Args:
        volume: The scan; its data are converted to float32.
        mask: ``(D, H, W)``, voxels that are 0 are left out; None counts all.
        affine: ``(4, 4)``, array indices to RAS+ mm, in place of that of its grid.
    """
    import mmreg_rt._native as _native

    return _native.Scan(
        volume.as_float32(),
        np.ascontiguousarray(volume.grid.affine if affine is None else affine),
        None if mask is None else np.ascontiguousarray(mask, np.uint8),
    )
