"""Whole registrations by a network on a device, from arrays of the device to arrays of the device.

Beside them the same network alone in PyTorch: compiled, channels last, half precision. Wall time of single
calls, each waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

BACKENDS = ("onnxruntime", "tensorrt", "tensorrt-rtx")
WARM_UPS = 20
SPACING_MM = 1.0


def plans(
    here: Any, shape: tuple[int, int, int], runs: int, bundles: Sequence[str] = ("synth",)
) -> dict[str, Any]:
    """For each bundle, precision and backend: percentiles of a call, or why there are none."""
    if not here.on_device:
        return {"not measured": f"{here.target} is not a device that runs networks"}
    found: dict[str, Any] = {"shape": list(shape), "runs": runs, "torch, compiled": _torch(here, shape, runs)}
    for bundle in bundles:
        for precision in ("fp32", "fp16"):
            for backend in BACKENDS:
                key = f"{bundle}, {precision}, {backend}"
                found[key] = _plan(here, bundle, precision, backend, shape, runs)
                print(f"  {key}: {found[key]}", flush=True)
    return found


def _plan(
    here: Any, bundle: str, precision: str, backend: str, shape: tuple[int, int, int], runs: int
) -> dict[str, Any]:
    from mmreg_rt import Grid, Registrar
    from mmreg_rt.errors import MmregError

    grid = Grid(shape, np.diag([SPACING_MM] * 3 + [1.0]))
    scans = [here.put(image) for image in _images(shape)]
    try:
        registrar = Registrar(
            bundle, device=here.target, backend=backend, precision=precision, align="none", refine=False
        )
        plan = registrar.plan(grid, grid)
        return {"graphs": plan.graphs, **_percentiles(lambda: plan(*scans), runs)}
    except MmregError as error:  # a library that is not there, or a precision without a file
        return {"not measured": str(error)}


def _torch(here: Any, shape: tuple[int, int, int], runs: int) -> dict[str, Any]:
    """The published network with weights of chance: they change no time."""
    import torch

    from mmreg_train.methods.voxelmorph import VoxelMorph

    network = VoxelMorph(dims=3, output="velocity").eval().half().to(here.target)
    network = torch.compile(network.to(memory_format=torch.channels_last_3d))
    images = [
        here.put(image)[None, None].half().to(memory_format=torch.channels_last_3d)
        for image in _images(shape)
    ]

    def once() -> None:
        with torch.inference_mode():
            network(*images)
        torch.cuda.synchronize()

    return _percentiles(once, runs)


def _images(shape: tuple[int, int, int]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.random(shape, np.float32) for _ in range(2)]


def _percentiles(work: Callable[[], object], runs: int) -> dict[str, float]:
    for _ in range(WARM_UPS):
        work()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    p50, p99, most = np.percentile(seconds, (50, 99, 100)) * 1e3
    return {"p50_ms": float(p50), "p99_ms": float(p99), "max_ms": float(most)}
