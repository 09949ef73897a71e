"""The oracle of brain labels: its channels pull, follow the image, and its halves share nothing."""

import numpy as np
import pytest
from scipy import ndimage

for package in ("torch", "lightning", "pydantic", "nibabel"):
    pytest.importorskip(package)
oracle = pytest.importorskip("benchmarks.accuracy.brain_oracle")


def ball(centre, radius=7.0, shape=(32, 36, 40)):
    distance = np.sqrt(sum((axis - c) ** 2 for axis, c in zip(np.indices(shape), centre)))
    return (distance < radius).astype(np.int32)


def texture(seed, inside):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=inside.shape), 2)
    return np.float32(np.where(inside, 1 + noise / noise.std() / 4, 0))


def test_channels_of_labels_bring_them_onto_each_other_where_images_say_nothing():
    body = ball((16, 18, 20), 14)
    images = texture(1, body), texture(2, body)  # one outline, and nothing else in common
    labels = ball((16, 18, 18)), ball((16, 18, 21))
    affine = oracle.affine_part(images, 1)
    given = oracle.soft(labels[0], (1,)), oracle.soft(labels[1], (1,))
    without, beside = (
        oracle.scored(oracle.solved(images, affine, channels, 4, 1), labels, [1])["dice"][1]
        for channels in (None, given)
    )
    assert beside > 0.9 > without


def test_moving_channels_follow_the_affine_part_that_the_solver_takes_out(monkeypatch):
    body = ball((16, 18, 20), 9)
    images = texture(1, body), texture(1, body)
    seen = {}

    def kept(fixed, moving, _spacing_mm, describe, planes, **_):
        for side, image in (("fixed", fixed), ("moving", moving)):
            seen[side] = np.empty((planes, *fixed.shape), np.float32)
            describe(side, image, seen[side])
        return np.zeros((3, *fixed.shape), np.float32), {}

    monkeypatch.setattr(oracle._native, "deform", kept)
    shift = np.eye(4)[:3].copy()
    shift[2, 3] = 3  # index (d, h, w) of the fixed image to that of the moving one
    channel = oracle.soft(body, (1,))
    oracle.solved(images, shift, (channel, channel), 2.0, 1)
    np.testing.assert_array_equal(seen["fixed"][oracle.MIND_CHANNELS], 2 * channel[0])
    np.testing.assert_allclose(
        seen["moving"][oracle.MIND_CHANNELS, ..., :-3], 2 * channel[0, ..., 3:], atol=1e-6
    )


def test_halves_share_no_structure_and_have_both_sides():
    first, second = map(set, oracle.HALVES)
    assert not first & second and first | second == set(range(1, 24))
    sides = [{v, v + 1} for v in range(1, 23, 2)]
    assert all(both <= first or both <= second for both in sides)


def test_the_table_gives_gains_over_the_solver():
    scores = [
        {"solver": {"dice": {1: 0.5, 2: 0.7}}, "oracle_2": {"dice": {1: 0.6, 2: 0.8}}},
        {"solver": {"dice": {1: 0.4, 2: 0.4}}, "oracle_2": {"dice": {1: 0.4, 2: 0.8}}},
    ]
    pairs = [{"task": "t1_ct", "fixed": str(n), "scores": of} for n, of in enumerate(scores)]
    row = oracle.table(pairs, ["solver", "oracle_2"]).splitlines()[2].split()
    assert row == ["t1_ct", "oracle_2", "2", "0.6500", "+0.1500", "+0.1000", "+0.2000"]
