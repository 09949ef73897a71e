"""Rigid and affine alignment on small scans of two contrasts whose relation is known."""

import numpy as np
import pytest
from fixtures.head import (
    AFFINE,
    FIXED,
    INSIDE,
    POSE,
    SHAPE,
    SPACING,
    bright_between,
    bright_first,
    error_mm,
    grid,
    rigid,
    rotation,
    scan,
)

from mmreg_rt import _native


def test_a_scan_lies_on_itself():
    found = _native.align(FIXED, AFFINE, FIXED, AFFINE)
    assert found["informative"]
    assert found["complete"]
    assert error_mm(found["rigid"], np.eye(4)) < 0.05
    assert error_mm(found["affine"], np.eye(4)) < 0.05


@pytest.mark.parametrize(
    ("shape", "spacing", "turn"),
    [
        (SHAPE, SPACING, None),
        ((20, 100, 92), (4.8, 1.0, 1.1), None),  # thick slices
        (SHAPE, (-2, 2, 2), None),  # left-handed
        ((44, 40, 48), (2, -2, 2), np.eye(3)[[1, 2, 0]]),  # axes swapped
        (SHAPE, SPACING, rotation((1, 1, 0), 35)),  # oblique
    ],
    ids=["plain", "thick", "left-handed", "swapped", "oblique"],
)
def test_a_known_pose_is_found_whatever_the_storage(shape, spacing, turn):
    affine = grid(shape, spacing, turn, POSE[:3, 3])
    moving = scan(shape, affine, bright_between, POSE, seed=1)
    found = _native.align(FIXED, AFFINE, moving, affine)
    assert error_mm(found["rigid"], POSE) < 0.6  # a third of a voxel
    assert error_mm(found["affine"], POSE) < 0.6
    assert found["nmi_after"] > found["nmi_before"]


def test_an_affine_difference_is_found():
    truth = POSE.copy()
    truth[:3, :3] = truth[:3, :3] @ np.array([[1.12, 0.04, 0], [0, 0.92, 0], [0.03, 0, 1.05]])
    affine = grid(SHAPE, SPACING, None, POSE[:3, 3])
    found = _native.align(FIXED, AFFINE, scan(SHAPE, affine, bright_between, truth, seed=1), affine)
    assert found["affine_accepted"]
    assert error_mm(found["affine"], truth) < 0.6 < error_mm(found["rigid"], truth)


def test_rigid_alone_is_rigid():
    affine = grid(SHAPE, SPACING, None, POSE[:3, 3])
    found = _native.align(FIXED, AFFINE, scan(SHAPE, affine, bright_between, POSE), affine, kind="rigid")
    np.testing.assert_array_equal(found["affine"], found["rigid"])
    np.testing.assert_allclose(found["rigid"][:3, :3] @ found["rigid"][:3, :3].T, np.eye(3), atol=1e-9)
    assert np.linalg.det(found["rigid"][:3, :3]) > 0


@pytest.mark.parametrize(("affine_of_plane", "height"), [(np.eye(3), 0.0), (rotation((1, 2, 3), 40), 30.0)])
def test_in_a_plane_nothing_leaves_the_plane(affine_of_plane, height):
    shape, frame = (1, 96, 90), np.eye(4)
    frame[:3, :3], frame[:3, 3] = affine_of_plane, affine_of_plane @ [0, 0, height]
    pose = rigid((0, 0, 1), 17, (9, -6, 0))
    flat = grid(shape, (3.0, 1.0, 1.0))
    fixed, moving = scan(shape, flat, bright_first), scan(shape, flat, bright_between, pose, seed=1)
    truth = frame @ pose @ np.linalg.inv(frame)
    points = (INSIDE * [1, 1, 0]) @ frame[:3, :3].T + frame[:3, 3]
    for kind in ("rigid", "affine"):
        found = _native.align(fixed, frame @ flat, moving, frame @ flat, kind=kind)[kind]
        assert error_mm(found, truth, points) < 0.5
        inner = np.linalg.inv(frame) @ found @ frame
        np.testing.assert_allclose(inner[2, :], [0, 0, 1, 0], atol=1e-9)
        np.testing.assert_allclose(inner[:, 2], [0, 0, 1, 0], atol=1e-9)


def test_parallel_planes_are_laid_on_each_other():
    shape = (1, 96, 90)
    plane, parallel = grid(shape, (3, 1, 1)), grid(shape, (3, 1, 1), None, (0, 0, 12))
    fixed, moving = scan(shape, plane, bright_first), scan(shape, plane, bright_between)
    found = _native.align(fixed, plane, moving, parallel)
    assert error_mm(found["affine"], rigid((0, 0, 1), 0, (0, 0, 12)), INSIDE * [1, 1, 0]) < 0.5


def test_masks_hide_what_would_mislead():
    affine = grid(SHAPE, SPACING, None, POSE[:3, 3])
    moving = scan(SHAPE, affine, bright_between, POSE, seed=1)
    fixed, fixed_mask, moving_mask = FIXED.copy(), np.ones(SHAPE, np.uint8), np.ones(SHAPE, np.uint8)
    rng = np.random.default_rng(5)
    fixed[:, :14], fixed_mask[:, :14] = rng.normal(300, 100, (40, 14, 44)), 0
    moving[:13], moving_mask[:13] = rng.normal(-500, 200, (13, 48, 44)), 0
    found = _native.align(fixed, AFFINE, moving, affine, fixed_mask, moving_mask)
    assert error_mm(found["rigid"], POSE) < 1.0  # half a voxel: a third of each scan is hidden


def test_padding_and_unknown_voxels_do_no_harm():
    affine = grid(SHAPE, SPACING, None, POSE[:3, 3])
    moving = scan(SHAPE, affine, bright_between, POSE, seed=1)
    moving[:4], moving[:, :, -5:], fixed = -32768, np.nan, FIXED.copy()
    fixed[:, 45:] = np.inf
    assert error_mm(_native.align(fixed, AFFINE, moving, affine)["rigid"], POSE) < 0.8


def test_a_part_of_the_head_finds_its_place():
    shape = (40, 48, 22)  # the right half
    affine = grid(shape, SPACING, None, POSE[:3, 3] + POSE[:3, 0] * 20)
    moving = scan(shape, affine, bright_between, POSE, seed=1)
    assert error_mm(_native.align(FIXED, AFFINE, moving, affine)["rigid"], POSE) < 1.0


def test_threads_do_not_change_a_bit():
    affine = grid(SHAPE, SPACING, None, POSE[:3, 3])
    moving = scan(SHAPE, affine, bright_between, POSE)
    one, three = (_native.align(FIXED, AFFINE, moving, affine, threads=t) for t in (1, 3))
    np.testing.assert_array_equal(one["rigid"], three["rigid"])
    np.testing.assert_array_equal(one["affine"], three["affine"])


@pytest.mark.parametrize("limit_ms", [0.0, 8.0])
def test_at_the_deadline_the_best_so_far_is_returned(limit_ms):
    affine = grid(SHAPE, SPACING, None, POSE[:3, 3])
    moving = scan(SHAPE, affine, bright_between, POSE)
    found = _native.align(FIXED, AFFINE, moving, affine, limit_ms=limit_ms)
    assert not found["complete"]
    assert error_mm(found["rigid"], POSE) < error_mm(np.eye(4), POSE)  # the centres at least


@pytest.mark.parametrize("image", [np.zeros(SHAPE, np.float32), np.full(SHAPE, np.nan, np.float32)])
def test_an_image_without_contrast_stays_where_it_is(image):
    found = _native.align(FIXED, AFFINE, image, AFFINE)
    assert not found["informative"]
    np.testing.assert_array_equal(found["affine"], np.eye(4))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 9), (2, 3, 2), (1, 5, 4)])
def test_tiny_images_end_in_a_finite_answer(shape):
    image = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    found = _native.align(image, grid(shape, SPACING), image, grid(shape, SPACING))
    assert np.isfinite(found["affine"]).all()


def test_align_none_does_nothing():
    found = _native.align(FIXED, AFFINE, FIXED, AFFINE, kind="none")
    assert found["complete"]
    np.testing.assert_array_equal(found["affine"], np.eye(4))
