"""The OpenVINO backend: the fastest on Intel and AMD CPUs.

The precision is always set, since OpenVINO chooses bf16 by itself where a CPU has it, and the compiled
precision is read back layer by layer. A network of free shape is compiled for each shape that is used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import BackendUnavailableError, InputError
from ..session import (
    BoundBuffers,
    CheckedSession,
    Ports,
    Shape,
    TensorSpec,
    check_available,
    frozen,
    in_one_line,
    unreadable,
    usable_threads,
)
from ..telemetry import silent_openvino
from ..tensorrt.engine_cache import private_folder
from ..watched import watch
from .grid_sample import convert_grid_sample

if TYPE_CHECKING:
    from openvino import CompiledModel, Core, Output

    from ..._native import DeviceQueue
    from ...geometry import Float32
    from ..watched import Stop

# precision -> (hint for OpenVINO, types that multiplying layers may run in, types at least one must run in)
Hint = tuple[str, tuple[str, ...], tuple[str, ...]]
HINTS: dict[str, Hint] = {
    "fp32": ("f32", ("f32",), ("f32",)),
    "bf16": ("bf16", ("bf16", "f32"), ("bf16",)),
    "fp16": ("f16", ("f16", "f32"), ("f16",)),
    "int8": ("f32", ("i8", "u8", "f32"), ("i8", "u8")),
}
WIDENED: Hint = ("f32", ("f32",), ("f32",))  # fp16 files on a CPU without half arithmetic
MULTIPLYING = ("Convolution", "Deconvolution", "MatMul", "FullyConnected", "GroupConvolution")


class OpenVino:
    """OpenVINO on the CPU.

    Args:
        cache_folder: Folder that keeps compiled networks between processes; None keeps none. Its files are
            run as code, so it must belong to this user and be writable by nobody else.
    """

    name = "openvino"

    def __init__(self, cache_folder: Path | None = None) -> None:
        self._cache_folder = cache_folder

    def unavailable_reason(self, device: str, precision: str = "fp32") -> str | None:
        """Return None if it can run here, else the reason and what to install."""
        if device != "cpu":
            return f"is used on device cpu only, not on {device!r}"
        if precision not in HINTS:
            return f"knows the precisions {', '.join(HINTS)}, not {precision!r}"
        if find_spec("openvino") is None:
            return "not installed; pip install 'mmreg-rt[openvino]'"
        try:
            capabilities = _capabilities()
        except Exception as error:  # a broken installation fails in many ways
            return f"installed, but cannot be used: {in_one_line(error)}"
        if precision == "bf16" and "BF16" not in capabilities:
            return "this CPU has no bf16 arithmetic (AVX512-BF16 or AMX); use precision fp32"
        return None

    def load(
        self,
        model: bytes,
        *,
        precision: str,
        threads: int,
        device: str,
        queue: DeviceQueue | None = None,  # noqa: ARG002  # it runs on no device
    ) -> CheckedSession:
        """Load an ONNX file; see ``Backend.load``."""
        check_available(self, device, precision)
        settings = _settings(threads)
        if self._cache_folder is not None:
            settings["CACHE_DIR"] = str(private_folder(self._cache_folder))
        return OpenVinoSession(model, precision, settings)

    def load_ir(self, xml: bytes, weights: bytes, *, precision: str, threads: int) -> CheckedSession:
        """Load a network in OpenVINO's own format; see ``Backend.load``."""
        check_available(self, "cpu", precision)
        return OpenVinoSession(xml, precision, _settings(threads), weights)

    def compile_ir(
        self, xml: bytes, weights: bytes, *, precision: str, threads: int, profiled: bool = False
    ) -> CompiledModel:
        """Compile a network in OpenVINO's own format, of fixed shape; ``profiled`` measures its layers."""
        check_available(self, "cpu", precision)
        settings = {**_settings(threads), "INFERENCE_PRECISION_HINT": _hint(precision)[0]}
        core = core_for(xml)
        return core.compile_model(core.read_model(xml, weights), "CPU", {**settings, "PERF_COUNT": profiled})


class OpenVinoSession(CheckedSession):
    """A network in OpenVINO, with one infer request and its tensors for each shape."""

    def __init__(
        self, model: bytes, precision: str, settings: Mapping[str, str | int], weights: bytes | None = None
    ) -> None:
        import openvino

        self._core = core_for(bytes(model))
        hint, *self._allowed = _hint(precision)
        self._precision = precision
        self._settings = {**settings, "INFERENCE_PRECISION_HINT": hint}
        try:
            parts = (bytes(model),) if weights is None else (bytes(model), bytes(weights))
            self._model = self._core.read_model(*parts)
            inputs, outputs = _specs(self._model.inputs), _specs(self._model.outputs)
        except Exception as error:
            raise unreadable(error, "openvino") from error
        super().__init__(inputs, outputs)
        try:  # for any shape: shows early which precision the layers run in
            compiled = self._core.compile_model(self._model, "CPU", self._settings)
        except Exception as error:
            raise unreadable(error, "openvino") from error
        self.runtime_info = frozen(
            backend="openvino",
            version=openvino.__version__.partition("-")[0],
            device="cpu",
            provider=", ".join(compiled.get_property("EXECUTION_DEVICES")),
            precision=precision,
            arithmetic=self._check(compiled),
            threads=compiled.get_property("INFERENCE_NUM_THREADS"),
        )

    def _bind(self, shape: Shape) -> _Request:
        model = self._model.clone()
        model.reshape({spec.name: list(shape) for spec in self.inputs})
        if model.output(0).get_partial_shape().is_dynamic:
            raise InputError(
                "MMREG_E_MODEL_PORTS",
                "The shape of the network's output depends on the values of its input. Export a network "
                "whose output shape follows from the shape of its input.",
            )
        compiled = self._core.compile_model(model, "CPU", self._settings)
        self._check(compiled)
        return _Request(compiled, self.inputs)

    def _release(self) -> None:
        del self._model, self._core

    def _check(self, compiled: CompiledModel) -> str:
        """Return the types that multiplying layers run in, such as ``bf16 x 11``.

        Raises:
            BackendUnavailableError: They do not match the requested precision.
        """
        hint = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        devices = compiled.get_property("EXECUTION_DEVICES")
        layers, (may, must) = _arithmetic(compiled), self._allowed
        fits = not layers or (set(layers) <= set(may) and bool(set(layers) & set(must)))
        words = ", ".join(f"{kind} x {count}" for kind, count in sorted(layers.items())) or hint
        if not fits or hint != self._settings["INFERENCE_PRECISION_HINT"] or devices != ["CPU"]:
            raise BackendUnavailableError(
                "MMREG_E_BACKEND_FALLBACK",
                f"openvino compiled {words} for {', '.join(devices)}; {self._precision} on the CPU was "
                "requested. Check that the file has that precision, or choose fp32.",
            )
        return words


class _Request(BoundBuffers):
    """An infer request for one shape, with its tensors."""

    def __init__(self, compiled: CompiledModel, inputs: Ports) -> None:
        self._compiled, self._request = compiled, compiled.create_infer_request()
        self._tensors = {spec.name: self._request.get_tensor(spec.name) for spec in inputs}
        self._result = self._request.get_output_tensor(0)
        self.inputs: Mapping[str, Float32] = {name: tensor.data for name, tensor in self._tensors.items()}
        self.output: Float32 = self._result.data

    def run(self) -> None:
        """Compute ``output`` from ``inputs``."""
        self._request.infer()

    def run_until_stopped(self, stop: Stop) -> None:
        """Run on the threads of OpenVINO, which are cancelled when ``stop`` returns True."""
        self._request.start_async()
        watch(self, stop)

    def wait(self, seconds: float) -> bool:
        """Wait up to ``seconds`` and return whether the request has ended."""
        ended: bool = self._request.wait_for(int(1e3 * seconds))
        return ended

    def cancel(self) -> None:
        """Ask it to end after the current operation."""
        self._request.cancel()

    def end(self) -> None:
        """Wait for its end, and raise the exception that it raised."""
        self._request.wait()


def _settings(threads: int) -> dict[str, str | int]:
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": usable_threads(threads),
        # pinned threads of two processes would share the same cores
        "ENABLE_CPU_PINNING": False,
    }


def _hint(precision: str) -> Hint:
    """Return the entry of ``HINTS``, for this CPU."""
    widened = precision == "fp16" and "FP16" not in _capabilities()
    return WIDENED if widened else HINTS[precision]


def core_for(model: bytes) -> Core:
    """Return an OpenVINO core, with GridSample in 3-D if the network needs it."""
    import openvino

    core = openvino.Core()
    if b"GridSample" in model:
        from openvino.frontend.onnx import ConversionExtension

        core.add_extension(ConversionExtension("GridSample", convert_grid_sample))
    return core


def _capabilities() -> list[str]:
    with silent_openvino():
        import openvino

    capabilities: list[str] = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return capabilities


def _arithmetic(compiled: CompiledModel) -> Counter[str]:
    """Count the multiplying layers that run in each type, as compiled."""
    facts = [operation.get_rt_info() for operation in compiled.get_runtime_model().get_ops()]
    return Counter(
        fact["runtimePrecision"].astype(str) for fact in facts if fact["layerType"].astype(str) in MULTIPLYING
    )


def _specs(values: list[Output]) -> Ports:
    return tuple(
        TensorSpec(
            value.get_any_name(),
            tuple(d.get_length() if d.is_static else None for d in value.get_partial_shape()),
            value.get_element_type().get_type_name() == "f32",
        )
        for value in values
    )
