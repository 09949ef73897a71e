"""Whole registrations by a network on a device, from device arrays to device arrays.

For comparison the same network alone in PyTorch: compiled, channels last, half precision. Wall time of single
synchronised calls.
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
    """Return percentiles of a call for each bundle, precision and backend, or why it was not measured."""
    if not here.on_device:
        return {"not measured": f"{here.target} is not a device that runs networks"}
    report: dict[str, Any] = {
        "shape": list(shape),
        "runs": runs,
        "torch, compiled": _torch(here, shape, runs),
    }
    for bundle in bundles:
        for precision in ("fp32", "fp16"):
            for backend in BACKENDS:
                key = f"{bundle}, {precision}, {backend}"
                report[key] = _plan(here, bundle, precision, backend, shape, runs)
                print(f"  {key}: {report[key]}", flush=True)
        for captured in (False, True):
            key = f"{bundle}, fp32, onnxruntime alone, {'its own' if captured else 'no'} CUDA graph"
            report[key] = _onnxruntime(here, bundle, shape, runs, captured)
            print(f"  {key}: {report[key]}", flush=True)
    return report


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
    except MmregError as error:  # a missing library, or a precision without a file
        return {"not measured": str(error)}


def _onnxruntime(
    here: Any, bundle: str, shape: tuple[int, int, int], runs: int, captured: bool
) -> dict[str, Any]:
    """Time the network alone, on the queue's stream and on device memory.

    It measures whether ONNX Runtime can capture the network as a CUDA graph, and what that saves. The package
    does not use this until the measurement supports it.
    """
    try:
        return _bound(here, bundle, [here.put(image[None, None]) for image in _images(shape)], runs, captured)
    except Exception as error:  # the reason is the result
        return {"not measured": f"{type(error).__name__}: {error}"[:500]}


def _bound(here: Any, bundle: str, images: list[Any], runs: int, captured: bool) -> dict[str, Any]:
    import onnxruntime

    from mmreg_rt.bundle import open_bundle
    from mmreg_rt.network.trust import find_bundle

    options = {"use_tf32": "0", "user_compute_stream": str(here.queue.stream)}
    options["enable_cuda_graph"] = str(int(captured))
    session = onnxruntime.InferenceSession(
        open_bundle(find_bundle(bundle)).model("fp32").onnx,
        providers=[("CUDAExecutionProvider", options)],
        enable_fallback=0,
    )
    named = {port.name: image for port, image in zip(session.get_inputs(), images, strict=True)}
    uncaptured = onnxruntime.RunOptions()
    uncaptured.add_run_config_entry("gpu_graph_id", "-1")
    expected = session.run(None, {name: image.cpu().numpy() for name, image in named.items()}, uncaptured)[0]
    output, binding = here.empty(*expected.shape), session.io_binding()
    place = "cuda", output.device.index, np.float32
    for name, image in named.items():
        binding.bind_input(name, *place, tuple(image.shape), image.data_ptr())
    binding.bind_output(session.get_outputs()[0].name, *place, expected.shape, output.data_ptr())
    times = _percentiles(lambda: session.run_with_iobinding(binding), runs)
    return {**times, "error": float(np.abs(output.cpu().numpy() - expected).max())}


def _torch(here: Any, shape: tuple[int, int, int], runs: int) -> dict[str, Any]:
    """Time the published network with random weights, which do not affect time."""
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
