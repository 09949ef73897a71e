"""The TensorRT backend: TensorRT 10 and 11, and TensorRT for RTX, behind one adapter.

An engine serves one image size. It is built when that size is first used, or ahead by ``mmreg compile``, and
kept in the cache of this user.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import BackendUnavailableError, DeviceError
from ...onnx_model.validation import check_model
from ..session import BoundBuffers, CheckedSession, Ports, Shape, TensorSpec, check_available, frozen
from ..warp_nodes import with_warps
from . import python_plugin, warp_support
from .builder import TYPES, Profile, build, library
from .engine_cache import EngineCache, EngineFacts, default_folder

if TYPE_CHECKING:
    from tensorrt import ICudaEngine

    from ..._native import DeviceQueue
    from ...geometry import Float32
    from ...onnx_model.validation import TensorFacts
    from .builder import Say


class TensorRt:
    """TensorRT on one NVIDIA GPU.

    Args:
        name: ``"tensorrt"`` or ``"tensorrt-rtx"``.
        cache_folder: Folder of engines; by default ``$MMREG_CACHE`` or the user's cache folder.
        warps: How warps run, one of ``warp_support.WAYS``; None chooses the first that works here.
    """

    def __init__(
        self, name: str = "tensorrt", cache_folder: Path | None = None, warps: str | None = None
    ) -> None:
        self.name, self._warps = name, warps
        self._cache_folder = cache_folder

    def unavailable_reason(self, device: str, precision: str = "fp32") -> str | None:
        """Return None if it can run here, else the reason and what to install."""
        import mmreg_rt._native as _native

        if device.partition(":")[0] != "cuda":
            return f"is used on cuda and cuda:N only, not on {device!r}"
        if precision not in TYPES:
            return f"knows the precisions {', '.join(TYPES)}, not {precision!r}"
        try:
            library(self.name)
        except BackendUnavailableError as error:
            return str(error.args[0]).removeprefix(f"{self.name} is ").removesuffix(".")
        return _native.why_no_device(device) or None

    def load(
        self,
        model: bytes,
        *,
        precision: str,
        threads: int,  # noqa: ARG002  # the GPU has its own
        device: str,
        queue: DeviceQueue | None = None,
    ) -> CheckedSession:
        """Load an ONNX file; see ``Backend.load``."""
        check_available(self, device, precision)
        cache = EngineCache(self._cache_folder or default_folder())
        return TensorRtSession(Engines(self.name, model, precision, device, cache, self._warps), queue)


class Engines:
    """The engines of one network on one device: read from the cache, or built and stored there.

    Args:
        name: ``"tensorrt"`` or ``"tensorrt-rtx"``.
        model: The bytes of an ONNX file.
        precision: Precision of the file.
        device: ``"cuda"`` or ``"cuda:N"``.
        cache: Cache of engines.
        warps: As in ``TensorRt``.

    Raises:
        BackendUnavailableError: The warps of the network cannot run this way.
    """

    def __init__(
        self,
        name: str,
        model: bytes,
        precision: str,
        device: str,
        cache: EngineCache,
        warps: str | None = None,
    ) -> None:
        import mmreg_rt._native as _native

        facts, version = _native.device_facts(device), library(name).__version__
        self.warps = with_warps(model, {})[1]
        self.way = warp_support.way(name, version, warps) if self.warps else warp_support.WAYS[0]
        self.name, self.model, self.precision, self.device, self.cache = name, model, precision, device, cache
        self.basis = EngineFacts(
            model_sha256=hashlib.sha256(model).hexdigest(),
            precision=precision,
            profile="",
            library=name,
            library_version=version,
            gpu=facts["name"],
            compute_capability=facts["capability"],
            driver=str(facts["driver"]),
            warps=warp_support.identity(self.way),
        )

    def facts(self, profile: Profile) -> EngineFacts:
        """Return the facts that an engine for these extents depends on."""
        return replace(self.basis, profile=str(profile))

    def engine(self, profile: Profile, say: Say | None = None) -> tuple[bytes, str]:
        """Return an engine and its origin in words.

        An engine built for another GPU, driver or version is built again, and the origin says so.

        Args:
            profile: Extents of the images.
            say: Called with the phase of a build and the fraction done.

        Raises:
            BackendUnavailableError: The cached engine was modified, or the engine cannot be built.
            InputError: TensorRT does not accept the network.
        """
        facts = self.facts(profile)
        origin = "built here"
        try:
            plan = self.cache.read(facts)
        except BackendUnavailableError as reason:
            if reason.code != "MMREG_E_ENGINE_FOREIGN":
                raise
            plan, origin = None, f"built again: {reason.args[0]}"
        if plan is not None:
            return plan, f"read from {self.cache.folder}"
        if self.way == "python":  # the build times its kernels on the device, too
            python_plugin.register(library(self.name), self.device)
        engine = build(self.name, self.model, self.precision, profile, say, self._timings(), self.way)
        self.cache.write(facts, engine.plan)
        if engine.timings:
            self.cache.write(self._timing_facts(), engine.timings)
        return engine.plan, f"{origin}, in {engine.seconds:.1f} s"

    def _timing_facts(self) -> EngineFacts:
        return replace(self.basis, model_sha256="", precision="", profile="timings", warps="")

    def _timings(self) -> bytes:
        """Return the kernel timings that earlier builds of any network measured on this GPU."""
        try:
            return self.cache.read(self._timing_facts()) or b""
        except BackendUnavailableError as reason:
            if reason.code != "MMREG_E_ENGINE_FOREIGN":
                raise
            return b""


class TensorRtSession(CheckedSession):
    """A network in TensorRT: an engine for each shape, on the stream of a queue."""

    def __init__(self, engines: Engines, queue: DeviceQueue | None = None) -> None:
        import mmreg_rt._native as _native

        self._engines = engines
        self._trt = library(engines.name)
        self._logger = self._trt.Logger(self._trt.Logger.ERROR)
        self._runtime = self._trt.Runtime(self._logger)
        self._queue = queue or _native.DeviceQueue(engines.device)
        file = check_model(engines.model)
        super().__init__(_specs(file.inputs), _specs(file.outputs))
        self.on_device = self.graph_capturable = True
        self.runtime_info = frozen(
            backend=engines.name,
            version=engines.basis.library_version,
            device=engines.device,
            provider=engines.basis.gpu,
            precision=engines.precision,
            arithmetic=engines.precision,
            threads=0,
            **({} if engines.way == "native" else {"warp": f"mmreg x {engines.warps}, {engines.way}"}),
        )

    def _bind(self, shape: Shape) -> _Request:
        with self._queue:  # TensorRT works on the current device of the thread
            return self._request(shape)

    def _request(self, shape: Shape) -> _Request:
        plan, origin = self._engines.engine(Profile.fixed(shape[2:]))
        if self._engines.way == "python":  # an engine from the cache was not built here
            python_plugin.register(self._trt, self._engines.device)
        engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise BackendUnavailableError(
                "MMREG_E_ENGINE_LOAD",
                f"{self._engines.name} cannot load the engine ({origin}) on this GPU. Use the backend "
                "onnxruntime, or run `mmreg doctor`.",
            )
        self.runtime_info = frozen(**{**self.runtime_info, "engine": origin})
        return _Request(engine, self._queue, self.inputs, self.output_spec.name, shape)

    def _release(self) -> None:
        del self._runtime, self._queue


class _Request(BoundBuffers):
    """An execution context for one shape, with device buffers and pinned memory for scans on the host."""

    def __init__(
        self, engine: ICudaEngine, queue: DeviceQueue, inputs: Ports, output: str, shape: Shape
    ) -> None:
        self._queue, self._engine = queue, engine  # the engine must outlive its context
        self._context = engine.create_execution_context()
        if self._context is None:
            raise DeviceError(
                "MMREG_E_DEVICE_MEMORY",
                f"There is not enough device memory to run the network on inputs of shape {shape}. Use a "
                "smaller grid, or close other programs that use the device.",
            )
        for spec in inputs:
            self._context.set_input_shape(spec.name, shape)
        self._shapes = {spec.name: shape for spec in inputs}
        self._output, self._output_shape = output, tuple(self._context.get_tensor_shape(output))
        self._memory: dict[str, int] = {}

    @cached_property
    def inputs(self) -> Mapping[str, Float32]:  # type: ignore[override]
        """Input buffers in pinned memory, by name."""
        return {name: self._buffer(name, shape) for name, shape in self._shapes.items()}

    @cached_property
    def output(self) -> Float32:  # type: ignore[override]
        """Output buffer in pinned memory."""
        return self._buffer(self._output, self._output_shape)

    def _buffer(self, name: str, shape: Shape) -> Float32:
        size = 4 * int(np.prod(shape))
        self._memory[name] = self._queue.allocate(size)
        pinned: Float32 = self._queue.pinned(size).view(np.float32).reshape(shape)
        return pinned

    def run(self) -> None:
        """Compute ``output`` from ``inputs``."""
        into = self.output.reshape(-1).view(np.uint8)
        for name, image in self.inputs.items():
            self._queue.upload(self._memory[name], image)
        self.run_on_device({name: self._memory[name] for name in self.inputs}, self._memory[self._output])
        self._queue.download(into, self._memory[self._output])

    def finish(self) -> None:
        """Wait for runs that have not finished."""
        self._queue.trim()

    def output_values(self) -> int:
        """Return the number of output values."""
        return int(np.prod(self._output_shape))

    def run_on_device(self, inputs: Mapping[str, int], into: int) -> None:
        """Compute the output at ``into`` from inputs at device addresses, without waiting."""
        for name, address in {**inputs, self._output: into}.items():
            self._context.set_tensor_address(name, address)
        with self._queue:
            done = self._context.execute_async_v3(self._queue.stream)
        if not done:
            raise DeviceError(
                "MMREG_E_DEVICE_LOST",
                "TensorRT failed to run the network. Restart the process, and run `mmreg doctor`.",
            )

    def __del__(self) -> None:
        for memory in getattr(self, "_memory", {}).values():
            self._queue.release(memory)


def _specs(values: tuple[TensorFacts, ...]) -> Ports:
    return tuple(
        TensorSpec(
            value.name,
            tuple(extent if isinstance(extent, int) else None for extent in value.dims),
            value.dtype == "float32",
        )
        for value in values
    )
