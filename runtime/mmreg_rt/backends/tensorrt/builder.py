"""Builds TensorRT engines from ONNX files, for TensorRT 10 and 11 and TensorRT for RTX.

Networks are strongly typed, as TensorRT 11 requires: the file sets the precision of every layer. The parsed
network is compared with the file before anything is built. ``warp_support`` decides how warps run. TensorRT
for RTX builds without a GPU; the others need the GPU that the engine is for.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ...errors import BackendUnavailableError, InputError
from ..session import in_one_line
from . import warp_support

if TYPE_CHECKING:
    import tensorrt as rt

MODULES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}  # backend -> module
TYPES = {"fp32": ("FLOAT",), "fp16": ("HALF",), "int8": ("FLOAT", "HALF", "INT8")}  # of multiplying layers
MULTIPLYING = ("CONVOLUTION", "DECONVOLUTION", "MATRIX_MULTIPLY")
KEEP_TIMINGS = ("tensorrt",)  # TensorRT for RTX times nothing before it runs
Say = Callable[[str, float], None]


@dataclass(frozen=True)
class Profile:
    """Extents that an engine accepts along each axis: smallest, the ones it is tuned for, and largest."""

    least: tuple[int, ...]
    usual: tuple[int, ...]
    most: tuple[int, ...]

    @staticmethod
    def fixed(extents: Sequence[int]) -> Profile:
        """Return the profile of a single size, which is the fastest."""
        return Profile(tuple(extents), tuple(extents), tuple(extents))

    def __str__(self) -> str:
        return " to ".join("x".join(map(str, extents)) for extents in dict.fromkeys((self.least, self.most)))


@dataclass(frozen=True)
class Built:
    """An engine and its layers.

    Attributes:
        plan: The serialised engine.
        multiplying: Number of multiplying layers, by output type.
        layers: Number of layers of the parsed network.
        engine_layers: The fused layers, one line each, where the library reports them.
        seconds: Build time.
        timings: Kernel timings, which speed up the next build; empty if the library keeps none.
    """

    plan: bytes
    multiplying: Mapping[str, int]
    layers: int
    engine_layers: tuple[str, ...]
    seconds: float
    timings: bytes = b""


def library(name: str) -> ModuleType:
    """Import TensorRT, or TensorRT for RTX.

    Raises:
        BackendUnavailableError: It is not installed, or cannot be imported.
    """
    if find_spec(MODULES[name]) is None:
        raise BackendUnavailableError(
            "MMREG_E_BACKEND", f"{name} is not installed; pip install 'mmreg-rt[{name}]'."
        )
    try:
        return import_module(MODULES[name])
    except Exception as error:  # a broken installation fails in many ways
        raise BackendUnavailableError(
            "MMREG_E_BACKEND",
            f"{name} is installed, but cannot be imported: {in_one_line(error)}. Reinstall it: pip install "
            f"--force-reinstall 'mmreg-rt[{name}]'.",
        ) from error


def build(
    name: str,
    model: bytes,
    precision: str,
    profile: Profile,
    say: Say | None = None,
    timings: bytes = b"",
    warps: str | None = None,
) -> Built:
    """Build an engine from an ONNX file.

    Args:
        name: ``"tensorrt"`` or ``"tensorrt-rtx"``.
        model: The bytes of a file that ``onnx_model.validation`` has accepted.
        precision: Precision of the file: ``"fp32"``, ``"fp16"`` or ``"int8"``.
        profile: Extents of the images.
        say: Called with the current phase and the fraction done, 0 to 1.
        timings: Timings of an earlier build with the same library on the same GPU.
        warps: How warps run, one of ``warp_support.WAYS``; None chooses the first that works here.

    Raises:
        BackendUnavailableError: The library is missing, or cannot build on this machine or with such warps.
        InputError: TensorRT does not accept the file, or reads it as another network.
    """
    trt = library(name)
    model = warp_support.prepared(trt, name, model, warps)
    logger = _logger(trt)
    builder = trt.Builder(logger)
    network, _parser = _parsed(trt, builder, logger, model)
    kinds = _check(trt, network, model, precision)
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.clear_flag(trt.BuilderFlag.TF32)  # TF32 is not fp32: 10 bits of mantissa
    config.add_optimization_profile(_shapes(builder, network, profile))
    if say is not None:
        config.progress_monitor = _monitor(trt, say)
    if name in KEEP_TIMINGS:
        config.set_timing_cache(config.create_timing_cache(timings), False)
    start = time.perf_counter()
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BackendUnavailableError(
            "MMREG_E_ENGINE_BUILD",
            f"{name} could not build the engine: {logger.worst()}. See `mmreg doctor`.",
        )
    seconds = time.perf_counter() - start
    kept = bytes(config.get_timing_cache().serialize()) if name in KEEP_TIMINGS else b""
    return Built(bytes(plan), kinds, network.num_layers, logger.layers(), seconds, kept)


def _parsed(
    trt: ModuleType, builder: rt.Builder, logger: rt.ILogger, model: bytes
) -> tuple[rt.INetworkDefinition, rt.OnnxParser]:
    """Return the network and the parser, which owns its weights."""
    typed = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if typed is None else 1 << int(typed))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model):
        messages = [in_one_line(parser.get_error(index)) for index in range(parser.num_errors)]
        raise InputError(
            "MMREG_E_MODEL_LOAD",
            f"TensorRT cannot read the network: {'; '.join(messages[:3]) or logger.worst()}. Export it "
            "again.",
        )
    return network, parser


def _check(trt: ModuleType, network: rt.INetworkDefinition, model: bytes, precision: str) -> dict[str, int]:
    """Count the multiplying layers by output type.

    Raises:
        InputError: A type does not match the file's precision, or a warp samples in another mode than the
            file says (importers have read `linear` as an unknown word, and used nearest instead).
    """
    kinds: Counter[str] = Counter()
    sampled: list[str] = []
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        if layer.type.name in MULTIPLYING:
            kinds[layer.get_output(0).dtype.name] += 1
        if layer.type.name == "GRID_SAMPLE":
            layer.__class__ = trt.IGridSampleLayer
            sampled.append(layer.interpolation_mode.name)
    odd = set(kinds) - set(TYPES[precision])
    if odd:
        raise InputError(
            "MMREG_E_MODEL_PRECISION",
            f"{precision} was requested, but TensorRT reads layers of {', '.join(sorted(odd))} in the file. "
            "Choose the precision of the file.",
        )
    declared = grid_sample_modes(model)
    if Counter(sampled) != Counter(declared):
        raise InputError(
            "MMREG_E_MODEL_LOAD",
            f"The file's warps are {_words(declared)}, but TensorRT reads them as {_words(sampled)}. "
            "Use another version of TensorRT.",
        )
    return dict(kinds)


def grid_sample_modes(model: bytes) -> list[str]:
    """Return TensorRT's name for the mode of each GridSample of an ONNX file."""
    from ...onnx_model.validation import text_attributes

    names = {
        "linear": "LINEAR",
        "bilinear": "LINEAR",
        "nearest": "NEAREST",
        "cubic": "CUBIC",
        "bicubic": "CUBIC",
    }
    return [names[mode] for mode in text_attributes(model, "GridSample", "mode", "linear")]


def _words(modes: Sequence[str]) -> str:
    return ", ".join(f"{count} x {mode.lower()}" for mode, count in Counter(modes).items()) or "none"


def _shapes(builder: rt.Builder, network: rt.INetworkDefinition, profile: Profile) -> rt.IOptimizationProfile:
    optimisation = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        image = network.get_input(index)
        shapes = [(*image.shape[:2], *extents) for extents in (profile.least, profile.usual, profile.most)]
        if len(image.shape) != len(shapes[0]):
            raise InputError(
                "MMREG_E_SESSION_INPUT",
                f"The network takes images of {len(image.shape) - 2} dimensions; the profile is {profile}.",
            )
        optimisation.set_shape(image.name, *shapes)
    return optimisation


def _logger(trt: Any) -> Any:
    """Return a logger that keeps the messages of the library and prints nothing."""

    class KeepingLogger(trt.ILogger):  # type: ignore[misc]  # the library is optional
        def __init__(self) -> None:
            super().__init__()
            self.lines: list[tuple[int, str]] = []

        def log(self, severity: rt.ILogger.Severity, message: str) -> None:
            self.lines.append((int(severity), message))

        def worst(self) -> str:
            """Return the first of the most severe messages."""
            if not self.lines:
                return "no reason given"
            gravest = min(severity for severity, _ in self.lines)
            return " ".join(next(words for severity, words in self.lines if severity == gravest).split())

        def layers(self) -> tuple[str, ...]:
            """Return the fused layers, one line each."""
            return tuple(
                line
                for _, words in self.lines
                if words.startswith(("Layers:", "Engine Layer Information"))
                for line in words.splitlines()
                if line.startswith(("Name:", "Layer("))
            )

    return KeepingLogger()


def _monitor(trt: Any, say: Say) -> rt.IProgressMonitor:
    """Return a progress monitor. Phases are nested: the inner phases subdivide a step of the outer one."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.phases: dict[str, tuple[int, int]] = {}  # steps, and how many are done
            self.most = 0.0

        def phase_start(self, name: str, _parent: str | None, steps: int) -> None:
            self.phases[name] = (max(steps, 1), 0)
            say(name, self.share())

        def step_complete(self, name: str, step: int) -> bool:
            steps, _ = self.phases[name]
            self.phases[name] = (steps, min(step + 1, steps))
            say(name, self.share())
            return True

        def phase_finish(self, name: str) -> None:
            self.phases.pop(name, None)

        def share(self) -> float:
            """Return the fraction of the outermost phase that is done."""
            done, width = 0.0, 1.0
            for steps, finished in self.phases.values():  # in the order in which they began
                done += width * finished / steps
                width /= steps
            self.most = min(max(done, self.most), 1.0)  # phases of unequal length must not run backwards
            return self.most

    return Monitor()
