"""Tiny networks that test whether a backend computes, and computes correctly."""

from __future__ import annotations

import zlib

import numpy as np

from . import Backend

# ONNX, opset 20: output = fixed + moving, (1, 1, a, b, c) float32; written by tests/backends/test_trial.py.
NETWORK = bytes.fromhex(
    "080a3a9d010a1c0a0566697865640a066d6f76696e6712066f7574707574220341646412036164645a260a0566697865"
    "64121d0a1b080112170a0208010a0208010a031201610a031201620a031201635a270a066d6f76696e67121d0a1b0801"
    "12170a0208010a0208010a031201610a031201620a0312016362270a066f7574707574121d0a1b080112170a0208010a"
    "0208010a031201610a031201620a0312016342040a001014"
)

# ONNX, compressed: 16 copies of both images, whole numbers, through 3 x 3 weights of 127.
NETWORK_8_BITS = bytes.fromhex(
    "78daed98bf4ec33010c6e3c44dacab40c12aa823441d68068460a95840812962416c5d90db9ad6a24d4afe94aa0bddd9"
    "99fb543c0f899b2284e80b54f7b37cd27dfe12ddad1f83abaf367c98507b567339007b12cf5434dcf996d35e9c8d3cfb"
    "368efa22f3eb40c55ca54db22226b4413f82154712e8422631b74be1a9e3ed3fe422cad442deab488a04cea07af96d76"
    "b47479e1b977f2f5afdf79936a38cad2ea83a8a8dc7e914924c7fff8cf61f333a84c9ca6f924f56831f8cc3f003a1583"
    "f486accf8a38700ada50ae9ba419d0b1d8546ec77936cd33aff638567dc96b7a107fcf2541394b480d6379edd75d33d0"
    "6b84c4281a2bd02396cd678bb9ec9859cc2ad4cd1ae1b2f58e200882200882200882200882ec34fe2123ae13ac03a790"
    "19157e43cb3a7a0a19a9d4ee4915c4f1261c31c239988ce86b7122cad2eb7a3f21dd564faff0acd3aced9e8082e136be"
    "01b455abf0"
)


def saturates(backend: Backend) -> bool:
    """Return whether sums of two 8-bit products saturate on this CPU, as they do without VNNI.

    Networks with 7-bit weights, as ``mmreg export`` writes them, are exact all the same.
    """
    images = {name: np.full((1, 1, 4, 4), 255, np.float32) for name in ("fixed", "moving")}
    session = backend.load(zlib.decompress(NETWORK_8_BITS), precision="int8", threads=1, device="cpu")
    total = float(session.infer(images)[0, 0, 1, 1])  # all nine taps lie within
    session.close()
    return abs(total / (255 * 127 * 32 * 9) - 1) > 1e-3


def what_is_wrong(backend: Backend, device: str = "cpu") -> str | None:
    """Return None if the backend adds two images correctly, else what went wrong."""
    fixed = np.arange(24, dtype=np.float32).reshape(1, 1, 2, 3, 4)
    moving = np.full_like(fixed, 0.5)
    try:
        session = backend.load(NETWORK, precision="fp32", threads=1, device=device)
        total = session.infer({"fixed": fixed, "moving": moving}).copy()
        session.close()
    except Exception as error:  # any failure is the answer
        return f"{type(error).__name__}: {error}"
    if not np.array_equal(total, fixed + moving):
        return "adds two images wrongly"
    return None
