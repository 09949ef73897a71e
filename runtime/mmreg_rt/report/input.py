"""The input of a report besides the result: the scans, their names, and the options."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..geometry import Volume
from ..text.json_values import Json


@dataclass(frozen=True, eq=False)
class TruthScore:
    """Distance of a result from a known true transform, over the voxels of the head."""

    start_error_mm: float
    mean_error_mm: float
    p95_error_mm: float
    max_error_mm: float
    error_mm: NDArray[np.float32]  # (D, H, W) on the fixed grid, NaN outside the head


@dataclass(frozen=True, eq=False)
class ReportInput:
    """A pair of scans, their names and options. A scan that could not be read is ``None``."""

    fixed: Volume | None
    moving: Volume | None
    fixed_name: str = "fixed"
    moving_name: str = "moving"
    options: Mapping[str, Json] = field(default_factory=dict)
    truth: TruthScore | None = None


def versions() -> dict[str, str]:
    """Return the versions of package, interpreter and NumPy, the system and the CPU target."""
    from importlib.metadata import PackageNotFoundError, version

    import mmreg_rt._native as _native

    try:
        own = version("mmreg-rt")
    except PackageNotFoundError:  # run from a source tree
        own = "source tree"
    return {
        "mmreg_rt": own,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "cpu target": _native.targets()[0],
    }
