"""The deformable solver on one grid: what it must not see, and what it reads off the images."""

import numpy as np
import pytest
from fixtures import scene
from fixtures.scene import PLAIN
from scipy import ndimage

from mmreg_rt import _native


@pytest.fixture(scope="module")
def images():
    fixed, moving = scene.pair(PLAIN, PLAIN)
    return np.float32(fixed.data), np.float32(moving.data)


@pytest.fixture
def rng():
    return np.random.default_rng(21)


def deform(fixed, moving, **more):
    return _native.deform(fixed, moving, (2.0, 2.0, 2.0), **more)


@pytest.mark.parametrize("which", ["fixed", "moving"])
def test_what_lies_behind_a_mask_changes_no_bit(images, which, rng):
    mask = np.ones(PLAIN.shape, np.uint8)
    mask[: PLAIN.shape[0] // 3] = 0
    found = []
    for content in (0, 1e4 * rng.normal(size=PLAIN.shape)):
        image = dict(zip(("fixed", "moving"), images, strict=True))
        image[which] = np.where(mask, image[which], content).astype(np.float32)
        found.append(deform(**image, **{f"{which}_valid": mask})[0])
    np.testing.assert_array_equal(*found)


def test_noise_is_seen_and_makes_the_map_smoother(images, rng):
    quiet, quiet_facts = deform(*images)
    noisy, noisy_facts = deform(
        *(image + rng.normal(0, 15, image.shape).astype(np.float32) for image in images)
    )
    assert quiet_facts["contrast_to_noise_fixed"] > 4 > 2.5 > noisy_facts["contrast_to_noise_fixed"]
    assert steepness(noisy) < steepness(quiet)


def test_noise_matters_less_if_both_images_show_one_contrast(images, rng):
    """Noise as magnitudes of MR have it, and a shift of 6 mm that grows to 10 mm along an axis."""
    fixed = images[0]
    d, h, w = np.indices(fixed.shape)
    moving = ndimage.map_coordinates(fixed, (d, h, w + 3 + 2 * h / fixed.shape[1]), order=1, mode="nearest")

    def noisy(image):
        parts = rng.normal(0, 15, (2, *image.shape))
        return np.float32(np.hypot(image + parts[0], parts[1]))

    tissue = moving > 0.1 * moving.max()
    inverted = np.where(tissue, 1.1 * moving.max() - moving, 0)
    of_one, of_two = (deform(noisy(fixed), noisy(second)) for second in (moving, inverted))
    assert max(facts["contrast_to_noise_fixed"] for _, facts in (of_one, of_two)) < 2
    assert of_one[1]["correlation"] > 0.4 > of_two[1]["correlation"]
    assert steepness(of_two[0]) < 0.7 * steepness(of_one[0])


def test_correlation_is_that_of_the_tissue(images):
    """Of the intensities at half the resolution, told by 64 bins each, so to about 1 / 64."""
    fixed, moving = images
    nothing = {"search": {"wanted": False}, "levels": []}
    for second, expected in ((fixed, 1), (3 * fixed + 10, 1), (np.full_like(fixed, 7), 0)):
        _, facts = deform(fixed, second, overrides=nothing)
        assert facts["correlation"] == pytest.approx(expected, abs=1e-6)
    _, facts = deform(fixed, moving, overrides=nothing)
    halves = [pooled(image) for image in images]
    body = np.logical_and(*(smooth_above_a_tenth(half, image) for half, image in zip(halves, images)))
    expected = np.corrcoef(*(half[body] for half in halves))[0, 1]
    assert facts["correlation"] == pytest.approx(expected, abs=0.02)


def pooled(image):
    d, h, w = (n // 2 for n in image.shape)
    return np.float64(image[: 2 * d, : 2 * h, : 2 * w]).reshape(d, 2, h, 2, w, 2).mean((1, 3, 5))


def smooth_above_a_tenth(half, image):
    foreground = image[image > image.min()]
    threshold = image.min() + 0.1 * (np.quantile(foreground, 0.99) - image.min())
    return ndimage.gaussian_filter(half, 1, mode="nearest") > threshold


def steepness(u):
    return float(np.mean([np.square(np.diff(u, axis=axis)).mean() for axis in (1, 2, 3)]))


def test_white_noise_alone_has_as_much_contrast_as_noise(rng):
    image = (100 + rng.normal(0, 5, (40, 40, 40))).astype(np.float32)
    _, facts = deform(image, image, overrides={"search": {"wanted": False}, "levels": []})
    assert facts["contrast_to_noise_fixed"] == pytest.approx(
        1, abs=0.15
    )  # a quarter lies somewhat below the mean


def test_a_body_that_is_turned_stretched_and_shifted_is_found_without_an_alignment():
    turn = np.radians(14)
    linear = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0.1], [0, 0, 1.12]])
    grid = scene.centred((84, 96, 84), (1.0, 1.0, 1.0))
    fixed, moving = scene.pair(grid, grid, lambda p: p @ linear.T + (9, -7, 5))
    u, _ = _native.deform(np.float32(fixed.data), np.float32(moving.data), (1.0, 1.0, 1.0))
    wanted = scene.INSIDE @ linear.T + (9, -7, 5)
    assert scene.distance_mm(scene.INSIDE, wanted) > 13
    index = np.rint(grid.map_points(scene.INSIDE)).astype(int)
    found = scene.INSIDE + u[:, index[:, 0], index[:, 1], index[:, 2]].T @ grid.affine[:3, :3].T
    assert scene.distance_mm(found, wanted) < 0.25 * scene.distance_mm(scene.INSIDE, wanted)


@pytest.mark.parametrize("shift_vox", [0, 4, -6])
def test_who_describes_sees_the_moving_image_through_the_affine_part_that_is_said(images, shift_vox):
    fixed, moving, seen = images[0], np.roll(images[0], shift_vox, 2), {}

    def describe(side, image, planes):
        seen[side] = image.copy()
        planes[:] = image

    said = deform(fixed, moving, describe=describe, planes=1)[1]
    assert np.array_equal(said["affine"], np.eye(4)) == (shift_vox == 0)
    onto = said["affine"][:3].copy()
    pulled = _native.resample_affine(moving[None], onto, moving.shape, border="extend")[0]
    across = np.indices(moving.shape)[2] + 2 * shift_vox
    inside = (across > 2) & (across < moving.shape[2] - 3)  # elsewhere the solver fills in what is not there
    # but for the level of the background, which is 0 to who describes
    assert np.ptp(seen["fixed"] - fixed) < 1e-5
    assert np.ptp((seen["moving"] - pulled)[inside]) < 1e-5
