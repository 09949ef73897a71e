"""Networks by ONNX Runtime: the reference that runs on any CPU, and on NVIDIA GPUs with its CUDA provider.

Half-precision files run everywhere; where ONNX Runtime has no half kernel it casts to float32 by itself
(every x86-64 CPU), and ``ran["arithmetic"]`` says so. Its int8 speeds up 2-D convolutions, not 3-D ones.

Networks that warp between their stages are given the package's own warp (``warp_nodes``), on the CPU with the
threads of the session, on a GPU on its stream; ``ran["warp"]`` says how many of their warps are ours.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import platform
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import BackendUnavailableError, InputError
from .session import (
    Bound,
    CheckedSession,
    Port,
    Shape,
    aligned,
    frozen,
    in_one_line,
    unreadable,
    usable_threads,
)
from .telemetry import keep_onnxruntime_silent
from .warp_nodes import with_warps
from .watched import InThread, watch

if TYPE_CHECKING:
    from ..geometry import Float32
    from .watched import Stop

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
PRECISIONS = ("fp32", "fp16", "int8")
QUANTISED = (b"QuantizeLinear", b"QLinearConv", b"ConvInteger")  # in the bytes of every int8 file
# what networks compute of extents: ONNX Runtime leaves it on the CPU, where it costs next to nothing
OF_EXTENTS = {"Shape", "Squeeze", "Unsqueeze", "Gather", "Concat", "Slice", "Cast", "Range", "Reshape"}
OF_EXTENTS |= {"Add", "Sub", "Mul", "Div", "Floor", "Min", "Max"}
FATAL = 4  # the only level that writes nothing: errors arrive as exceptions


class OnnxRuntime:
    """ONNX Runtime on the CPU or on one NVIDIA GPU."""

    name = "onnxruntime"

    def why_not(self, device: str, precision: str = "fp32") -> str | None:
        """None if it can run here; otherwise the reason and what to install."""
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
        self, model: bytes, *, precision: str, threads: int, device: str, queue: Any = None
    ) -> CheckedSession:
        """A session for an ONNX file's bytes; see ``Backend.load``."""
        reason = self.why_not(device, precision)
        if reason is not None:
            raise BackendUnavailableError(
                "MMREG_E_BACKEND", f"onnxruntime cannot run {precision} on {device}: {reason}."
            )
        return OnnxRuntimeSession(model, precision, usable_threads(threads), device, queue)


class OnnxRuntimeSession(CheckedSession):
    """A network in ONNX Runtime, its inputs and output bound to fixed buffers for each shape."""

    def __init__(self, model: bytes, precision: str, threads: int, device: str, queue: Any = None) -> None:
        import onnxruntime

        if precision == "int8" and not any(operation in model for operation in QUANTISED):
            raise InputError(
                "MMREG_E_MODEL_PRECISION",
                "int8 was asked for, and no operation of the network is quantised. Ask for fp32, or give "
                "the int8 file.",
            )
        provider, options = _provider(device, queue)
        said = "" if provider == CPU else _preloaded()
        number = int(options.get("device_id", 0))
        try:
            model, warps = with_warps(bytes(model), {"threads": threads, "device": number})
            settings = _session_options(threads, provider)
            if warps:
                settings.register_custom_ops_library(_warp_library())
            self._session = onnxruntime.InferenceSession(
                model, settings, [(provider, options)], enable_fallback=0
            )
        except Exception as error:  # its exceptions have no base of their own
            raise unreadable(error, "onnxruntime") from error
        _check_provider(provider, self._session.get_providers(), said)
        if provider != CPU:
            check_placement(self._session, provider)
        super().__init__(_ports(self._session.get_inputs()), _ports(self._session.get_outputs()))
        self._queue = queue  # whose stream the session works on to its end
        self.there, self._device_number = queue is not None, int(options.get("device_id", 0))
        halves = provider == CUDA or platform.machine() in ("aarch64", "arm64")
        self.ran = frozen(
            backend="onnxruntime",
            version=onnxruntime.__version__,
            device=device,
            provider=provider,
            precision=precision,
            arithmetic="fp32 (cast by onnxruntime)" if precision == "fp16" and not halves else precision,
            threads=threads,
            **({"warp": f"mmreg x {warps}"} if warps else {}),
        )

    def _bind(self, shape: Shape) -> _Binding:
        if self.there:
            return _DeviceBinding(
                self._session, self.inputs, self.output_port.name, shape, self._device_number
            )
        return _Binding(self._session, self.inputs, self.output_port.name, shape)

    def _release(self) -> None:
        del self._session
        self._queue = None


class _Binding(Bound):
    """Buffers of one shape. The first run finds the output's shape, later ones write in place."""

    def __init__(self, session: Any, inputs: tuple[Port, ...], output: str, shape: Shape) -> None:
        self._session, self._name = session, output
        self._binding = session.io_binding()
        self.inputs: Mapping[str, Float32] = {port.name: aligned(shape) for port in inputs}
        for name, buffer in self.inputs.items():
            self._binding.bind_input(name, "cpu", 0, np.float32, buffer.shape, buffer.ctypes.data)
        self._binding.bind_output(output, "cpu")
        self.output: Float32 = np.empty(0, np.float32)

    def run(self) -> None:
        """From ``inputs`` to ``output``."""
        self._run(None)

    def run_while_wanted(self, stop: Stop) -> None:
        """The same, in another thread, which is told to end when ``stop`` says so."""
        import onnxruntime

        options = onnxruntime.RunOptions()

        def cancel() -> None:
            options.terminate = True

        try:
            running = InThread(lambda: self._run(options), cancel)
        except RuntimeError:  # the system gives no more threads
            super().run_while_wanted(stop)
            return
        watch(running, stop)

    def _run(self, options: Any) -> None:
        self._session.run_with_iobinding(self._binding, options)
        if not self.output.size:
            found = self._binding.copy_outputs_to_cpu()[0]
            self.output = aligned(found.shape)
            np.copyto(self.output, found)
            self._binding.bind_output(
                self._name, "cpu", 0, np.float32, self.output.shape, self.output.ctypes.data
            )


class _DeviceBinding(_Binding):
    """The same for a session on a stream of ours, which can also be run from and to memory of the device."""

    def __init__(
        self, session: Any, inputs: tuple[Port, ...], output: str, shape: Shape, device_number: int
    ) -> None:
        import onnxruntime

        super().__init__(session, inputs, output, shape)
        self._there, self._shape, self._number = session.io_binding(), shape, device_number
        self._output_shape: Shape | None = None
        self._options = onnxruntime.RunOptions()
        self._options.add_run_config_entry("disable_synchronize_execution_providers", "1")

    def output_values(self) -> int:
        """How many numbers the network gives; only a run tells it."""
        if self._output_shape is None:
            self.run()
            self._output_shape = self.output.shape
        return int(np.prod(self._output_shape))

    def run_there(self, inputs: Mapping[str, int], into: int) -> None:
        """From addresses of the device to one, without waiting."""
        for name, address in inputs.items():
            self._there.bind_input(name, "cuda", self._number, np.float32, self._shape, address)
        self._there.bind_output(self._name, "cuda", self._number, np.float32, self._output_shape, into)
        self._session.run_with_iobinding(self._there, self._options)


def _session_options(threads: int, provider: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = FATAL
    options.use_deterministic_compute = True
    # threads that wait sleep: the field operations run between two inferences, on the same cores
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # without VNNI, 8-bit weights as unsigned numbers: sums of two signed products saturate in 16 bits
    options.add_session_config_entry("session.x64quantprecision", "1")
    if provider != CPU:
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return options


def _warp_library() -> str:
    """The library with ``mmreg::Warp``: the compiled module."""
    import mmreg_rt._native as _native

    return str(_native.__file__)


def _provider(device: str, queue: Any = None) -> tuple[str, dict[str, str]]:
    kind, _, index = device.partition(":")
    if kind == "cpu":
        return CPU, {}
    options = {"device_id": index or "0", "use_tf32": "0"}  # TF32 is not fp32: 10 bits of mantissa
    return CUDA, options if queue is None else {**options, "user_compute_stream": str(queue.stream)}


def _preloaded() -> str:
    """Loads the libraries of CUDA and cuDNN that were installed by pip; what ONNX Runtime prints of it."""
    import onnxruntime

    with contextlib.redirect_stdout(io.StringIO()) as printed:
        onnxruntime.preload_dlls()
    return " ".join(printed.getvalue().split())


def _check_provider(asked: str, found: list[str], said: str = "") -> None:
    """ONNX Runtime always adds the CPU behind another provider; what counts is the first."""
    if not found or found[0] != asked:
        raise BackendUnavailableError(
            "MMREG_E_BACKEND_FALLBACK",
            f"Asked onnxruntime for {asked}, and it fell back to {', '.join(found) or 'nothing'}"
            f"{f' ({said[:300]})' if said else ''}. Check the "
            "driver and the CUDA libraries with `mmreg doctor`, or ask for device cpu.",
        )


def check_placement(session: Any, provider: str) -> None:
    """Refuse a session that computes on the CPU what belongs on the device.

    Raises:
        BackendUnavailableError: It does, or ONNX Runtime is too old to say so.
    """
    if not hasattr(session, "get_provider_graph_assignment_info"):
        raise BackendUnavailableError(
            "MMREG_E_BACKEND",
            "onnxruntime on a GPU must be 1.24.1 or later, to say what it runs there; "
            "pip install --upgrade 'mmreg-rt[gpu]'.",
        )
    elsewhere = {
        node.op_type
        for part in session.get_provider_graph_assignment_info()
        if part.ep_name != provider
        for node in part.get_nodes()
    }
    odd = sorted(elsewhere - OF_EXTENTS)
    if odd:
        raise BackendUnavailableError(
            "MMREG_E_BACKEND_FALLBACK",
            f"Asked onnxruntime for {provider}, and it would compute {', '.join(odd)} on the CPU. Take "
            "another backend, or device cpu.",
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


def _ports(found: Any) -> tuple[Port, ...]:
    return tuple(
        Port(
            port.name,
            tuple(extent if isinstance(extent, int) and extent > 0 else None for extent in port.shape),
            port.type == "tensor(float)",
        )
        for port in found
    )
