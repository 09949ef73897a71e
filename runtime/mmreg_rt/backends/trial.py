"""A network small enough to stand here, to see whether a backend computes at all, and rightly."""

from __future__ import annotations

import numpy as np

from . import Backend

# ONNX, opset 20: output = fixed + moving, both (1, 1, a, b, c) float32; tests/backends/test_trial.py writes
NETWORK = bytes.fromhex(
    "080a3a9d010a1c0a0566697865640a066d6f76696e6712066f7574707574220341646412036164645a260a0566697865"
    "64121d0a1b080112170a0208010a0208010a031201610a031201620a031201635a270a066d6f76696e67121d0a1b0801"
    "12170a0208010a0208010a031201610a031201620a0312016362270a066f7574707574121d0a1b080112170a0208010a"
    "0208010a031201610a031201620a0312016342040a001014"
)


def what_is_wrong(backend: Backend, device: str = "cpu") -> str | None:
    """None if the backend adds two images rightly; otherwise what happened."""
    fixed = np.arange(24, dtype=np.float32).reshape(1, 1, 2, 3, 4)
    moving = np.full_like(fixed, 0.5)
    try:
        session = backend.load(NETWORK, precision="fp32", threads=1, device=device)
        found = session.infer({"fixed": fixed, "moving": moving}).copy()
        session.close()
    except Exception as error:  # whatever it is, it is the answer
        return f"{type(error).__name__}: {error}"
    if not np.array_equal(found, fixed + moving):
        return "adds two images wrongly"
    return None
