"""Arrays that lie in the memory of a CUDA device: those of others taken in, and ours given out.

Others' come by DLPack (torch, CuPy, JAX) or by ``__cuda_array_interface__`` (PyCUDA's ``GPUArray``, Numba);
ours offer both. Work that is under way on their stream is waited for on the device, not by the host.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DeviceError, InputError

if TYPE_CHECKING:
    from .._native import DeviceQueue
    from ..geometry import Array

CUDA_IN_DLPACK = (2, 13)  # kDLCUDA, kDLCUDAManaged


@dataclass(frozen=True, eq=False)
class DeviceArray:
    """An array in the memory of a device, C-order: ``torch.from_dlpack(array)``, ``cupy.asarray(array)``.

    What it holds is there when it is handed out. ``address`` is that of its first value, ``shape`` and
    ``dtype`` are those of NumPy; ``to_numpy`` copies it to the host. It keeps its memory alive. ``readers``:
    who writes to it again waits for what is then on these streams, those that it was handed to by DLPack.
    """

    queue: DeviceQueue
    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    owner: object = None
    readers: set[int] | None = None

    @property
    def nbytes(self) -> int:
        """Of its values."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.address, False),
            "strides": None,
            "stream": None,  # it is complete
            "version": 3,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        return CUDA_IN_DLPACK[0], self.queue.number

    def __dlpack__(self, **options: Any) -> object:
        if self.readers is not None and isinstance(options.get("stream"), int):
            self.readers.add(options["stream"])
        ours = self.queue.array(self.address, self.shape, self, self.dtype.name)
        capsule: object = ours.__dlpack__(**options)
        return capsule

    def __reduce__(self) -> str:
        raise InputError(
            "MMREG_E_PICKLE",
            "An array of a device cannot be pickled: its memory belongs to this process. Pickle "
            "array.to_numpy().",
        )

    def to_numpy(self) -> Array:
        """A copy on the host."""
        host = np.empty(self.shape, self.dtype)
        self.queue.download(host.reshape(-1).view(np.uint8), self.address)
        return host

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("an array of a device cannot be one of the host without a copy")
        return self.to_numpy().astype(dtype or self.dtype, copy=False)


def is_on_device(array: object) -> bool:
    """Whether an array lies in the memory of a CUDA device."""
    kind = getattr(array, "__dlpack_device__", None)
    if kind is not None:
        return int(kind()[0]) in CUDA_IN_DLPACK
    return hasattr(array, "__cuda_array_interface__")


def address_of(array: Any, shape: tuple[int, ...], queue: DeviceQueue, name: str) -> int:
    """Where a float32 array of this shape lies on the queue's device; see ``located``.

    Raises:
        InputError: It has another shape or type, or is not C-contiguous.
        DeviceError: It lies on another device.
    """
    address, found = located(array, queue, name)
    if found != shape:
        raise InputError(
            "MMREG_E_DEVICE_ARRAY",
            f"The {name} scan must be of shape {shape}, as this plan was made for; found {found}. Make a "
            "plan for its grid.",
        )
    return address


def located(array: Any, queue: DeviceQueue, name: str) -> tuple[int, tuple[int, ...]]:
    """Return address and shape of a float32 array on the queue's device; the queue waits for what makes it.

    Of another library's array this is the stream that it names, or that DLPack is given; of a ``DeviceArray``
    all that is on its own queue now.

    Raises:
        InputError: It has another type, or is not C-contiguous.
        DeviceError: It lies on another device.
    """
    read = _dlpack if hasattr(array, "__dlpack__") else _interface
    address, shape, number, dtype = read(array, queue, name)
    if dtype != "float32":
        raise InputError(
            "MMREG_E_DEVICE_ARRAY",
            f"The {name} scan must be float32 on the device; found {dtype}. Convert it there.",
        )
    if number != queue.number:
        where = "the host" if number < 0 else f"device {number}"
        raise DeviceError(
            "MMREG_E_DEVICE_STREAM",
            f"The {name} scan lies on {where}, and this works on device {queue.number}. Copy it there.",
        )
    if isinstance(array, DeviceArray) and array.queue.stream != queue.stream:
        queue.wait_for(array.queue.stream)
    return address, shape


Found = tuple[int, tuple[int, ...], int, str]  # address, shape, number of the device, dtype


def _dlpack(array: Any, queue: DeviceQueue, name: str) -> Found:
    import mmreg_rt._native as _native

    try:
        view = _native.device_view(array.__dlpack__(stream=queue.stream))
    except (TypeError, ValueError, BufferError) as error:  # of another layout, or one that needs a gradient
        raise _not_usable(name, error) from error
    address, shape, number, dtype = view
    return address, tuple(shape), number, dtype


def _interface(array: Any, queue: DeviceQueue, name: str) -> Found:
    facts = array.__cuda_array_interface__
    if facts.get("mask") is not None or not _is_contiguous(facts):
        raise _not_usable(name, "its strides, or a mask")
    # 1: the legacy default stream, 2: that of the thread, else a handle. PyCUDA says none and means the first
    queue.wait_for(int(facts.get("stream") or 1))
    address = int(facts["data"][0])
    return address, tuple(facts["shape"]), queue.device_of(address), str(np.dtype(facts["typestr"]))


def _is_contiguous(facts: dict[str, Any]) -> bool:
    strides, step = facts.get("strides"), np.dtype(facts["typestr"]).itemsize
    if strides is None:
        return True
    for extent, stride in zip(reversed(facts["shape"]), reversed(strides), strict=True):
        if extent > 1 and stride != step:
            return False
        step *= extent
    return True


def _not_usable(name: str, found: object) -> InputError:
    return InputError(
        "MMREG_E_DEVICE_ARRAY",
        f"The {name} scan must be a C-contiguous array of the device without a gradient; found {found}. Take "
        "its .detach().contiguous(), or a copy.",
    )
