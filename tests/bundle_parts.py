"""What tiny bundles of these tests are made of."""

import numpy as np
import onnx_bytes as ox

from mmreg_rt.bundle import golden_bytes
from mmreg_rt.preprocess import PreprocessSpec

SPACING_MM = 1.5
WIDE = {"modalities": None, "anatomy": "any", "spacing_mm": [0.5, 20], "field_of_view_mm": [10, 500]}


def manifest(dims=3, kind="displacement", **changes):
    """The manifest of a bundle with the network ``onnx_bytes.net``, without its files."""
    made = {
        "name": "tiny",
        "version": "1.0",
        "method": "difference",
        "dims": dims,
        "licence": "CC0-1.0",
        "card": "card.md",
        "output": {
            "kind": kind,
            "factor": 1,
            "integration_steps": 5 if kind == "velocity" else 0,
            "channels": 2 if kind == "descriptor" else dims,
        },
        "preprocess": PreprocessSpec(SPACING_MM, 4).as_dict(),
        "intended_use": {
            "modalities": [["MR-T1", "MR-T2"], ["CT"]],
            "anatomy": "head",
            "spacing_mm": [0.5, 3.0],
            "field_of_view_mm": [100, 300],
        },
        "precisions": {"fp32": "net.onnx"},
        "golden": {"file": "golden.npz", "limit_mm": 0.01},
        "parity": {"onnxruntime_max_mm": 0.001},
    }
    return made | changes


def golden_pair(dims=3, seed=1):
    shape = (1, 8, 4) if dims == 2 else (4, 8, 4)
    fixed, moving = np.random.default_rng(seed).random((2, *shape), np.float32)
    return fixed, moving, np.repeat((fixed - moving).reshape(1, *shape[3 - dims :]), dims, 0)


def files(dims=3, **changes):
    made = {
        "net.onnx": ox.net(dims),
        "golden.npz": golden_bytes(*golden_pair(dims)),
        "card.md": b"# Tiny\n\nA difference.\n",
    }
    return {name: data for name, data in (made | changes).items() if data is not None}


WINDOW, WINDOW_SPACING_MM = (8, 12, 12), (6.0, 4.0, 4.0)
STEPS = ((3.0, -2.0, 4.0, 5.0, -4.0, 6.0), (-1.0, 2.0, 0.5, 1.0, 2.0, -3.0))  # of two networks


def rigid_manifest(**changes):
    """The manifest of a bundle with the two networks of ``rigid_files``."""
    made = manifest(
        output={"kind": "rigid", "factor": 1, "integration_steps": 0, "channels": 6},
        preprocess=PreprocessSpec(multiple=4, intensity="minmax").as_dict(),
        rigid={
            "size": list(WINDOW),
            "spacing_mm": list(WINDOW_SPACING_MM),
            "stages": [{"fp32": "net.stage2.onnx"}],
        },
    )
    made["intended_use"] |= {"modalities": None, "spacing_mm": [0.5, 20], "field_of_view_mm": [10, 500]}
    return made | changes


def rigid_files(**changes):
    fixed, moving = np.random.default_rng(2).random((2, *WINDOW), np.float32)
    made = {
        "net.onnx": ox.rigid(STEPS[0], WINDOW),
        "net.stage2.onnx": ox.rigid(STEPS[1], WINDOW),
        "golden.npz": golden_bytes(fixed, moving, np.array(STEPS)),
        "card.md": b"# Two steps\n",
    }
    return {name: data for name, data in (made | changes).items() if data is not None}
