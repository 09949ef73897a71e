"""Warps inside a network: the standard's GridSample gives the same on every backend, in 2-D and in 3-D."""

import itertools

import numpy as np
import pytest
from fixtures import networks
from reference import warp as twin

from mmreg_rt.backends import by_name
from mmreg_rt.errors import InputError

CASES = list(itertools.product(("linear", "nearest"), ("zeros", "border"), (0, 1)))


def expected(inputs, mode, padding, corners):
    """In float64, voxel by voxel."""
    image, grid = (inputs[name][0].astype(np.float64) for name in ("moving", "fixed"))
    image, shape = image.reshape(-1, *(1,) * (4 - image.ndim), *image.shape[1:]), grid.shape[1:]
    extents = image.shape[1:]
    grid = np.concatenate([grid[::-1].reshape(len(shape), -1)])
    n = np.array(extents[-len(shape) :])[:, None]
    place = (grid + 1) / 2 * (n - 1) if corners else ((grid + 1) * n - 1) / 2
    place = np.concatenate([np.zeros((3 - len(shape), place.shape[1])), place])
    held = np.clip(place, 0, np.array(extents)[:, None] - 1)
    at = held if padding == "border" or mode == "linear" else place
    values = np.stack([getattr(twin, mode)(channel, at) for channel in image])
    if padding == "zeros":
        values *= twin.fade(place, extents) if mode == "linear" else twin.footprint(place, extents)
    return values.reshape(-1, *shape)


@pytest.mark.parametrize("extents", [(5, 6, 7), (1, 4, 9), (6, 7)])
@pytest.mark.parametrize(("mode", "padding", "corners"), CASES)
def test_every_mode_agrees_with_the_twin(backend, mode, padding, corners, extents):
    rng = np.random.default_rng(3)
    shape = (1, len(extents), *extents)
    inputs = {
        "fixed": rng.uniform(-1.6, 1.6, shape).astype(np.float32),  # a third of the places lies outside
        "moving": rng.normal(0, 1, shape).astype(np.float32),
    }
    model = networks.sampling_network(mode, padding, corners, extents)
    session = backend.load(model, precision="fp32", threads=1, device="cpu")
    try:
        found = session.infer(inputs)
    finally:
        session.close()
    # places of up to 15 voxels in float32: some 1e-6 voxel, times differences of up to 6 between voxels
    np.testing.assert_allclose(found[0], expected(inputs, mode, padding, corners), atol=3e-5)


def test_the_name_that_older_opsets_give_to_linear_is_linear(backend):
    extents = (4, 5, 6)
    rng = np.random.default_rng(4)
    inputs = {name: rng.uniform(-1, 1, (1, 3, *extents)).astype(np.float32) for name in ("fixed", "moving")}
    session = backend.load(
        networks.sampling_network("linear", "zeros", 0, extents, opset=16),
        precision="fp32",
        threads=1,
        device="cpu",
    )
    try:
        found = session.infer(inputs)
    finally:
        session.close()
    np.testing.assert_allclose(found[0], expected(inputs, "linear", "zeros", 0), atol=3e-5)


def test_a_way_of_sampling_that_openvino_lacks_is_an_error_before_it_runs():
    pytest.importorskip("onnx", reason="onnx, with which the test networks are made, is not installed")
    backend = by_name("openvino")
    if reason := backend.unavailable_reason("cpu"):
        pytest.skip(f"openvino: {reason}")
    with pytest.raises(InputError, match="GridSample"):
        backend.load(
            networks.sampling_network("linear", "reflection", 0, (4, 5, 6)),
            precision="fp32",
            threads=1,
            device="cpu",
        )
