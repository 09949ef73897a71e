"""Errors that a caller can act on.

    MmregError
    ├── InputError               a file, header, array, mask or point list cannot be used
    │   ├── GeometryError        an affine, a spacing or a field of view cannot be used
    │   └── IntensityError       voxel values cannot be used
    ├── BundleError              a model bundle, its manifest or a network in it cannot be used or trusted
    ├── TransformError           a transform or displacement field cannot be used
    ├── BackendUnavailableError  the requested device, CPU target or backend cannot run here
    ├── DeviceError              a device ran out of memory, was lost or failed
    ├── OutOfMemoryError         this process or machine has too little memory; also a MemoryError
    ├── RegistrationError        the registration could not produce a result
    ├── TrainingError            a training run cannot continue
    ├── DecisionLogError         a decision log cannot be written, or its chain is broken
    └── CancelledError           the caller cancelled the call

Each has a stable ``code`` (``MMREG_E_...``), and its message says what was expected, what was found and what
to do. Codes are the same in Python and C and never change their meaning. ``status`` is the number that the C
library returns for the class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .results import RegistrationSummary


class MmregError(Exception):
    """Base class of the errors of this package; any other exception is a bug."""

    status = -99

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __str__(self) -> str:
        return f"{self.args[0]} [{self.code}]"

    def __reduce__(self) -> tuple[type[MmregError], tuple[str, str]]:
        return type(self), (self.code, self.args[0])


class InputError(MmregError):
    """A file, header, array, mask or point list cannot be used."""

    status = -1


class GeometryError(InputError):
    """An affine, a spacing or a field of view cannot be used."""

    status = -2


class IntensityError(InputError):
    """Voxel values cannot be used."""

    status = -3


class BundleError(MmregError):
    """A model bundle, its manifest or a network in it cannot be used or trusted."""

    status = -4


class TransformError(MmregError):
    """A transform or displacement field cannot be used."""

    status = -5


class BackendUnavailableError(MmregError):
    """The requested device, CPU target or backend cannot run here."""

    status = -6


class DeviceError(MmregError):
    """A device ran out of memory, was lost or failed."""

    status = -7


class OutOfMemoryError(MmregError, MemoryError):
    """This process or machine has too little memory."""

    status = -8

    def __init__(self, code: str = "MMREG_E_MEMORY", message: str = "") -> None:
        super().__init__(
            code, message or "There is not enough memory. Crop the scans, or resample them to a coarser grid."
        )


class RegistrationError(MmregError):
    """The registration could not produce a result."""

    status = -9


class TrainingError(MmregError):
    """A training run cannot continue."""


class DecisionLogError(MmregError):
    """A decision log cannot be written, or its chain is broken.

    Attributes:
        registration: The result that could not be logged; None if there is none.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.registration: RegistrationSummary | None = None


class CancelledError(MmregError):
    """The caller cancelled the call."""

    status = -10


class OutsideWarning(UserWarning):
    """Points or voxels lie outside the field that moves them, or outside the image that is sampled."""


WHAT_TO_DO = {
    "MMREG_E_DEVICE": "Use device='cpu', or check the driver with `mmreg doctor`.",
    "MMREG_E_DEVICE_MEMORY": "Use a coarser grid or a smaller scan, or free memory on the device.",
    "MMREG_E_DEVICE_STREAM": "Give a stream of the same device that is still alive.",
    "MMREG_E_DEVICE_CODE": "This build has no code for this device: update the driver, or build from source.",
    "MMREG_E_DEVICE_GRAPH": "Copy before or after the graph, not within it.",
    "MMREG_E_MODEL_OUTPUT": "Register without a model, or export it again.",
    "MMREG_E_DEVICE_LOST": "This process cannot use the device again: restart it.",
}


def device_error(code: str, message: str) -> MmregError:
    """Return the error for a code that the compiled module reports, about a device or a network."""
    kind: type[MmregError] = DeviceError
    if code in ("MMREG_E_DEVICE", "MMREG_E_DEVICE_CODE"):
        kind = BackendUnavailableError
    if code == "MMREG_E_MODEL_OUTPUT":
        kind = RegistrationError
    return kind(code, f"{message}. {WHAT_TO_DO[code]}")
