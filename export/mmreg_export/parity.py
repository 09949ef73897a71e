"""Difference between the outputs of a backend and of torch, in mm of displacement.

The displacement is the final one: integrated, on the full grid; for a rigid motion that of the corners of the
window. Descriptors are compared number by number.
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

# In mm; for descriptors, which have unit length, of any component.
MOST_MM = {"fp32": 0.02, "bf16": 0.3, "fp16": 0.3, "int8": 2.0}  # worst voxel of the golden pair
LIMITS = {"fp32": {"max": 0.02}, "bf16": {"mean": 0.1, "p99.9": 0.3}, "fp16": {"mean": 0.1, "p99.9": 0.3}}


class ParityError(MmregError):
    """The outputs of a network differ between torch and another backend."""


@dataclass(frozen=True)
class Parity:
    """Differences between a backend and torch over all pairs, in mm.

    Attributes:
        backend, precision: Backend and precision of the session.
        mean, p999, max: Mean, 99.9th percentile and maximum of the difference.
        displacement_mean: Mean displacement length of torch.
        pairs: Number of pairs.
        golden: Difference at the worst voxel of the golden pair, as in the self-test of a bundle.
    """

    backend: str
    precision: str
    mean: float
    p999: float
    max: float
    displacement_mean: float
    pairs: int
    golden: float = 0.0

    def __str__(self) -> str:
        differences = f"mean {self.mean:.2g}, p99.9 {self.p999:.2g}, max {self.max:.2g}"
        return f"{differences} of {self.displacement_mean:.2g}, {self.pairs} pairs"

    def figures(self) -> dict[str, float]:
        """Return the figures by name, for the manifest."""
        return {
            "mean": self.mean,
            "p99.9": self.p999,
            "max": self.max,
            "displacement_mean": self.displacement_mean,
            "pairs": float(self.pairs),
        }

    def check(self) -> None:
        """Raise if a figure exceeds its limit; int8 has a limit for the golden pair only.

        Raises:
            ParityError: A figure is above its limit.
        """
        figures = self.figures() | {"golden": self.golden}
        for name, limit in (LIMITS.get(self.precision, {}) | {"golden": MOST_MM[self.precision]}).items():
            if not figures[name] <= limit:
                raise ParityError(
                    "MMREG_E_EXPORT_PARITY",
                    f"{self.backend} in {self.precision} must be within {limit} ({name}) of torch over "
                    f"{self.pairs} pairs; found {figures[name]:.3g}. Export without this precision, or find "
                    "the operation that differs.",
                )


def network_inputs(method: Method, pair: Pair) -> list[dict[str, Float32]]:
    """Return the network inputs for a pair by name, run by run: a descriptor takes one scan at a time."""
    images = [image.reshape(1, 1, *image.shape[3 - method.dims :]) for image in (pair.fixed, pair.moving)]
    names = input_names(method)
    if len(names) == 1:
        return [{names[0]: image} for image in images]
    return [dict(zip(names, images, strict=True))]


def in_torch(method: Method, inputs: dict[str, Float32]) -> Float32:
    """Run the network of a method in torch."""
    network = method.network().eval().cpu()
    with torch.no_grad():
        output: Float32 = network(*(torch.from_numpy(image) for image in inputs.values())).numpy()
    return output


def compare(method: Method, session: Session, pairs: Sequence[Pair]) -> Parity:
    """Compare a session with torch.

    Args:
        method: In evaluation mode.
        session: A backend with the exported network.
        pairs: One or more pairs of network inputs.

    Returns:
        Differences over all pairs; ``golden`` is not measured.
    """
    differences, lengths = [], []
    for pair in pairs:
        for inputs in network_inputs(method, pair):
            expected, output = in_torch(method, inputs), np.array(session.infer(inputs))
            expected_mm = output_in_mm(method, expected, pair)
            differences.append(_lengths(output_in_mm(method, output, pair) - expected_mm, method))
            lengths.append(_lengths(expected_mm, method).mean())
    values = np.concatenate([difference.ravel() for difference in differences])
    return Parity(
        session.runtime_info["backend"],
        session.runtime_info["precision"],
        float(values.mean()),
        float(np.percentile(values, 99.9)),
        float(values.max()),
        float(np.mean(lengths)),
        len(pairs),
    )


def output_in_mm(method: Method, value: Float32, pair: Pair) -> Float64:
    """Return the displacement in mm: on the full grid ``(dims, ...)``, or of window corners ``(3, 8)``.

    A descriptor is returned unchanged, as float64.
    """
    if method.window is not None:
        corners = corners_mm(method.window.size, method.window.spacing_mm)
        motion: Float64 = (moved(matrix_of(value[0]), corners) - corners).T
        return motion
    if method.output_kind not in ("displacement", "velocity"):
        return np.asarray(value[0], np.float64)
    with torch.no_grad():
        displacement = method.displacement(Output(method.output_kind, torch.from_numpy(value)))
    u_vox: Float64 = displacement[0].double().numpy()
    spacing_mm = np.array(pair.spacing_mm[3 - method.dims :])
    mm: Float64 = u_vox * spacing_mm.reshape(-1, *[1] * method.dims)
    return mm


def _lengths(values: Float64, method: Method) -> Float64:
    if method.output_kind == "descriptor":
        return np.abs(values)
    lengths: Float64 = np.sqrt((values**2).sum(0))
    return lengths


def parity_table(comparisons: Sequence[Parity]) -> dict[str, Any]:
    """Return the figures by backend and precision, for the manifest."""
    table: dict[str, Any] = {}
    for parity in comparisons:
        table.setdefault(parity.backend, {})[parity.precision] = parity.figures()
    return table
