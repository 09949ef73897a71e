"""Inference backends: one protocol, one file per library, chosen once and never swapped silently.

A backend is looked up by name; its file is imported when it is requested, and its library on first use. The
rest of the package needs none of them: ``pip install 'mmreg-rt[cpu]'`` installs onnxruntime,
``'mmreg-rt[openvino]'`` openvino.
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
    from .session import TensorSpec
    from .watched import Stop

__all__ = ["NAMES", "ON_CPU", "PRECISIONS", "Backend", "Session", "by_name", "choose", "version_of"]

# Module and class of each, in the order in which they are tried: OpenVINO is 2 to 5 times faster than ONNX
# Runtime on a CPU, with less memory (benchmarks/backends/measure.py).
_CLASSES = {
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
NAMES = tuple(_CLASSES)
ON_CPU = ("openvino", "onnxruntime")
PRECISIONS = ("fp32", "bf16", "fp16", "int8")


class Session(Protocol):
    """A loaded network, ready to run."""

    inputs: tuple[TensorSpec, ...]
    """Name and shape of each input."""

    runtime_info: Mapping[str, str]
    """Description of what runs: backend, version, device, provider, precision, arithmetic, threads."""

    seconds: Mapping[str, float]
    """Wall time of the last ``infer``: set input, infer, read output."""

    on_device: bool
    """True if it runs in device memory, on the stream of the queue that it was loaded with."""

    prepare_s: float
    """Time the last call took to allocate and compile for its shape; 0 for a shape seen before."""

    def prepare(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Allocate, compile and run once for inputs of these shapes, so that the next ``infer`` is fast.

        Args:
            shapes: Shape of each input, by name.
        """

    def infer(self, inputs: Mapping[str, Float32], stop: Stop | None = None) -> Float32:
        """Run the network.

        Args:
            inputs: C-contiguous float32 arrays by name. Values are not checked: NaN in, NaN out.
            stop: Called by the calling thread before and during the run; True cancels the run where the
                library can. ONNX Runtime and OpenVINO stop after the current operation, TensorRT does not.
                The next run is not affected.

        Returns:
            The output, C-contiguous float32. It belongs to the session and is valid until the next ``infer``
            or ``close``; a shape seen before costs no allocation.

        Raises:
            InputError: Names, shapes or types are not those of the network; the session is closed or in use.
            RegistrationError: The library could not run it.
            Stopped: ``stop`` cancelled the run.
        """

    graph_capturable: bool
    """True if ``infer_on_device`` can be captured in a CUDA graph after its first run."""

    def buffers_for(self, shape: tuple[int, ...]) -> object:
        """Return the buffers of an input shape that has run; a graph that uses them must keep them alive."""

    def infer_on_device(
        self, inputs: Mapping[str, int], shape: tuple[int, ...], into: int, values: int
    ) -> None:
        """Queue the network on the session's stream, without waiting for it.

        Args:
            inputs: Device addresses of float32 images, by name.
            shape: Shape of each image.
            into: Device address of the output.
            values: Number of float32 values that fit there.

        Raises:
            InputError: Names or shape are not those of the network; ``on_device`` is false; the session is
                closed or in use.
            RegistrationError: The network gives another number of values.
            DeviceError: The device failed.
        """

    def close(self) -> None:
        """Release memory. Idempotent."""


class Backend(Protocol):
    """A library that runs networks."""

    name: str

    def unavailable_reason(self, device: str, precision: str = "fp32") -> str | None:
        """Return None if it can run here, else the reason and what to install."""

    def load(
        self, model: bytes, *, precision: str, threads: int, device: str, queue: DeviceQueue | None = None
    ) -> Session:
        """Load a network.

        Args:
            model: The bytes of an ONNX file.
            precision: ``"fp32"``; ``"bf16"``, which runs an fp32 file in bf16; ``"fp16"`` or ``"int8"``,
                which need a file in that precision.
            threads: Number of CPU threads; 0 uses all that this process may use.
            device: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
            queue: Queue of that device on whose stream the session runs; None creates a stream.

        Returns:
            The session.

        Raises:
            BackendUnavailableError: It cannot run here, or would run elsewhere or in another precision.
            InputError: The bytes are not a network of float32 images.
        """


def by_name(name: str) -> Backend:
    """Return the backend with this name, one of ``NAMES``.

    Raises:
        BackendUnavailableError: There is none.
    """
    if name not in _CLASSES:
        raise BackendUnavailableError(
            "MMREG_E_BACKEND_NAME", f"There is no backend {name!r}. Choose one of {', '.join(NAMES)}."
        )
    module, kind = _CLASSES[name]
    create = getattr(import_module(f"{__name__}.{module}"), kind)
    backend: Backend = create(name) if kind == "TensorRt" else create()
    return backend


def version_of(name: str) -> str:
    """Return the version of the library behind a backend, or "" if it is not installed as a package."""
    for distribution in _DISTRIBUTIONS[name]:
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return ""


def choose(
    device: str, backend: str | None = None, precision: str = "fp32"
) -> tuple[Backend, dict[str, str]]:
    """Choose the backend that runs networks on a device; it is never replaced by another one later.

    Args:
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
        backend: One of ``NAMES``; None tries each in turn.
        precision: One of ``PRECISIONS``.

    Returns:
        The first backend that can run there, and the reason of each one before it that cannot.

    Raises:
        BackendUnavailableError: No backend can, and the message has every reason; or ``backend`` is unknown.
    """
    reasons: dict[str, str] = {}
    candidates = ON_CPU if device == "cpu" else NAMES
    for name in candidates if backend is None else (backend,):
        candidate = by_name(name)
        reason = candidate.unavailable_reason(device, precision)
        if reason is None:
            return candidate, reasons
        reasons[name] = reason
    each = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    raise BackendUnavailableError(
        "MMREG_E_BACKEND",
        f"No backend can run a network in {precision} on {device} ({each}). Install what is missing, or "
        "choose another device or precision.",
    )
