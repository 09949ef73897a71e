"""How far what a backend makes of a network is from what torch makes of it, in mm of displacement.

The displacement is the final one: integrated, on the full grid; of a rigid motion that of the corners of the
window. A descriptor is compared number by number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mmreg_rt.errors import MmregError
from mmreg_rt.geometry.rigid_motion import corners_mm, matrix_of, moved
from mmreg_train.methods import Method, Output

from .onnx import input_names

if TYPE_CHECKING:
    from mmreg_rt.backends import Session
    from mmreg_rt.geometry import Float32, Float64

    from .calibration import Pair

# mm; of a descriptor of unit length: of any number
MOST_MM = {"fp32": 0.02, "bf16": 0.3, "fp16": 0.3, "int8": 2.0}  # of the golden pair, at its worst voxel
LIMITS = {"fp32": {"max": 0.02}, "bf16": {"mean": 0.1, "p99.9": 0.3}, "fp16": {"mean": 0.1, "p99.9": 0.3}}


class ParityError(MmregError):
    """A network does not give outside of torch what it gives inside."""


@dataclass(frozen=True)
class Parity:
    """Differences over all pairs; ``displacement_mean`` is the mean length of what torch finds, in mm."""

    backend: str
    precision: str
    mean: float
    p999: float
    max: float
    displacement_mean: float
    pairs: int
    golden: float = 0.0  # at the worst voxel of the golden pair, as the self-test of a bundle measures it

    def __str__(self) -> str:
        found = f"mean {self.mean:.2g}, p99.9 {self.p999:.2g}, max {self.max:.2g}"
        return f"{found} of {self.displacement_mean:.2g}, {self.pairs} pairs"

    def figures(self) -> dict[str, float]:
        """As numbers by name, for the manifest."""
        return {
            "mean": self.mean,
            "p99.9": self.p999,
            "max": self.max,
            "displacement_mean": self.displacement_mean,
            "pairs": float(self.pairs),
        }

    def check(self) -> None:
        """Raises:
        ParityError: A figure is above its limit; of int8 only the golden pair has one.
        """
        figures = self.figures() | {"golden": self.golden}
        for name, limit in (LIMITS.get(self.precision, {}) | {"golden": MOST_MM[self.precision]}).items():
            if not figures[name] <= limit:
                raise ParityError(
                    "MMREG_E_EXPORT_PARITY",
                    f"{self.backend} in {self.precision} must stay within {limit} ({name}) of torch over "
                    f"{self.pairs} pairs; found {figures[name]:.3g}. Export without this precision, or find "
                    "the operation that differs.",
                )


def network_inputs(method: Method, pair: Pair) -> list[dict[str, Float32]]:
    """What the network is given for a pair, run by run: a descriptor sees one scan at a time."""
    images = [image.reshape(1, 1, *image.shape[3 - method.dims :]) for image in (pair.fixed, pair.moving)]
    names = input_names(method)
    if len(names) == 1:
        return [{names[0]: image} for image in images]
    return [dict(zip(names, images, strict=True))]


def in_torch(method: Method, inputs: dict[str, Float32]) -> Float32:
    """What torch makes of one set of inputs."""
    network = method.network().eval().cpu()
    with torch.no_grad():
        made: Float32 = network(*(torch.from_numpy(image) for image in inputs.values())).numpy()
    return made


def compare(method: Method, session: Session, pairs: Sequence[Pair]) -> Parity:
    """A session against torch over pairs."""
    differences, lengths = [], []
    for pair in pairs:
        for inputs in network_inputs(method, pair):
            expected, found = in_torch(method, inputs), np.array(session.infer(inputs))
            expected_mm = final(method, expected, pair)
            differences.append(_lengths(final(method, found, pair) - expected_mm, method))
            lengths.append(_lengths(expected_mm, method).mean())
    every = np.concatenate([difference.ravel() for difference in differences])
    return Parity(
        session.runtime_info["backend"],
        session.runtime_info["precision"],
        float(every.mean()),
        float(np.percentile(every, 99.9)),
        float(every.max()),
        float(np.mean(lengths)),
        len(pairs),
    )


def final(method: Method, value: Float32, pair: Pair) -> Float64:
    """The displacement in mm on the full grid, ``(dims, ...)``, or of the window's corners, ``(3, 8)``; of a
    descriptor the numbers themselves."""
    if method.window is not None:
        corners = corners_mm(method.window.size, method.window.spacing_mm)
        motion: Float64 = (moved(matrix_of(value[0]), corners) - corners).T
        return motion
    if method.output_kind not in ("displacement", "velocity"):
        return np.asarray(value[0], np.float64)
    with torch.no_grad():
        found = method.displacement(Output(method.output_kind, torch.from_numpy(value)))
    u_vox: Float64 = found[0].double().numpy()
    spacing_mm = np.array(pair.spacing_mm[3 - method.dims :])
    mm: Float64 = u_vox * spacing_mm.reshape(-1, *[1] * method.dims)
    return mm


def _lengths(values: Float64, method: Method) -> Float64:
    if method.output_kind == "descriptor":
        return np.abs(values)
    lengths: Float64 = np.sqrt((values**2).sum(0))
    return lengths


def as_numbers(found: Sequence[Parity]) -> dict[str, Any]:
    """For the manifest: backend, precision, figure."""
    made: dict[str, Any] = {}
    for parity in found:
        made.setdefault(parity.backend, {})[parity.precision] = parity.figures()
    return made
