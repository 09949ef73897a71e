"""MIND-SSC features: laws, the twin, and the published implementation where it is installed."""

import numpy as np
import pytest
import reference.filters

from mmreg_rt import _native

SHAPES = ((1, 1, 1), (1, 20, 37), (5, 7, 3), (13, 16, 16), (17, 41, 33))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("radius", "dilation"), [(1, 2), (2, 2), (0, 1), (3, 3), (4, 8)])
def test_agrees_with_the_reference(target, shape, radius, dilation, rng):
    image = rng.random(shape, np.float32)
    expected = reference.filters.mind(image, radius, dilation)
    # sums of up to 729 squares rounded to 24 bits, divided by their mean
    np.testing.assert_allclose(_native.mind(image, radius, dilation, target=target), expected, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_half_features_are_the_same_rounded_and_channel_last(target, shape, rng):
    image = rng.random(shape, np.float32)
    planar = _native.mind(image, 1, 2, target=target)
    features = _native.mind_half(image, 1, 2, target=target).view(np.float16)
    np.testing.assert_array_equal(features[..., :12], np.moveaxis(planar, 0, -1).astype(np.float16))
    np.testing.assert_array_equal(features[..., 12:], 0)


def test_brightness_contrast_and_inversion_do_not_matter(target, rng):
    image = rng.random((9, 12, 20), np.float32)
    features = _native.mind(image, 1, 2, target=target)
    for scale, offset in ((2.0, 0.0), (1.0, 1.0), (-1.0, 3.0)):
        changed = _native.mind(np.float32(scale) * image + np.float32(offset), 1, 2, target=target)
        np.testing.assert_allclose(changed, features, atol=2e-5)  # offsets cost three bits of the voxels


def test_a_constant_image_is_similar_everywhere(target):
    np.testing.assert_array_equal(_native.mind(np.full((4, 5, 6), 7, np.float32), 1, 2, target=target), 1)


def test_threads_do_not_change_a_bit(target, rng):
    image = rng.random((20, 70, 41), np.float32)
    for operation in (_native.mind, _native.mind_half):
        one = operation(image, 2, 2, threads=1, target=target)
        np.testing.assert_array_equal(operation(image, 2, 2, threads=5, target=target), one)


@pytest.mark.parametrize(("radius", "dilation"), [(1, 2), (2, 2), (2, 1)])
def test_agrees_with_the_published_program_away_from_the_border(radius, dilation, rng):
    torch = pytest.importorskip("torch")
    published = pytest.importorskip("convexAdam.convex_adam_utils").MINDSSC
    image = rng.random((24, 26, 28), np.float32)
    features = published(torch.from_numpy(image)[None, None], radius, dilation, device="cpu")[0].numpy()
    inner = (slice(None),) + 3 * (slice(radius, -radius),)  # it extends the squares there, not the image
    ours = _native.mind(image, radius, dilation)
    np.testing.assert_allclose(ours[inner], features[inner], atol=3e-5)  # two single-precision programs
