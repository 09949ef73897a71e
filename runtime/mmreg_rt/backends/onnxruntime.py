"""The ONNX Runtime backend: the reference, on any CPU and on NVIDIA GPUs with the CUDA provider.

Half-precision files run everywhere; where ONNX Runtime has no half kernel (every x86-64 CPU) it casts to
float32, and ``runtime_info["arithmetic"]`` says so. Its int8 speeds up 2-D convolutions, not 3-D ones.

Networks that warp between their stages use the package's own warp (``warp_nodes``): on the CPU with the
threads of the session, on a GPU on its stream. ``runtime_info["warp"]`` counts them.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import platform
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from ..errors import BackendUnavailableError, InputError
from .session import (
    BoundBuffers,
    CheckedSession,
    Ports,
    Shape,
    TensorSpec,
    aligned,
    check_available,
    frozen,
    in_one_line,
    unreadable,
    usable_threads,
)
from .telemetry import keep_onnxruntime_silent
from .warp_nodes import with_warps
from .watched import InThread, watch

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, NodeArg, RunOptions, SessionOptions

    from .._native import DeviceQueue
    from ..geometry import Float32
    from .watched import Stop

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
PRECISIONS = ("fp32", "fp16", "int8")
QUANTISED = (b"QuantizeLinear", b"QLinearConv", b"ConvInteger")  # in the bytes of every int8 file
# Operations on extents, which ONNX Runtime leaves on the CPU, where they cost next to nothing.
SHAPE_OPERATIONS = {"Shape", "Squeeze", "Unsqueeze", "Gather", "Concat", "Slice", "Cast", "Range", "Reshape"}
SHAPE_OPERATIONS |= {"Add", "Sub", "Mul", "Div", "Floor", "Min", "Max"}
FATAL = 4  # the only level that writes nothing: errors arrive as exceptions


class OnnxRuntime:
    """ONNX Runtime on the CPU or on one NVIDIA GPU."""

    name = "onnxruntime"

    def unavailable_reason(self, device: str, precision: str = "fp32") -> str | None:
        """Return None if it can run here, else the reason and what to install."""
        kind, _, index = device.partition(":")
        if kind not in ("cpu", "cuda") or (index and (kind == "cpu" or not index.isdecimal())):
            return f"knows the devices cpu, cuda and cuda:N, not {device!r}"
        if precision == "bf16":
            return "does not compute in bf16; openvino does (pip install 'mmreg-rt[openvino]')"
        if precision not in PRECISIONS:
            return f"knows the precisions {', '.join(PRECISIONS)}, not {precision!r}"
        extra = "cpu" if kind == "cpu" else "gpu"
        if find_spec("onnxruntime") is None:
            return f"not installed; pip install 'mmreg-rt[{extra}]'"
        keep_onnxruntime_silent()
        try:
            import onnxruntime

            providers = onnxruntime.get_available_providers()
        except Exception as error:  # a broken installation fails in many ways
            return f"installed, but cannot be imported: {in_one_line(error)}"
        return None if kind == "cpu" else _why_no_cuda(providers)

    def load(
        self, model: bytes, *, precision: str, threads: int, device: str, queue: DeviceQueue | None = None
    ) -> CheckedSession:
        """Load an ONNX file; see ``Backend.load``."""
        check_available(self, device, precision)
        return OnnxRuntimeSession(model, precision, usable_threads(threads), device, queue)


class OnnxRuntimeSession(CheckedSession):
    """A network in ONNX Runtime, its inputs and output bound to fixed buffers for each shape."""

    def __init__(
        self,
        model: bytes,
        precision: str,
        threads: int,
        device: str,
        queue: DeviceQueue | None = None,
        own_warp: bool = True,
        profile: str = "",
    ) -> None:
        """Load a network; ``profile`` is the beginning of a file name for the times of its layers."""
        import onnxruntime

        if precision == "int8" and not any(operation in model for operation in QUANTISED):
            raise InputError(
                "MMREG_E_MODEL_PRECISION",
                "int8 was requested, but no operation of the network is quantised. Choose fp32, or give the "
                "int8 file.",
            )
        provider, options = _provider(device, queue)
        printed = "" if provider == CPU else _preload_libraries()
        number = int(options.get("device_id", 0))
        try:
            model, warps = bytes(model), 0
            if own_warp:
                model, warps = with_warps(model, {"threads": threads, "device": number})
            settings = _session_options(threads, provider)
            if profile:
                settings.enable_profiling, settings.profile_file_prefix = True, profile
            if warps:
                settings.register_custom_ops_library(_warp_library())
            self._session = onnxruntime.InferenceSession(
                model, settings, [(provider, options)], enable_fallback=0
            )
        except Exception as error:  # its exceptions have no common base class
            raise unreadable(error, "onnxruntime") from error
        _check_provider(provider, self._session.get_providers(), printed)
        if provider != CPU:
            check_placement(self._session, provider)
        super().__init__(_specs(self._session.get_inputs()), _specs(self._session.get_outputs()))
        self._queue = queue  # kept alive: the session works on its stream
        self.on_device, self._device_number = queue is not None, int(options.get("device_id", 0))
        halves = provider == CUDA or platform.machine() in ("aarch64", "arm64")
        self.runtime_info = frozen(
            backend="onnxruntime",
            version=onnxruntime.__version__,
            device=device,
            provider=provider,
            precision=precision,
            arithmetic="fp32 (cast by onnxruntime)" if precision == "fp16" and not halves else precision,
            threads=threads,
            **({"warp": f"mmreg x {warps}"} if warps else {}),
        )

    def end_profiling(self) -> str:
        """Return the path of the file with the times of all layers, of a session with ``profile``."""
        path: str = self._session.end_profiling()
        return path

    def _bind(self, shape: Shape) -> _Binding:
        if self.on_device:
            return _DeviceBinding(
                self._session, self.inputs, self.output_spec.name, shape, self._device_number
            )
        return _Binding(self._session, self.inputs, self.output_spec.name, shape)

    def _release(self) -> None:
        del self._session
        self._queue = None


class _Binding(BoundBuffers):
    """Buffers of one shape. The first run determines the output shape, later ones write in place."""

    def __init__(self, session: InferenceSession, inputs: Ports, output: str, shape: Shape) -> None:
        self._session, self._name = session, output
        self._binding = session.io_binding()
        self.inputs: Mapping[str, Float32] = {spec.name: aligned(shape) for spec in inputs}
        for name, buffer in self.inputs.items():
            self._binding.bind_input(name, "cpu", 0, np.float32, buffer.shape, buffer.ctypes.data)
        self._binding.bind_output(output, "cpu")
        self.output: Float32 = np.empty(0, np.float32)

    def run(self) -> None:
        """Compute ``output`` from ``inputs``."""
        self._run(None)

    def run_until_stopped(self, stop: Stop) -> None:
        """Run in another thread, which is terminated when ``stop`` returns True."""
        import onnxruntime

        options = onnxruntime.RunOptions()

        def cancel() -> None:
            options.terminate = True

        try:
            running = InThread(lambda: self._run(options), cancel)
        except RuntimeError:  # the system cannot start another thread
            super().run_until_stopped(stop)
            return
        watch(running, stop)

    def _run(self, options: RunOptions | None) -> None:
        self._session.run_with_iobinding(self._binding, options)
        if not self.output.size:
            output = self._binding.copy_outputs_to_cpu()[0]
            self.output = aligned(output.shape)
            np.copyto(self.output, output)
            self._binding.bind_output(
                self._name, "cpu", 0, np.float32, self.output.shape, self.output.ctypes.data
            )


class _DeviceBinding(_Binding):
    """Buffers of a session on our stream, which can also read and write device memory."""

    def __init__(
        self, session: InferenceSession, inputs: Ports, output: str, shape: Shape, device_number: int
    ) -> None:
        import onnxruntime

        super().__init__(session, inputs, output, shape)
        self._device_binding, self._shape, self._number = session.io_binding(), shape, device_number
        self._output_shape: Shape | None = None
        self._options = onnxruntime.RunOptions()
        self._options.add_run_config_entry("disable_synchronize_execution_providers", "1")

    def output_values(self) -> int:
        """Return the number of output values, which only a run reveals."""
        if self._output_shape is None:
            self.run()
            self._output_shape = self.output.shape
        return int(np.prod(self._output_shape))

    def run_on_device(self, inputs: Mapping[str, int], into: int) -> None:
        """Compute the output at ``into`` from inputs at device addresses, without waiting."""
        for name, address in inputs.items():
            self._device_binding.bind_input(name, "cuda", self._number, np.float32, self._shape, address)
        self._device_binding.bind_output(
            self._name, "cuda", self._number, np.float32, self._output_shape, into
        )
        self._session.run_with_iobinding(self._device_binding, self._options)


def _session_options(threads: int, provider: str) -> SessionOptions:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = FATAL
    options.use_deterministic_compute = True
    # waiting threads sleep: between two inferences the field operations run on the same cores
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # 8-bit weights as unsigned numbers: without VNNI, sums of two signed products saturate in 16 bits
    options.add_session_config_entry("session.x64quantprecision", "1")
    if provider != CPU:
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return options


def _warp_library() -> str:
    """Return the path of the library with ``mmreg::Warp``, which is the compiled module."""
    import mmreg_rt._native as _native

    return str(_native.__file__)


def _provider(device: str, queue: DeviceQueue | None = None) -> tuple[str, dict[str, str]]:
    kind, _, index = device.partition(":")
    if kind == "cpu":
        return CPU, {}
    options = {"device_id": index or "0", "use_tf32": "0"}  # TF32 is not fp32: 10 bits of mantissa
    return CUDA, options if queue is None else {**options, "user_compute_stream": str(queue.stream)}


def _preload_libraries() -> str:
    """Load the CUDA and cuDNN libraries that pip installed, and return the text ONNX Runtime prints."""
    import onnxruntime

    with contextlib.redirect_stdout(io.StringIO()) as printed:
        onnxruntime.preload_dlls()
    return " ".join(printed.getvalue().split())


def _check_provider(requested: str, active: list[str], printed: str = "") -> None:
    """Raise unless the first provider is the requested one: ONNX Runtime always adds the CPU after it."""
    if not active or active[0] != requested:
        raise BackendUnavailableError(
            "MMREG_E_BACKEND_FALLBACK",
            f"onnxruntime fell back from {requested} to {', '.join(active) or 'nothing'}"
            f"{f' ({printed[:300]})' if printed else ''}. Check the driver and the CUDA libraries with "
            "`mmreg doctor`, or choose device cpu.",
        )


def check_placement(session: InferenceSession, provider: str) -> None:
    """Raise if a session runs on the CPU nodes that belong on the device.

    Raises:
        BackendUnavailableError: It does, or ONNX Runtime is too old to report it.
    """
    if not hasattr(session, "get_provider_graph_assignment_info"):
        raise BackendUnavailableError(
            "MMREG_E_BACKEND",
            "onnxruntime on a GPU must be 1.24.1 or later, to report which nodes run there; "
            "pip install --upgrade 'mmreg-rt[gpu]'.",
        )
    elsewhere = {
        node.op_type
        for part in session.get_provider_graph_assignment_info()
        if part.ep_name != provider
        for node in part.get_nodes()
    }
    odd = sorted(elsewhere - SHAPE_OPERATIONS)
    if odd:
        raise BackendUnavailableError(
            "MMREG_E_BACKEND_FALLBACK",
            f"onnxruntime would compute {', '.join(odd)} on the CPU, not with {provider}. Choose another "
            "backend, or device cpu.",
        )


def _why_no_cuda(providers: list[str]) -> str | None:
    if CUDA not in providers:
        return (
            "installed without the CUDA provider; pip uninstall onnxruntime, then "
            "pip install 'mmreg-rt[gpu]' (both fill the same folder)"
        )
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "no NVIDIA driver on this machine (libcuda.so.1 cannot be loaded)"
    return None


def _specs(values: list[NodeArg]) -> Ports:
    return tuple(
        TensorSpec(
            value.name,
            tuple(extent if isinstance(extent, int) and extent > 0 else None for extent in value.shape),
            value.type == "tensor(float)",
        )
        for value in values
    )
