"""Dense displacement search: laws, then the twin, on every target."""

import numpy as np
import pytest
import reference.search

from mmreg_rt import _native

SHAPES = ((1, 1, 1), (1, 9, 20), (5, 7, 3), (6, 8, 37))
RADII = ((1, 1, 1), (0, 2, 3), (2, 1, 4))


def features(rng, shape, channels=16, used=12):
    values = rng.random((*shape, channels)).astype(np.float16)
    values[..., used:] = 0
    return values


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("radius", RADII)
@pytest.mark.parametrize(("channels", "used"), [(16, 12), (32, 32), (48, 40)])
def test_cost_volume_agrees_with_the_reference(target, shape, radius, channels, used, rng):
    fixed, moving = features(rng, shape, channels, used), features(rng, shape, channels, used)
    expected = reference.search.cost_volume(fixed, moving, used, radius)
    arguments = fixed.view(np.uint16), moving.view(np.uint16), used, radius
    np.testing.assert_allclose(_native.cost_volume(*arguments, target=target), expected, atol=1e-6)
    half = _native.cost_volume_half(*arguments, target=target).view(np.float16)
    np.testing.assert_allclose(half, expected, atol=2.6e-4)  # half a unit in the last place below 1


@pytest.mark.parametrize("step", [(1, 0, 0), (0, -2, 1), (-1, 1, 3)])
def test_the_cheapest_displacement_of_a_shifted_image_is_its_shift(target, step, rng):
    fixed = features(rng, (6, 9, 20))
    moving = np.roll(fixed, step, (0, 1, 2))
    cost = _native.cost_volume(fixed.view(np.uint16), moving.view(np.uint16), 12, (2, 2, 3), target=target)
    u = _native.coupled_convex(cost, np.zeros((3, 6, 9, 20), np.float32), (2, 2, 3), 0.0, target=target)
    inner = u[:, 2:-2, 2:-2, 3:-3]
    np.testing.assert_array_equal(inner, np.broadcast_to(np.float32(step)[:, None, None, None], inner.shape))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("radius", [0, 1, 2])
@pytest.mark.parametrize("count", [1, 27, 150])
def test_smoothed_cost_agrees_with_the_reference(target, shape, radius, count, rng):
    cost = rng.random((*shape, count), np.float32)
    expected = reference.search.smooth_cost(cost, radius)
    np.testing.assert_allclose(_native.smooth_cost(cost, radius, target=target), expected, atol=2e-6)
    half = cost.astype(np.float16)
    expected = reference.search.smooth_cost(half, radius)
    smoothed = _native.smooth_cost_half(half.view(np.uint16), radius, target=target).view(np.float16)
    np.testing.assert_allclose(smoothed, expected, atol=2.6e-4)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("radius", RADII)
@pytest.mark.parametrize("weight", [0.0, 0.01, 1.0])
def test_coupled_convex_chooses_a_cheapest_displacement(target, shape, radius, weight, rng):
    options = reference.search.displacements(radius)
    cost = rng.random((*shape, len(options)), np.float32)
    u = rng.normal(0, 1, (3, *shape)).astype(np.float32)
    halves = cost.astype(np.float16)
    for values, operation in ((cost, _native.coupled_convex), (halves, _native.coupled_convex_half)):
        total = reference.search.coupled_cost(values, u, radius, weight)
        stored = values.view(np.uint16) if values.dtype == np.float16 else values
        chosen = np.moveaxis(operation(stored, u, radius, weight, target=target), 0, -1)
        index = (np.abs(options - chosen[..., None, :]).sum(-1) == 0).argmax(-1)
        np.testing.assert_array_equal(options[index], chosen)
        found = np.take_along_axis(total, index[..., None], -1)[..., 0]
        np.testing.assert_allclose(found, total.min(-1), atol=1e-5)  # ties within single precision


def test_without_contrast_nothing_moves(target):
    cost = np.zeros((2, 3, 5, 75), np.float32)
    u = _native.coupled_convex(cost, np.zeros((3, 2, 3, 5), np.float32), (1, 2, 2), 0.0, target=target)
    np.testing.assert_array_equal(u, 0)


def test_threads_do_not_change_a_bit(target, rng):
    fixed, moving = (features(rng, (7, 9, 37)).view(np.uint16) for _ in range(2))
    results = []
    for threads in (1, 5):
        cost = _native.cost_volume_half(fixed, moving, 12, (2, 2, 2), threads=threads, target=target)
        smooth = _native.smooth_cost_half(cost, 1, threads=threads, target=target)
        u = np.zeros((3, 7, 9, 37), np.float32)
        chosen = _native.coupled_convex_half(smooth, u, (2, 2, 2), 0.01, threads=threads, target=target)
        results.append((cost, smooth, chosen))
    for one, many in zip(*results, strict=True):
        np.testing.assert_array_equal(one, many)
