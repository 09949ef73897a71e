"""Synthetic pairs: the laws that a generator of training data has to keep."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")
synth = pytest.importorskip("mmreg_train.data.synthesis")
layers = pytest.importorskip("mmreg_train.layers")

SIZES = ((48, 32), (32, 24, 40))
PLAIN = {"sd": (0, 0), "background_sd": (0, 0), "blur_sd_vox": 0, "bias_sd": 0, "gamma_sd": 0}


def settings(size, **changes):
    return synth.Synthesis.shapes(size, labels=6, shape_scales_vox=(8, 16), **changes)


def tensors(batch):
    return batch.fixed, batch.moving, batch.fixed_label, batch.moving_label


@pytest.mark.parametrize("size", SIZES)
def test_size_type_and_range(size):
    batch = synth.pair(3, settings(size), count=2)
    for image in (batch.fixed, batch.moving):
        assert image.shape == (2, 1, *size)
        assert image.dtype == torch.float32
        assert image.device.type == "cpu"
        assert image.flatten(1).amin(1).tolist() == [0, 0]
        assert image.flatten(1).amax(1).tolist() == [1, 1]
    for labels in (batch.fixed_label, batch.moving_label):
        assert labels.shape == (2, *size)
        assert labels.dtype == torch.int64
        assert set(labels.unique().tolist()) <= set(range(6))
        assert len(labels.unique()) > 2


@pytest.mark.parametrize("size", SIZES)
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(size):
    first, again, other = (tensors(synth.pair(seed, settings(size))) for seed in (5, 5, 6))
    assert all(torch.equal(a, b) for a, b in zip(first, again))
    assert not any(torch.equal(a, b) for a, b in zip(first, other))


def test_a_generator_goes_on_and_the_global_one_is_left_alone():
    state = torch.get_rng_state()
    generator = torch.Generator().manual_seed(5)
    first, second = (synth.pair(generator, settings((32, 32))) for _ in range(2))
    assert torch.equal(first.fixed, synth.pair(5, settings((32, 32))).fixed)
    assert not torch.equal(first.fixed, second.fixed)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("size", SIZES)
def test_labels_are_deformed_as_an_image_of_them_would_be(size):
    generator = torch.Generator().manual_seed(7)
    labels = synth.label_maps(generator, settings(size), 2)
    displacement = synth.deformation(
        synth.velocities(labels.shape, settings(size), generator), settings(size)
    )
    assert displacement.shape == (2, len(size), *size)
    assert displacement.abs().max() > 1
    intensities = 1 + torch.rand(6)
    as_image = layers.warp(intensities[labels][:, None], displacement, mode="nearest")[:, 0]
    warped = layers.warp_labels(labels, displacement)
    inside = as_image > 0
    assert torch.equal(as_image[inside], intensities[warped][inside])
    assert (warped[~inside] == 0).all()


@pytest.mark.parametrize("size", SIZES)
def test_an_image_shows_its_labels_and_the_two_have_intensities_of_their_own(size):
    batch = synth.pair(11, settings(size, **PLAIN))
    means = []
    for image, labels in ((batch.fixed, batch.fixed_label), (batch.moving, batch.moving_label)):
        values = {label: image[0, 0][labels[0] == label] for label in labels.unique().tolist()}
        assert all(value.amax() - value.amin() < 1e-6 for value in values.values())
        means.append({label: round(float(value[0]), 4) for label, value in values.items()})
    shared = means[0].keys() & means[1].keys()
    assert len(shared) > 2
    assert [means[0][label] for label in shared] != [means[1][label] for label in shared]


def test_without_deformation_the_labels_of_a_pair_agree():
    still = settings((32, 32), warp_sd_vox=0)
    batch = synth.pair(2, still)
    assert torch.equal(batch.fixed_label, batch.moving_label)
    other = synth.pair(2, replace(still, same_subject=False))
    assert not torch.equal(other.fixed_label, other.moving_label)


@pytest.mark.parametrize("size", SIZES)
def test_given_label_maps_are_used_as_they_are(size):
    fixed, moving = torch.randint(0, 5, (2, 3, *size)) * 500  # values of atlases are sparse
    still = synth.Synthesis.brains(size, warp_sd_vox=0, flip=False)
    batch = synth.pair(2, still, (fixed, moving))
    assert torch.equal(batch.fixed_label, fixed)
    assert torch.equal(batch.moving_label, moving)
    assert batch.fixed.shape == (3, 1, *size)
    flipped = synth.pair(4, replace(still, flip=True), fixed)
    assert torch.equal(flipped.fixed_label, flipped.moving_label)


def test_labels_around_the_organ_are_left_out_as_often_as_asked():
    maps = torch.randint(0, 4, (1, 32, 32)) * 500
    still = synth.Synthesis.brains((32, 32), warp_sd_vox=0, flip=False, strip_labels=(1000, 1500))
    bare = [synth.pair(seed, replace(still, strip_share=0.5), maps) for seed in range(40)]
    stripped = [not (batch.fixed_label >= 1000).any() for batch in bare]
    assert 10 <= sum(stripped) <= 30  # 20 expected, sd 3.2
    for batch, without in zip(bare, stripped, strict=True):
        expected = torch.where(maps >= 1000, 0, maps) if without else maps
        assert torch.equal(batch.fixed_label, expected)
        assert torch.equal(batch.moving_label, expected)


def test_images_share_their_intensities_as_often_as_asked():
    labels = (torch.arange(8 * 8) % 6).view(1, 8, 8)
    shared = {}
    for share in (0.0, 0.5, 1.0):
        given = settings((8, 8), warp_sd_vox=0, flip=False, same_contrast_share=share, **PLAIN)
        pairs = [synth.pair(seed, given, labels) for seed in range(20)]
        shared[share] = sum(torch.allclose(pair.fixed, pair.moving) for pair in pairs)
    assert shared[0.0] == 0
    assert 4 < shared[0.5] < 16
    assert shared[1.0] == 20


def test_blur_takes_away_noise_and_leaves_a_constant():
    image = torch.rand(2, 1, 20, 20, 20)
    blurred = synth._blur(image, torch.tensor([0.0, 1.0]), 1.0)
    assert torch.allclose(blurred[0], image[0], atol=1e-6)
    assert blurred[1].std() < 0.4 * image[1].std()
    constant = torch.ones(1, 1, 8, 9)
    assert torch.allclose(synth._blur(constant, torch.tensor([1.0]), 1.0), constant)


def test_the_deformation_does_not_fold():
    generator = torch.Generator().manual_seed(1)
    given = synth.Synthesis.shapes((64, 64))
    u = synth.deformation(synth.velocities((4, 64, 64), given, generator), given)
    dy, dx = (u.diff(dim=axis)[:, :, :63, :63] for axis in (2, 3))
    determinant = (1 + dy[:, 0]) * (1 + dx[:, 1]) - dy[:, 1] * dx[:, 0]
    assert (determinant <= 0).float().mean() < 0.001  # sampled linearly, so not exactly none


@pytest.mark.parametrize("size", SIZES)
def test_the_displacement_of_a_pair_takes_the_moving_map_onto_the_fixed_one(size):
    pair = synth.pair(3, settings(size, warp_sd_vox=2.0, same_subject=True))
    assert pair.displacement is not None
    assert pair.displacement.shape == (1, len(size), *size)
    inner = (0, *(slice(n // 8, -(n // 8)) for n in size))
    before = (pair.moving_label == pair.fixed_label)[inner].float().mean()
    warped = layers.warp_labels(pair.moving_label, pair.displacement)
    after = (warped == pair.fixed_label)[inner].float().mean()
    assert 1 - after < 0.3 * (1 - before)  # left where two labels meet: sampled at whole voxels, twice


def test_only_pairs_of_one_map_know_their_displacement():
    maps = [synth.label_maps(torch.Generator().manual_seed(n), settings((32, 32))) for n in (1, 2)]
    assert synth.pair(0, settings((32, 32)), (maps[0], maps[1])).displacement is None
    assert synth.pair(0, settings((32, 32)), (maps[0], maps[0])).displacement is not None
    assert synth.pair(0, settings((32, 32)), maps[0]).displacement is not None
    assert synth.pair(0, settings((32, 32), same_subject=False)).displacement is None


def test_settings_and_maps_that_cannot_be_used_are_refused():
    for make, message in (
        (lambda: synth.Synthesis.shapes((31, 32)), "31"),
        (lambda: synth.Synthesis.shapes((32, 32), labels=1), "labels=1"),
        (lambda: synth.pair(1, settings((32, 32)), torch.zeros(32, 32)), "found"),
        (lambda: synth.pair(1, settings((32, 32)), torch.full((1, 32, 32), -1)), "below"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
