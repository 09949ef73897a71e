"""The golden pair of a deployment: that of its bundle, continued to the deployed grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..bundle.manifest import FIELDS, RIGID
from ..bundle.network_output import what_is_wrong
from ..errors import BundleError
from ..geometry.rigid_motion import corners_mm, distance_mm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..geometry import Array, Float32
    from .manifest import Manifest

    Infer = Callable[[Mapping[str, Float32]], Array]


def of_shape(image: Float32, shape: tuple[int, int, int]) -> Float32:
    """Return an image on a grid of another shape: its beginning, or continued by its mirror images.

    The spacing stays, so the network sees what it was made for.

    Args:
        image: ``(D, H, W)``.
        shape: Number of voxels along axes 0, 1, 2.
    """
    for axis, extent in enumerate(shape):
        there = np.arange(image.shape[axis])
        order = np.concatenate([there, there[::-1]])
        image = np.take(image, np.resize(order, extent), axis)
    return np.ascontiguousarray(image, np.float32)


def inputs(manifest: Manifest, files: Mapping[str, bytes]) -> dict[str, Float32]:
    """Return the inputs of the network by name, from the golden files."""
    return {
        name: np.frombuffer(files[file], "<f4").astype(np.float32).reshape(manifest.input_shape)
        for name, file in zip(manifest.inputs, ("golden_fixed.f32", "golden_moving.f32"), strict=False)
    }


def self_test(manifest: Manifest, files: Mapping[str, bytes], infers: Sequence[Infer]) -> float:
    """Run each network on the golden pair and return the largest deviation from the golden output.

    Args:
        manifest: The manifest of the deployment.
        files: Its golden files, by name.
        infers: ``infer`` of the session of each network.

    Returns:
        The largest length of a difference in mm, for rigid motions between corners of their window; for
        descriptors the largest difference.

    Raises:
        BundleError: It is more than the manifest accepts, or the output cannot be used.
    """
    shape = (manifest.stages, *manifest.output_shape)
    outputs = np.frombuffer(files["golden_output.f32"], "<f4").reshape(shape)
    pair = inputs(manifest, files)
    tested = [_deviation(manifest, infer(pair), e) for infer, e in zip(infers, outputs, strict=True)]
    return max(tested)


def _deviation(manifest: Manifest, found: Array, expected: Float32) -> float:
    """Return the deviation of one network, if it is within the limit."""
    output = np.asarray(found)
    if output.shape != expected.shape:
        raise _refusal(f"gave an output of shape {output.shape}; it must be {expected.shape}")
    for name, numbers in (("the golden output", expected), ("the output", output)):
        if fault := what_is_wrong(numbers, numbers.size, manifest.output):
            raise _refusal(f"found {name} at fault: it {fault}")
    deviation, unit = distance(manifest, output[0], expected[0]), " mm" * (manifest.output != "descriptor")
    if not deviation <= manifest.golden_limit_mm:
        raise _refusal(f"is off by {deviation:.3g}{unit}; the limit is {manifest.golden_limit_mm:.3g}{unit}")
    return deviation


def distance(manifest: Manifest, output: Array, expected: Array) -> float:
    """Return the largest deviation of an output from another, as ``self_test`` does."""
    if manifest.output == RIGID:
        corners = corners_mm(manifest.network_shape, manifest.spacing_mm)
        return float(distance_mm(output, expected, corners).max())
    difference = output.astype(np.float64) - expected
    if manifest.output not in FIELDS:
        return float(np.abs(difference).max())
    spacing = np.reshape(manifest.spacing_mm[3 - manifest.dims :], (-1,) + (1,) * manifest.dims)
    return float(np.sqrt(((difference * spacing) ** 2).sum(axis=0)).max())


def _refusal(found: str) -> BundleError:
    return BundleError(
        "MMREG_E_DEPLOYMENT_GOLDEN",
        f"The self-test of the deployment {found}. Do not use it on this machine; deploy the bundle here, or "
        "in precision fp32.",
    )
