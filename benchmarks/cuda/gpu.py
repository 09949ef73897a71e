"""Measure a CUDA device in one command: tests, kernels, whole registrations.

    python -m benchmarks.cuda.gpu [--results benchmarks/results/gpu.json] [--shape 160 192 224] [--rounds 30]

Needs a build with -DMMREG_CUDA=ON and PyTorch with CUDA, which is the peer and the clock. Kernels run on
torch's stream between two events; buffers are rotated, so that they do not stay in the L2 cache; every answer
is first compared with that of the CPU. Fractions are of the bandwidth of a torch copy on the device.
``--target cuda_on_host`` tries the script itself, on a machine without a device.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cuda.gpu_plans import plans
from benchmarks.harness.machine import ROOT, description, versions
from mmreg_rt import _native

SETS = 4  # number of rotated buffer sets
STEPS = 7  # of scaling and squaring
Array = Any


@dataclass(frozen=True)
class Place:
    """The device under test, with its queue on torch's stream; or the host."""

    target: str
    queue: Any

    @property
    def on_device(self) -> bool:
        return self.target != "cuda_on_host"

    def put(self, array: np.ndarray) -> Array:
        """Copy an array to the device."""
        if not self.on_device:
            return array.copy()
        import torch

        return torch.from_numpy(array).to(self.target)

    def empty(self, *shape: int, dtype: type = np.float32) -> Array:
        return self.put(np.empty(shape, dtype))

    def wait(self) -> None:
        if self.on_device:
            import torch

            torch.cuda.synchronize()

    def seconds(self, tasks: Sequence[Callable[[], object]], rounds: int) -> list[float]:
        """Return the seconds of each of ``rounds`` runs; the tasks take turns."""
        for task in tasks:
            task()
        self.wait()
        if not self.on_device:
            return [_wall(tasks[i % len(tasks)]) for i in range(rounds)]
        import torch

        events = [torch.cuda.Event(enable_timing=True) for _ in range(rounds + 1)]
        events[0].record()
        for i in range(rounds):
            tasks[i % len(tasks)]()
            events[i + 1].record()
        self.wait()
        return [a.elapsed_time(b) / 1e3 for a, b in zip(events[:-1], events[1:], strict=True)]


def _wall(task: Callable[[], object]) -> float:
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def place(target: str) -> Place:
    """Return the device, with a new current stream of torch."""
    if target == "cuda_on_host":
        return Place(target, _native.DeviceQueue(target))
    import torch

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.cuda.set_stream(torch.cuda.Stream())  # the default stream is shared and never used here
    return Place(target, _native.DeviceQueue(target, torch.cuda.current_stream().cuda_stream))


def smooth(shape: tuple[int, ...], amplitude_vox: float, seed: int) -> np.ndarray:
    """Return a displacement (3, D, H, W) typical of registrations."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 1, (3, *shape)).astype(np.float32)
    u = _native.gaussian(noise, (8.0, 8.0, 8.0))
    return u * np.float32(amplitude_vox / np.abs(u).max())


def spread(seconds: Sequence[float]) -> dict[str, float]:
    low, median, high = np.percentile(seconds, (25, 50, 75))
    return {"median_us": median * 1e6, "iqr_us": (high - low) * 1e6, "least_us": min(seconds) * 1e6}


def bandwidth(here: Place, rounds: int, count: int) -> float:
    """Return bytes read and written per second by copies that do not fit into a cache."""
    pairs = [(here.put(np.ones(count, np.float32)), here.empty(count)) for _ in range(2)]
    copy = [
        (lambda a=a, b=b: b.copy_(a)) if here.on_device else (lambda a=a, b=b: np.copyto(b, a))
        for a, b in pairs
    ]
    return 8 * count / float(np.median(here.seconds(copy, rounds)))


@dataclass(frozen=True)
class Kernel:
    """An operation: its minimum traffic, how to run it, and the torch equivalents, if any."""

    name: str
    bytes: int
    run: Callable[[int], object]  # with buffer set i
    answer: Callable[[], tuple[np.ndarray, np.ndarray]]  # of the device and of the CPU
    tolerance: float
    torch: dict[str, Callable[[int], object]]


def kernels(here: Place, shape: tuple[int, int, int]) -> list[Kernel]:
    """Return the kernels: warps, composition, integration, and the solver's most expensive operations."""
    voxels, q = int(np.prod(shape)), here.queue
    images = [np.random.default_rng(i).random((1, *shape), np.float32) for i in range(SETS)]
    fields = [smooth(shape, 6.0, i) for i in range(SETS)]
    image, field = [here.put(a) for a in images], [here.put(a) for a in fields]
    one, three = [here.empty(1, *shape) for _ in image], [here.empty(3, *shape) for _ in image]
    features = [here.empty(12, *shape) for _ in range(2)]
    halves = [a.astype(np.float16) for a in images]
    half, into_half = [here.put(a) for a in halves], [here.empty(1, *shape, dtype=np.float16) for _ in halves]

    def host(array: Array) -> np.ndarray:
        here.wait()
        return np.array(array.cpu() if here.on_device else array)

    def launch(name: str, into: Array, *inputs: Array, **options: Any) -> Array:
        getattr(_native, name)(*inputs, **options, out=into, target=q)
        return into

    grids = _grids(here, field, shape)
    return [
        Kernel(
            "warp, linear, 1 channel", voxels * 20,
            lambda i: launch("warp", one[i], image[i], field[i]),
            lambda: (host(launch("warp", one[0], image[0], field[0])), _native.warp(images[0], fields[0])),
            1e-4, _torch_warp(here, image, field, grids),
        ),
        Kernel(
            "warp, linear, 3 channels", voxels * 36,
            lambda i: launch("warp", three[i], field[i - 1], field[i], border="extend"),
            lambda: (
                host(launch("warp", three[0], field[1], field[0], border="extend")),
                _native.warp(fields[1], fields[0], border="extend"),
            ),
            1e-3, _torch_warp(here, [field[i - 1] for i in range(SETS)], field, grids),
        ),
        Kernel(
            "warp, linear, 1 channel, half", voxels * 16,
            lambda i: launch("warp", into_half[i], half[i], field[i]),
            lambda: (
                host(launch("warp", into_half[0], half[0], field[0])),
                _native.warp(halves[0], fields[0]),
            ),
            1e-3, _torch_warp(here, half, field, grids),
        ),
        Kernel(
            "compose", voxels * 36,
            lambda i: launch("compose", three[i], field[i], field[i - 1]),
            lambda: (
                host(launch("compose", three[0], field[0], field[1])),
                _native.compose(fields[0], fields[1]),
            ),
            1e-3, {},
        ),
        Kernel(
            f"integrate, {STEPS} squarings", voxels * 24 * (STEPS + 1),
            lambda i: launch("integrate", three[i], field[i], steps=STEPS),
            lambda: (
                host(launch("integrate", three[0], field[0], steps=STEPS)),
                _native.integrate(fields[0], STEPS),
            ),
            2e-3, _torch_integrate(here, field, shape),
        ),
        Kernel(
            "jacobian", voxels * 16,
            lambda i: launch("jacobian", one[i].reshape(shape), field[i]),
            lambda: (host(launch("jacobian", one[0].reshape(shape), field[0])), _native.jacobian(fields[0])),
            1e-3, {},
        ),
        Kernel(
            "gaussian, 2 voxels, 3 channels", voxels * 24,
            lambda i: launch("gaussian", three[i], field[i], sigma_vox=(2.0, 2.0, 2.0)),
            lambda: (
                host(launch("gaussian", three[0], field[0], sigma_vox=(2.0, 2.0, 2.0))),
                _native.gaussian(fields[0], (2.0, 2.0, 2.0)),
            ),
            1e-4, {},
        ),
        Kernel(
            "mind, radius 1, dilation 2", voxels * 52,
            lambda i: launch("mind", features[i % 2], image[i].reshape(shape), radius=1, dilation=2),
            lambda: (
                host(launch("mind", features[0], image[0].reshape(shape), radius=1, dilation=2)),
                _native.mind(images[0][0], 1, 2),
            ),
            1e-3, {},
        ),
    ]  # fmt: skip


def _grids(here: Place, field: list[Array], shape: tuple[int, ...]) -> list[Array]:
    """Return sampling grids for torch."""
    return [_grid(u, shape) for u in field] if here.on_device else []


def _grid(u: Array, shape: tuple[int, ...]) -> Array:
    """Return normalised positions, last axis first, as training code computes them."""
    import torch

    position = torch.stack(
        torch.meshgrid(*(torch.arange(n, device=u.device, dtype=u.dtype) for n in shape), indexing="ij")
    )
    size = torch.tensor(shape, device=u.device, dtype=u.dtype).view(3, 1, 1, 1)
    return ((2 * (position + u) + 1) / size - 1).flip(0).permute(1, 2, 3, 0)[None]


def _torch_warp(
    here: Place, image: list[Array], field: list[Array], grids: list[Array]
) -> dict[str, Callable[[int], object]]:
    """Return torch's warps; it needs positions in the image type: half is off by up to 0.05 voxel of 224."""
    if not here.on_device:
        return {}
    from torch.nn.functional import grid_sample

    shape, dtype = tuple(field[0].shape[1:]), image[0].dtype
    ready = [grid.to(dtype) for grid in grids]
    return {
        "torch, from the displacement": lambda i: grid_sample(
            image[i][None], _grid(field[i], shape).to(dtype), align_corners=False
        ),
        "torch, from a ready grid": lambda i: grid_sample(image[i][None], ready[i], align_corners=False),
    }


def _torch_integrate(
    here: Place, field: list[Array], shape: tuple[int, ...]
) -> dict[str, Callable[[int], object]]:
    if not here.on_device:
        return {}
    from torch.nn.functional import grid_sample

    def squared(i: int) -> Array:
        u = field[i] / 2**STEPS
        for _ in range(STEPS):
            u = u + grid_sample(u[None], _grid(u, shape), padding_mode="border", align_corners=False)[0]
        return u

    return {"torch, from the velocity": squared}


def measured(here: Place, kernel: Kernel, rounds: int, copy_bytes_per_s: float) -> dict[str, Any]:
    """Measure one kernel; exit if its answer is wrong."""
    answer, expected = kernel.answer()
    error = float(np.abs(answer - expected).max())
    if not error <= kernel.tolerance:
        sys.exit(f"{kernel.name} is wrong: error {error:.3g} to the CPU, {kernel.tolerance:g} allowed")
    own = here.seconds([lambda i=i: kernel.run(i) for i in range(SETS)], rounds)
    row: dict[str, Any] = {"kernel": kernel.name, "error": error, "bytes": kernel.bytes, **spread(own)}
    row["fraction_of_copy"] = kernel.bytes / copy_bytes_per_s / float(np.median(own))
    for name, task in kernel.torch.items():
        theirs = here.seconds([lambda i=i, task=task: task(i) for i in range(SETS)], rounds)
        row[name] = spread(theirs)
        row[f"times faster than {name}"] = float(np.median(theirs) / np.median(own))
    return row


def registrations(here: Place, spacing_mm: float, rounds: int) -> dict[str, Any]:
    """Run the solver on a generated head, on the device and on two threads of the CPU."""
    from mmreg_rt import Registrar
    from mmreg_rt.metrics import dice
    from mmreg_rt.phantom import phantom

    case = phantom(1, scale=spacing_mm)
    results: dict[str, Any] = {"shape": list(case.fixed.grid.shape)}
    fields = {}
    for name, registrar in (
        ("cpu", Registrar(threads=2)),
        (here.target, Registrar(device=here.target)),
    ):
        seconds = []
        for _ in range(rounds):
            start = time.perf_counter()
            result = registrar.register(case.fixed, case.moving)
            seconds.append(time.perf_counter() - start)
        fields[name] = result.transform.displacement_mm
        warped = result.transform.warp_labels(case.moving_labels)
        results[name] = {
            "median_s": float(np.median(seconds)),
            "first_s": seconds[0],
            "stages_s": dict(result.seconds),
            "dice": float(np.mean(list(dice(case.fixed_labels, warped).values()))),
            "folded_voxels": result.quality.folded_voxels,
        }
    difference = np.sqrt(((fields["cpu"] - fields[here.target]) ** 2).sum(0))
    results["difference_mm"] = {
        "mean": float(difference.mean()),
        "p99.9": float(np.percentile(difference, 99.9)),
    }
    results["times faster than two threads"] = results["cpu"]["median_s"] / results[here.target]["median_s"]
    return results


def tests(target: str) -> dict[str, Any]:
    """Run the part of the test suite for this target."""
    selection = target if target == "cuda_on_host" else f"{target} and not {target}_on"
    command = [
        sys.executable, "-m", "pytest", "-q", "-rf", "-k", selection, "tests/kernels", "tests/solver",
        "tests/backends", "tests/runtime/test_plan.py", "tests/train/test_native_warp.py",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr[-500:]
    return {
        "summary": re.sub(r" in [\d.]+s.*", "", last),
        "failed": re.findall(r"^FAILED (\S+)", done.stdout, re.M),
    }


def main() -> None:
    """Run everything, print it and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--target", default="cuda")
    parser.add_argument("--shape", type=int, nargs=3, default=(160, 192, 224))
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--spacing-mm", type=float, default=1.5, help="spacing of the generated head")
    parser.add_argument("--plan-runs", type=int, default=1000)
    parser.add_argument("--bundles", nargs="+", default=["synth"], help="bundles whose networks are run")
    parser.add_argument("--skip-tests", action="store_true")
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    if reason := _native.why_no_device(arguments.target):
        sys.exit(f"{arguments.target}: {reason}")
    here = place(arguments.target)
    report: dict[str, Any] = {
        **description(),
        "device": _native.device_facts(arguments.target),
        "versions": versions("numpy", "torch", "mmreg-rt"),
        "shape": list(arguments.shape),
    }

    def keep() -> None:  # called after every part, as a run may be interrupted
        if arguments.results:
            arguments.results.write_text(json.dumps(report, indent=1) + "\n")

    copy = bandwidth(here, arguments.rounds, 3 * int(np.prod(arguments.shape)))
    report["copy_gb_per_s"] = copy / 1e9
    print(f"{report['device']['name']}: copies {copy / 1e9:.0f} GB/s")
    report["kernels"] = []
    for kernel in kernels(here, tuple(arguments.shape)):
        row = measured(here, kernel, arguments.rounds, copy)
        report["kernels"].append(row)
        ratios = ", ".join(f"{v:.1f} x {k[18:]}" for k, v in row.items() if k.startswith("times"))
        share = f"{row['fraction_of_copy']:4.0%} of copy"
        print(f"  {row['kernel']:32} {row['median_us']:9.1f} us  {share}  {ratios}", flush=True)
        keep()
    report["registration"] = registrations(here, arguments.spacing_mm, 5)
    print(json.dumps(report["registration"], indent=1))
    keep()
    report["plans"] = plans(here, tuple(arguments.shape), arguments.plan_runs, arguments.bundles)
    keep()
    if not arguments.skip_tests:
        report["tests"] = tests(arguments.target)
        print(report["tests"]["summary"], *report["tests"]["failed"], sep="\n  ")
        keep()


if __name__ == "__main__":
    main()
