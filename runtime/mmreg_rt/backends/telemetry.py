"""Networks run without telling anybody: both libraries report their use to their makers unless stopped.

ONNX Runtime keeps a number for the machine and sends events over HTTPS, OpenVINO sends them to an analytics
service when it is imported. Programs of hospitals must not. Called before the first import of either; what
a program has imported by itself, or set in ``ORT_DISABLE_TELEMETRY``, stays as it is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

OF_OPENVINO = "openvino_telemetry"


def keep_onnxruntime_silent() -> None:
    """Let ONNX Runtime start without its telemetry."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


@contextmanager
def silent_openvino() -> Iterator[None]:
    """Import OpenVINO as where its telemetry package is not installed: it does without."""
    if "openvino" in sys.modules or OF_OPENVINO in sys.modules:
        yield
        return
    sys.modules[OF_OPENVINO] = None  # type: ignore[assignment]  # Python's mark of what cannot be imported
    try:
        yield
    finally:
        del sys.modules[OF_OPENVINO]
