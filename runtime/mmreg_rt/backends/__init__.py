"""What runs a network: one protocol, one file per library, chosen once and never swapped silently.

A backend is looked for by name; its file is imported when it is asked for, the library behind it when it is
first used. Neither library is needed by the rest of the package: ``pip install 'mmreg-rt[cpu]'`` brings
onnxruntime, ``'mmreg-rt[openvino]'`` openvino.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Protocol

from ..errors import BackendUnavailableError

if TYPE_CHECKING:
    from .._native import DeviceQueue
    from ..geometry import Float32
    from .session import Port
    from .watched import Stop

__all__ = ["NAMES", "ON_CPU", "PRECISIONS", "Backend", "Session", "by_name", "choose", "version_of"]

# in the order in which they are tried: OpenVINO is 2 to 5 times faster than ONNX Runtime on a CPU, with less
# memory (benchmarks/backends/measure.py)
_HOMES = {
    "openvino": ("openvino.backend", "OpenVino"),
    "tensorrt": ("tensorrt.backend", "TensorRt"),
    "tensorrt-rtx": ("tensorrt.backend", "TensorRt"),
    "onnxruntime": ("onnxruntime", "OnnxRuntime"),
}
_DISTRIBUTIONS = {
    "openvino": ("openvino",),
    "tensorrt": ("tensorrt", "tensorrt-cu13", "tensorrt-cu12"),
    "tensorrt-rtx": ("tensorrt-rtx", "tensorrt-rtx-cu13", "tensorrt-rtx-cu12"),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
}
NAMES = tuple(_HOMES)
ON_CPU = ("openvino", "onnxruntime")
PRECISIONS = ("fp32", "bf16", "fp16", "int8")


class Session(Protocol):
    """A network, loaded."""

    inputs: tuple[Port, ...]
    """What it takes, by name and shape."""

    ran: Mapping[str, str]
    """What really runs: backend, version, device, provider, precision, arithmetic, threads."""

    seconds: Mapping[str, float]
    """Of the last ``infer``: set input, infer, read output."""

    there: bool
    """Whether it runs on the memory of a device, on the stream of the queue that it was loaded with."""

    prepare_s: float
    """What the last call took to allocate and compile for its shape; 0 for one that was known."""

    def prepare(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Allocate, compile and run once for inputs of these shapes, so that the next ``infer`` is quick."""

    def infer(self, inputs: Mapping[str, Float32], stop: Stop | None = None) -> Float32:
        """The output, C-contiguous float32, for float32 inputs by name.

        A shape seen before costs no allocation: the array is the session's own, and valid until the next
        ``infer`` or ``close``. Values are not looked at: NaN in, NaN out.

        ``stop`` is asked by the calling thread, before and while it runs; True ends the run where the library
        can. ONNX Runtime and OpenVINO end after the operation that they are in, TensorRT does not. The next
        run is not affected.

        Raises:
            InputError: Names, shapes or types are not the network's; the session is closed or in use.
            RegistrationError: The library could not run it.
            Stopped: The run was ended by ``stop``.
        """

    capturable: bool
    """Whether ``infer_there`` can be part of a CUDA graph, once it has run."""

    def held(self, shape: tuple[int, ...]) -> object:
        """What belongs to inputs of this shape, once it has run: a graph uses it, and must keep it."""

    def infer_there(self, inputs: Mapping[str, int], shape: tuple[int, ...], into: int, values: int) -> None:
        """The same on a device: put on the stream, not waited for, and nothing is looked at but the shape.

        Args:
            inputs: Addresses of float32 images in the device's memory, by name.
            shape: Of each.
            into: Address of the output.
            values: For how many there is room.

        Raises:
            InputError: Names or shape are not the network's; ``there`` is false; the session is closed or in
                use.
            RegistrationError: The network gives another number of values.
            DeviceError: The device could not do it.
        """

    def close(self) -> None:
        """Give the memory back. Twice is once."""


class Backend(Protocol):
    """A library that runs networks."""

    name: str

    def why_not(self, device: str, precision: str = "fp32") -> str | None:
        """None if it can run here; otherwise the reason and what to install."""

    def load(
        self, model: bytes, *, precision: str, threads: int, device: str, queue: DeviceQueue | None = None
    ) -> Session:
        """A session for a network.

        Args:
            model: An ONNX file's bytes.
            precision: ``"fp32"``; ``"bf16"``, arithmetic for an fp32 file; ``"fp16"`` or ``"int8"``, which
                are files of their own.
            threads: 0 is as many as this process may use.
            device: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
            queue: Of that device: the session runs on its stream; None: on one of its own.

        Raises:
            BackendUnavailableError: It cannot run here, or would run elsewhere or in another precision.
            InputError: The bytes are no network of float32 images.
        """


def by_name(name: str) -> Backend:
    """The backend of this name.

    Raises:
        BackendUnavailableError: There is none.
    """
    if name not in _HOMES:
        raise BackendUnavailableError(
            "MMREG_E_BACKEND_NAME", f"There is no backend {name!r}. Name one of {', '.join(NAMES)}."
        )
    module, kind = _HOMES[name]
    made = getattr(import_module(f"{__name__}.{module}"), kind)
    backend: Backend = made(name) if kind == "TensorRt" else made()
    return backend


def version_of(name: str) -> str:
    """The version of the library behind a backend; empty where no distribution says it."""
    for distribution in _DISTRIBUTIONS[name]:
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return ""


def choose(
    device: str, backend: str | None = None, precision: str = "fp32"
) -> tuple[Backend, dict[str, str]]:
    """The first backend, or the one that is named, that can run on a device, and why those before cannot.

    Nothing is swapped in later: what runs is what is chosen here.

    Raises:
        BackendUnavailableError: None can; the message has each one's reason. Or there is none of that name.
    """
    reasons: dict[str, str] = {}
    tried = ON_CPU if device == "cpu" else NAMES
    for name in tried if backend is None else (backend,):
        candidate = by_name(name)
        reason = candidate.why_not(device, precision)
        if reason is None:
            return candidate, reasons
        reasons[name] = reason
    each = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    raise BackendUnavailableError(
        "MMREG_E_BACKEND",
        f"No backend can run a network in {precision} on {device} ({each}). Install what is missing, or ask "
        "for another device or precision.",
    )
