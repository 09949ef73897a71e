"""Measure time and memory of every backend and precision on one 3-D U-Net.

    python -m benchmarks.backends.measure [--sizes 96x96x96 160x192x160] [--rounds 7] [--threads 2]

The network has the widths of VoxelMorph (Balakrishnan et al. 2019) and random weights: speed does not depend
on them; accuracy is not measured here. Each contender runs in a separate process, which gives its peak
memory; they run one after the other in every round. A wrong answer stops the run.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import tempfile
import time
import warnings
from dataclasses import asdict
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.machine import ROOT, description, versions
from benchmarks.harness.timer import timing
from mmreg_rt.backends import by_name

RESULTS = ROOT / "benchmarks" / "results" / "backends.json"
DOWN, UP = (16, 32, 32, 32), (32, 32, 32, 32, 32, 16, 16)
REFERENCE = ("onnxruntime", "fp32")
CONTENDERS = (REFERENCE, ("openvino", "fp32"), ("openvino", "bf16"))
# fraction of the largest output: sums of a thousand float32 products; bf16 has 8 bits, over a dozen layers
ALLOWED = {"fp32": 1e-4, "bf16": 3e-2}
Size = tuple[int, ...]


def unet() -> Any:
    """Create a U-Net with skips, then three convolutions at full size and the velocity."""
    import torch
    from torch import nn

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            channels, skips = 2, []
            self.down, self.up, self.last = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
            for width in DOWN:
                self.down.append(nn.Conv3d(channels, width, 3, padding=1))
                skips.append(channels := width)
            for width in UP[: len(DOWN)]:
                self.up.append(nn.Conv3d(channels, width, 3, padding=1))
                channels = width + skips.pop()
            for width in UP[len(DOWN) :]:
                self.last.append(nn.Conv3d(channels, width, 3, padding=1))
                channels = width
            self.velocity = nn.Conv3d(channels, 3, 3, padding=1)

        def forward(self, fixed: Any, moving: Any) -> Any:
            act = nn.functional.leaky_relu
            x, skips = torch.cat([fixed, moving], 1), []
            for convolution in self.down:
                skips.append(act(convolution(x), 0.2))
                x = nn.functional.max_pool3d(skips[-1], 2)
            for convolution in self.up:
                x = nn.functional.interpolate(act(convolution(x), 0.2), scale_factor=2.0, mode="nearest")
                x = torch.cat([x, skips.pop()], 1)
            for convolution in self.last:
                x = act(convolution(x), 0.2)
            return self.velocity(x)

    torch.manual_seed(0)
    return UNet().eval()


def export(path: Path) -> None:
    """Export the U-Net as an ONNX file with free extents, in steps of 16."""
    import torch

    images = (
        torch.rand(1, 1, 32, 32, 48),
        torch.rand(1, 1, 32, 32, 48),
    )  # equal tensors would become one input
    free = {2 + axis: 16 * torch.export.Dim(name, min=1, max=64) for axis, name in enumerate("dhw")}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns about torchvision, which is not needed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = _export_program(images, free)
    program.save(str(path), external_data=False)


def _export_program(images: Any, free: dict[int, Any]) -> Any:
    import torch

    return torch.onnx.export(
        unet(),
        images,
        dynamo=True,
        opset_version=20,
        input_names=["fixed", "moving"],
        output_names=["output"],
        dynamic_shapes=(free, dict(free)),
        verbose=False,
    )


def peak_mib() -> float:
    """Return the peak resident memory of this process in MiB."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def work(pipe: Connection, name: str, precision: str, path: Path, size: Size, threads: int) -> None:
    """Run one contender: load, report, infer on each "run", and finally send the peak and save the answer."""
    rng = np.random.default_rng(0)
    inputs = {port: rng.random((1, 1, *size), np.float32) for port in ("fixed", "moving")}
    backend, data = by_name(name), path.read_bytes()
    backend.unavailable_reason("cpu")  # imports the library
    before_mib, start = peak_mib(), time.perf_counter()
    session = backend.load(data, precision=precision, threads=threads, device="cpu")
    loaded = time.perf_counter()
    output = session.infer(inputs)
    cold = {"load_s": loaded - start, "first_inference_s": time.perf_counter() - loaded}
    pipe.send({**cold, "before_load_mib": before_mib, "ran": dict(session.runtime_info)})
    while pipe.recv() == "run":
        start = time.perf_counter()
        output = session.infer(inputs)
        pipe.send(time.perf_counter() - start)
    pipe.send(peak_mib())
    np.save(f"{path}.{name}.{precision}.npy", output)
    pipe.send("saved")


def race(path: Path, size: Size, contenders: Any, threads: int, rounds: int) -> list[dict[str, Any]]:
    """Return a row for each contender; all are timed in every round, after one warm-up round."""
    context, pipes, reports = multiprocessing.get_context("spawn"), {}, {}
    for contender in contenders:
        pipes[contender], theirs = context.Pipe()
        arguments = (theirs, *contender, path, size, threads)
        context.Process(target=work, args=arguments, daemon=True).start()
        theirs.close()  # if the process dies, recv raises instead of blocking
        reports[contender] = pipes[contender].recv()
    samples: dict[Any, list[float]] = {contender: [] for contender in contenders}
    for _ in range(rounds + 1):
        for contender, pipe in pipes.items():
            pipe.send("run")
            samples[contender].append(pipe.recv())
    for contender, pipe in pipes.items():
        pipe.send("stop")
        reports[contender]["peak_mib"] = pipe.recv()
        pipe.recv()
    times = {contender: asdict(timing(values[1:], "wall")) for contender, values in samples.items()}
    return [
        {
            "size": list(size),
            "backend": contender[0],
            "precision": contender[1],
            "threads": threads,
            **times[contender],
            "times_onnxruntime": times[REFERENCE]["median_s"] / times[contender]["median_s"],
            "difference": difference(path, contender),
            **reports[contender],
        }
        for contender in contenders
    ]


def difference(path: Path, contender: tuple[str, str]) -> float:
    """Return the largest difference to the reference, as a fraction of the largest output; exit if wrong."""
    output, expected = (
        np.load(f"{path}.{name}.{precision}.npy") for name, precision in (contender, REFERENCE)
    )
    error = float(np.abs(output - expected).max() / np.abs(expected).max())
    if not error <= ALLOWED[contender[1]]:
        raise SystemExit(
            f"{contender} is wrong: error {error:.3g} of the largest output, {ALLOWED[contender[1]]} allowed"
        )
    return error


def line(row: dict[str, Any]) -> str:
    return (
        f"{'x'.join(map(str, row['size'])):12} {row['backend']:12} {row['precision']:5} "
        f"{row['median_s'] * 1e3:9.1f} {row['iqr_s'] * 1e3:7.1f} {row['times_onnxruntime']:6.2f} "
        f"{row['peak_mib']:9.0f} {row['first_inference_s'] * 1e3:9.0f} {row['difference']:10.1e}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", nargs="+", default=["96x96x96", "160x192x160"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()

    reasons = {
        contender: by_name(contender[0]).unavailable_reason("cpu", contender[1]) for contender in CONTENDERS
    }
    if reasons[REFERENCE]:
        raise SystemExit(f"onnxruntime is the reference and is unavailable: {reasons[REFERENCE]}")
    for package in ("torch", "onnxscript"):
        if find_spec(package) is None:
            raise SystemExit(f"{package} is needed to create the network: pip install '.[export]'")
    skipped = {" ".join(contender): reason for contender, reason in reasons.items() if reason}
    for contender, reason in skipped.items():
        print(f"skipped: {contender}: {reason}")
    result = {"benchmark": "backends", **description(), "skipped": skipped, "rows": []}
    result["versions"] |= versions("onnxruntime", "openvino", "torch", "onnx")
    print("size         backend      prec   median ms     iqr x ort   peak MiB  first ms  difference")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "unet.onnx"
        export(path)
        for size in (tuple(map(int, words.split("x"))) for words in arguments.sizes):
            able = [contender for contender in CONTENDERS if not reasons[contender]]
            rows = race(path, size, able, arguments.threads, arguments.rounds)
            print("\n".join(map(line, rows)), flush=True)
            result["rows"] += rows
            arguments.results.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
