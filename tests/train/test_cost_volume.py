"""Cost volumes: the right shift matches best, the twin agrees, and the network over them exports."""

import numpy as np
import pytest
from fixtures.onnx_parity import runs_alike

torch = pytest.importorskip("torch", reason="training needs PyTorch")
methods = pytest.importorskip("mmreg_train.methods")
layers = pytest.importorskip("mmreg_train.layers.cost_volume")

SIZES = ((9, 7), (6, 8, 7))
TINY = {"encoder": (4, 8), "decoder": (8, 8, 8)}


def twin(fixed, moving, reach):
    """From the definition, in float64: ``fixed`` and ``moving`` (C, ...)."""
    fixed, moving = (np.asarray(features, np.float64) for features in (fixed, moving))
    size = fixed.shape[1:]
    volume = np.empty((3 ** len(size), *size))
    for p in np.ndindex(size):
        for number, step in enumerate(np.ndindex((3,) * len(size))):
            q = [min(max(i + reach * (s - 1), 0), n - 1) for i, s, n in zip(p, step, size, strict=True)]
            volume[(number, *p)] = np.mean((fixed[(slice(None), *p)] - moving[(slice(None), *q)]) ** 2)
    return volume - volume.mean(0)


@pytest.mark.parametrize("reach", [1, 2])
@pytest.mark.parametrize("size", SIZES)
def test_agrees_with_the_twin(size, reach):
    fixed, moving = torch.rand(2, 1, 3, *size)
    costs = layers.cost_volume(fixed, moving, reach)[0]
    np.testing.assert_allclose(costs, twin(fixed[0], moving[0], reach), atol=1e-6)  # sums of three floats


@pytest.mark.parametrize("size", SIZES)
def test_a_shifted_image_matches_best_where_it_was_shifted_to(size):
    shifts = layers.shifts_of(len(size), 2)
    axes = tuple(range(2, 2 + len(size)))
    fixed = torch.rand(1, 4, *size)
    for number, shift in enumerate(shifts):
        costs = layers.cost_volume(fixed, fixed.roll(shift, axes), 2)
        inner = (0, slice(None), *(slice(2, -2) for _ in size))
        assert (costs[inner].argmin(0) == number).all()


def test_voxels_beyond_the_border_are_those_of_the_border():
    fixed = torch.rand(1, 2, 1, 1, 1)  # every shift of one voxel is that voxel
    assert layers.cost_volume(fixed, fixed + 1, 2).abs().max() < 1e-6


@pytest.mark.parametrize("dims", [2, 3])
def test_the_network_over_cost_volumes_is_blind_to_contrast(dims):
    torch.manual_seed(0)
    method = methods.create("voxelmorph", dims=dims, cost_volumes=2, **TINY)
    method.flow.head.weight.data.normal_(0, 0.1)  # a new network is close to the identity
    size = (32, 16, 24)[:dims]
    images = torch.rand(2, 1, 1, *size)
    field = method(*images)
    assert field.value.shape == (1, dims, *(n // 2 for n in size))
    assert method.multiple == 8  # of the half grid, what two poolings need
    other = method(images[0], 1 - 0.5 * images[1])
    assert field.value.abs().max() > 1e-2
    torch.testing.assert_close(other.value, field.value, atol=1e-4, rtol=1e-4)


def test_cost_volumes_are_counted_from_the_half_grid():
    wide = methods.create("voxelmorph", cost_volumes=2)
    assert sum(weight.numel() for weight in wide.parameters()) == 396_451
    for settings in ({"cost_volumes": 5}, {"cost_volumes": 1, "half_decoder": True}, {"cost_volumes": -1}):
        with pytest.raises(ValueError, match="cost_volumes"):
            methods.create("voxelmorph", **settings)


@pytest.mark.long
def test_the_network_over_cost_volumes_exports_with_dynamic_sizes():
    torch.manual_seed(0)
    method = methods.create("voxelmorph", cost_volumes=2, **TINY)
    method.flow.head.weight.data.normal_(0, 0.1)
    model = runs_alike(method.network(), ("fixed", "moving"), [(32, 24, 16), (16, 40, 32)], atol=2e-4)
    assert "GridSample" not in {node.op_type for node in model.graph.node}
