"""Telemetry of the inference libraries, switched off: both report their use to their vendors by default.

ONNX Runtime keeps a machine id and sends events over HTTPS; OpenVINO sends them to an analytics service when
it is imported. Software in hospitals must not. Call these before the first import of either library; a
library that the program has imported itself, or ``ORT_DISABLE_TELEMETRY`` if set, stays as it is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

OF_OPENVINO = "openvino_telemetry"


def keep_onnxruntime_silent() -> None:
    """Disable the telemetry of ONNX Runtime."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


@contextmanager
def silent_openvino() -> Iterator[None]:
    """Import OpenVINO as if its telemetry package were not installed: it then works without."""
    if "openvino" in sys.modules or OF_OPENVINO in sys.modules:
        yield
        return
    sys.modules[OF_OPENVINO] = None  # type: ignore[assignment]  # Python's mark for a module that cannot be imported
    try:
        yield
    finally:
        del sys.modules[OF_OPENVINO]
