"""A batch in one call is each of its entries alone, bit for bit."""

import numpy as np
import pytest

from mmreg_rt import _native

MOVING, GRID = (6, 5, 37), (4, 7, 20)


@pytest.fixture
def u(rng):
    return rng.normal(0, 3, (3, 3, *GRID)).astype(np.float32)


def apart(operation, *arrays, **options):
    return np.stack([operation(*entry, **options) for entry in zip(*arrays, strict=True)])


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("kind", ["nearest", "linear", "cubic"])
def test_images(target, dtype, kind, u, rng):
    moving = rng.normal(0, 1, (3, 4, *MOVING)).astype(dtype)
    found, valid, one = (
        np.empty((3, 4, *GRID), dtype),
        np.empty((3, *GRID), np.uint8),
        np.empty(GRID, np.uint8),
    )
    _native.warp(moving, u, kind, out=found, valid=valid, target=target)
    np.testing.assert_array_equal(found, apart(_native.warp, moving, u, interpolation=kind, target=target))
    for b in range(3):
        _native.warp(moving[b], u[b], valid=one, target=target)
        np.testing.assert_array_equal(valid[b], one)


def test_labels(target, u, rng):
    moving = rng.integers(1, 99, (3, *MOVING)).astype(np.int32)
    found = _native.warp_labels(moving, u, target=target)
    np.testing.assert_array_equal(found, apart(_native.warp_labels, moving, u, target=target))


@pytest.mark.parametrize("border", ["zero", "extend"])
def test_derivatives(target, border, u, rng):
    moving = rng.normal(0, 1, (3, 2, *MOVING)).astype(np.float32)
    upstream = rng.normal(0, 1, (3, 2, *GRID)).astype(np.float32)
    options = {"border": border, "target": target}
    np.testing.assert_array_equal(
        _native.warp_grad_displacement(moving, u, upstream, **options),
        apart(_native.warp_grad_displacement, moving, u, upstream, **options),
    )
    np.testing.assert_array_equal(
        _native.warp_grad_image(upstream, u, MOVING, **options),
        apart(_native.warp_grad_image, upstream, u, shape=MOVING, **options),
    )


@pytest.mark.parametrize("entries", [0, 1])
def test_no_entry_and_one(target, entries, u, rng):
    moving = rng.normal(0, 1, (entries, 2, *MOVING)).astype(np.float32)
    labels = np.ones((entries, *MOVING), np.int32)
    upstream = rng.normal(0, 1, (entries, 2, *GRID)).astype(np.float32)
    some = u[:entries]
    assert _native.warp(moving, some, target=target).shape == (entries, 2, *GRID)
    assert _native.warp_labels(labels, some, target=target).shape == (entries, *GRID)
    assert _native.warp_grad_displacement(moving, some, upstream, target=target).shape == (entries, 3, *GRID)
    assert _native.warp_grad_image(upstream, some, MOVING, target=target).shape == (entries, 2, *MOVING)


def test_batches_that_do_not_fit_are_refused(u, rng):
    moving = rng.normal(0, 1, (2, 1, *MOVING)).astype(np.float32)
    upstream = rng.normal(0, 1, (3, 1, *GRID)).astype(np.float32)
    for images, field in ((moving, u), (moving[0], u), (moving, u[0])):
        with pytest.raises(ValueError, match="same batch axis"):
            _native.warp(images, field)
    with pytest.raises(ValueError, match="same batch axis"):
        _native.warp_labels(np.ones((2, *MOVING), np.int32), u)
    with pytest.raises(ValueError, match="same batch axis"):
        _native.warp_grad_displacement(moving, u, upstream)
    with pytest.raises(ValueError, match="same batch axis"):
        _native.warp_grad_image(upstream[:2], u, MOVING)
    with pytest.raises(ValueError, match="valid must have the shape"):
        _native.warp(moving, u[:2], valid=np.empty(GRID, np.uint8))
    with pytest.raises(ValueError, match=r"moving must have shape \(\[B,\] C, D, H, W\)"):
        _native.warp(moving[0, 0], u[0])
    with pytest.raises(ValueError, match=r"moving must have shape \(\[B,\] D, H, W\)"):
        _native.warp_labels(np.ones(MOVING[1:], np.int32), u[0])
