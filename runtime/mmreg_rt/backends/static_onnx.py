"""Networks of a deployment for ONNX Runtime: one ONNX file of fixed shape, without operators of this package.

``backends/openvino/static_ir.py`` has the same functions for OpenVINO.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ..onnx_model.static_shape import with_static_shapes
from .onnxruntime import OnnxRuntimeSession
from .session import usable_threads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..geometry import Float32
    from .session import CheckedSession

FILES = ("network.onnx",)
Shapes = dict[str, tuple[int, ...]]  # of inputs and output, by name


def converted(model: bytes, shapes: Shapes) -> dict[str, bytes]:
    """Return the files of a network whose inputs and output have fixed shapes.

    Args:
        model: Bytes of an ONNX file.
        shapes: Shape of each input and of ``output``.
    """
    return {FILES[0]: with_static_shapes(model, shapes)}


def load(files: Mapping[str, bytes], precision: str, threads: int) -> CheckedSession:
    """Load the files that ``converted`` returned; ``precision`` and ``threads`` as in ``Backend.load``."""
    return _session(files, precision, threads)


def longest_layer_s(
    files: Mapping[str, bytes], precision: str, threads: int, inputs: Mapping[str, Float32], runs: int
) -> float:
    """Return the longest time that one layer takes in any of some runs, in s."""
    with tempfile.TemporaryDirectory(prefix="mmreg-profile-") as folder:
        session = _session(files, precision, threads, str(Path(folder, "profile")))
        with session:
            for _ in range(1 + runs):
                session.infer(inputs)
            events = json.loads(Path(session.end_profiling()).read_text())
    times = [
        event["dur"]
        for event in events
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")
    ]
    after_warm_up = times[len(times) // (1 + runs) :]
    return 1e-6 * float(max(after_warm_up, default=0.0))


def _session(
    files: Mapping[str, bytes], precision: str, threads: int, profile: str = ""
) -> OnnxRuntimeSession:
    return OnnxRuntimeSession(
        files[FILES[0]], precision, usable_threads(threads), "cpu", own_warp=False, profile=profile
    )
