"""Arrays in the memory of a CUDA device: those of other libraries as input, ours as output.

Other arrays come by DLPack (torch, CuPy, JAX) or ``__cuda_array_interface__`` (PyCUDA's ``GPUArray``, Numba);
ours offer both. Pending work on their stream is waited for on the device, not by the host.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, TypeGuard, runtime_checkable

import numpy as np

from ..errors import DeviceError, InputError

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from .._native import DeviceQueue
    from ..geometry import Array

CUDA_IN_DLPACK = (2, 13)  # kDLCUDA, kDLCUDAManaged


class CudaArrayInterface(TypedDict, total=False):
    """The value of ``__cuda_array_interface__``, version 3."""

    shape: tuple[int, ...]
    typestr: str
    data: tuple[int, bool]  # address, and whether it is read-only
    strides: tuple[int, ...] | None
    stream: int | None
    version: int
    mask: object


@runtime_checkable
class DlpackArray(Protocol):
    """An array of a library with DLPack."""

    def __dlpack__(self, *, stream: int | None) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...


class CudaArray(Protocol):
    """An array of a library with the CUDA Array Interface."""

    @property
    def __cuda_array_interface__(self) -> CudaArrayInterface: ...


ForeignArray = DlpackArray | CudaArray


@dataclass(frozen=True, eq=False)
class DeviceArray:
    """A C-order array in device memory: ``torch.from_dlpack(array)``, ``cupy.asarray(array)``.

    Its values are complete when it is returned, and it keeps its memory alive; ``to_numpy`` copies it to the
    host.

    Attributes:
        queue: Queue of its device.
        address: Address of the first value.
        shape: Shape, as in NumPy.
        dtype: Type, as in NumPy.
        owner: The object that keeps the memory alive.
        readers: Streams that it was exported to by DLPack; a later write waits for the work on them.
    """

    queue: DeviceQueue
    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    owner: object = None
    readers: set[int] | None = None

    @property
    def nbytes(self) -> int:
        """Size of its values in bytes."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    @property
    def __cuda_array_interface__(self) -> CudaArrayInterface:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.address, False),
            "strides": None,
            "stream": None,  # the values are complete
            "version": 3,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        return CUDA_IN_DLPACK[0], self.queue.number

    def __dlpack__(self, **options: object) -> object:
        stream = options.get("stream")
        if self.readers is not None and isinstance(stream, int):
            self.readers.add(stream)
        ours = self.queue.array(self.address, self.shape, self, self.dtype.name)
        capsule: object = ours.__dlpack__(**options)
        return capsule

    def __reduce__(self) -> str:
        raise InputError(
            "MMREG_E_PICKLE",
            "A device array cannot be pickled: its memory belongs to this process. Pickle array.to_numpy().",
        )

    def to_numpy(self) -> Array:
        """Copy to the host."""
        host = np.empty(self.shape, self.dtype)
        self.queue.download(host.reshape(-1).view(np.uint8), self.address)
        return host

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("a device array cannot become a host array without a copy")
        return self.to_numpy().astype(dtype or self.dtype, copy=False)


def is_on_device(array: object) -> TypeGuard[ForeignArray]:
    """Return whether an array lies in the memory of a CUDA device."""
    kind = getattr(array, "__dlpack_device__", None)
    if kind is not None:
        return int(kind()[0]) in CUDA_IN_DLPACK
    return hasattr(array, "__cuda_array_interface__")


def address_of(array: ForeignArray, shape: tuple[int, ...], queue: DeviceQueue, name: str) -> int:
    """Return the address of a float32 array of this shape on the queue's device; see ``located``.

    Raises:
        InputError: It has another shape or type, or is not C-contiguous.
        DeviceError: It lies on another device.
    """
    address, actual = located(array, queue, name)
    if actual != shape:
        raise InputError(
            "MMREG_E_DEVICE_ARRAY",
            f"The {name} scan must have shape {shape}, for which this plan was made; found {actual}. Make a "
            "plan for its grid.",
        )
    return address


def located(array: ForeignArray, queue: DeviceQueue, name: str) -> tuple[int, tuple[int, ...]]:
    """Return address and shape of a float32 array on the queue's device, once its pending work is queued.

    The queue waits for the stream that another library's array names, or that DLPack is given; for a
    ``DeviceArray``, for the work that is now on its queue.

    Args:
        array: The array, by DLPack or ``__cuda_array_interface__``.
        queue: The queue that will read it.
        name: Name of the scan, for messages.

    Raises:
        InputError: It has another type, or is not C-contiguous.
        DeviceError: It lies on another device.
    """
    address, shape, number, dtype = (
        _dlpack(array, queue, name) if isinstance(array, DlpackArray) else _interface(array, queue, name)
    )
    if dtype != "float32":
        raise InputError(
            "MMREG_E_DEVICE_ARRAY",
            f"The {name} scan must be float32 on the device; found {dtype}. Convert it on the device.",
        )
    if number != queue.number:
        where = "the host" if number < 0 else f"device {number}"
        raise DeviceError(
            "MMREG_E_DEVICE_STREAM",
            f"The {name} scan lies on {where}; it must lie on device {queue.number}. Copy it to that device.",
        )
    if isinstance(array, DeviceArray) and array.queue.stream != queue.stream:
        queue.wait_for(array.queue.stream)
    return address, shape


Location = tuple[int, tuple[int, ...], int, str]  # address, shape, number of the device, dtype


def _dlpack(array: DlpackArray, queue: DeviceQueue, name: str) -> Location:
    import mmreg_rt._native as _native

    try:
        view = _native.device_view(array.__dlpack__(stream=queue.stream))
    except (TypeError, ValueError, BufferError) as error:  # another layout, or it needs a gradient
        raise _not_usable(name, error) from error
    address, shape, number, dtype = view
    return address, tuple(shape), number, dtype


def _interface(array: CudaArray, queue: DeviceQueue, name: str) -> Location:
    facts = array.__cuda_array_interface__
    if facts.get("mask") is not None or not _is_contiguous(facts):
        raise _not_usable(name, "its strides, or a mask")
    # 1: the legacy default stream, 2: that of the thread, else a handle. PyCUDA gives none and means 1.
    queue.wait_for(int(facts.get("stream") or 1))
    address = int(facts["data"][0])
    return address, tuple(facts["shape"]), queue.device_of(address), str(np.dtype(facts["typestr"]))


def _is_contiguous(facts: CudaArrayInterface) -> bool:
    strides, step = facts.get("strides"), np.dtype(facts["typestr"]).itemsize
    if strides is None:
        return True
    for extent, stride in zip(reversed(facts["shape"]), reversed(strides), strict=True):
        if extent > 1 and stride != step:
            return False
        step *= extent
    return True


def _not_usable(name: str, reason: object) -> InputError:
    return InputError(
        "MMREG_E_DEVICE_ARRAY",
        f"The {name} scan must be a C-contiguous device array without a gradient; found {reason}. Give "
        "array.detach().contiguous(), or a copy.",
    )
