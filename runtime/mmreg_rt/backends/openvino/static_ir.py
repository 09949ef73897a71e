"""Networks of a deployment for OpenVINO: its own format (IR), of fixed shape, after our conversions.

``backends/static_onnx.py`` has the same functions for ONNX Runtime.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ..telemetry import silent_openvino
from .backend import OpenVino, core_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openvino import Model

    from ...geometry import Float32
    from ..session import CheckedSession

FILES = ("network.xml", "network.bin")
Shapes = dict[str, tuple[int, ...]]  # of inputs and output, by name


def converted(model: bytes, shapes: Shapes) -> dict[str, bytes]:
    """Return the files of a network whose inputs and output have fixed shapes.

    Args:
        model: Bytes of an ONNX file.
        shapes: Shape of each input and of ``output``.
    """
    with silent_openvino():
        import openvino

    network = core_for(model).read_model(model)
    network.reshape({port.get_any_name(): list(shapes[port.get_any_name()]) for port in network.inputs})
    _name_by_order(network)
    with tempfile.TemporaryDirectory(prefix="mmreg-ir-") as folder:
        # half-size weights would change the numbers
        openvino.save_model(network, Path(folder, FILES[0]), compress_to_fp16=False)
        return {name: Path(folder, name).read_bytes() for name in FILES}


def load(files: Mapping[str, bytes], precision: str, threads: int) -> CheckedSession:
    """Load the files that ``converted`` returned; ``precision`` and ``threads`` as in ``Backend.load``."""
    return OpenVino().load_ir(*(files[name] for name in FILES), precision=precision, threads=threads)


def longest_layer_s(
    files: Mapping[str, bytes], precision: str, threads: int, inputs: Mapping[str, Float32], runs: int
) -> float:
    """Return the longest time that one layer takes in any of some runs, in s."""
    xml, weights = (files[name] for name in FILES)
    compiled = OpenVino().compile_ir(xml, weights, precision=precision, threads=threads, profiled=True)
    request, longest = compiled.create_infer_request(), 0.0
    request.infer(dict(inputs))  # warm-up
    for _ in range(runs):
        request.infer(dict(inputs))
        longest = max(longest, *(layer.real_time.total_seconds() for layer in request.profiling_info))
    return longest


def _name_by_order(network: Model) -> None:
    """Name operations by their order: by default names count all that this process ever made."""
    for index, operation in enumerate(network.get_ordered_ops()):
        if operation.get_type_name() not in ("Parameter", "Result"):
            operation.set_friendly_name(f"{operation.get_type_name()}_{index}")
