"""Known warps: the truth is the truth, nothing folds, and everything is drawn by its address."""

import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")
known_warps = pytest.importorskip("mmreg_train.data.known_warps")
from mmreg_train.config.training import WarpSettings  # noqa: E402
from mmreg_train.engine.validation import endpoint_error, folded_percent  # noqa: E402
from mmreg_train.layers import warp, warp_labels  # noqa: E402
from mmreg_train.methods import Batch  # noqa: E402

SETTINGS = WarpSettings(largest_vox=(4, 12), scale_vox=32, both_vox=(0, 8), flip=True)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def pair(size=(96, 80)):
    """A smooth image as both, so that what is warped can be compared, and where it is bright."""
    modes = {2: "bicubic", 3: "trilinear"}
    coarse = torch.rand(1, 1, *(8 for _ in size), generator=seeded(0))
    image = torch.nn.functional.interpolate(coarse, size, mode=modes[len(size)], align_corners=True)
    return Batch(image, image.clone(), *2 * [(image[:, 0] > 0.5).long()])


@pytest.mark.parametrize(("size", "longest"), [((96, 80), 12.0), ((128, 96), 6.0), ((32, 40, 36), 4.0)])
def test_warps_are_inverse_to_each_other_smooth_and_as_long_as_asked(size, longest):
    scale = 32 if longest > 6 else 16
    for seed in range(5):
        there, back = known_warps.random_warp_and_inverse(size, (longest, longest), scale, seeded(seed))
        assert float(there.norm(dim=1).max()) == pytest.approx(longest, rel=0.02)  # three rounds of scaling
        assert folded_percent(there) == folded_percent(back) == 0
        apart = (there + warp(back, there, padding="border")).norm(dim=1)
        inner = apart[(0, *(slice(int(longest), -int(longest)) for _ in size))]
        assert inner.max() < 0.1  # linear interpolation in every squaring


def test_splines_add_up_to_one_and_reproduce_a_line():
    weights = known_warps.cubic_spline_weights(40, 8)
    assert torch.allclose(weights.sum(1), torch.ones(40), atol=1e-6)
    line = weights @ (8.0 * torch.arange(-1, weights.shape[1] - 1))
    assert torch.allclose(line, torch.arange(40.0), atol=1e-4)


@pytest.mark.parametrize("vary", [False, True])
def test_the_true_displacement_brings_the_moving_scan_back(vary):
    for seed in range(4):
        made = known_warps.deform_pair(pair(), SETTINGS, seeded(seed), vary)
        inside = (slice(None), slice(None), slice(16, -16), slice(16, -16))
        back = warp(made.moving, made.displacement)
        before = (made.moving - made.fixed)[inside].abs().mean()
        assert (back - made.fixed)[inside].abs().mean() < 0.1 * before
        labels = warp_labels(made.moving_label, made.displacement)
        wrong, at_first = (
            (of != made.fixed_label)[inside[1:]].float().mean() for of in (labels, made.moving_label)
        )
        assert wrong < 0.25 * at_first  # the nearest voxel was taken twice
        assert endpoint_error(made.displacement, made) == 0
        assert endpoint_error(torch.zeros_like(made.displacement), made) > 0.5


def test_without_variation_the_fixed_scan_stays():
    given = pair()
    made = known_warps.deform_pair(given, SETTINGS, seeded(1))
    assert torch.equal(made.fixed, given.fixed)
    assert torch.equal(made.fixed_label, given.fixed_label)


def test_pairs_that_are_not_aligned_are_varied_together_and_have_no_truth():
    settings = WarpSettings(both_vox=(4, 8), scale_vox=32, flip=True)
    assert settings.changes
    given = pair()
    made = [known_warps.deform_pair(given, settings, seeded(seed), vary=True) for seed in range(4)]
    for varied in made:
        assert varied.displacement is None
        assert torch.equal(varied.fixed, varied.moving)
        assert not torch.equal(varied.fixed, given.fixed)
    assert not torch.equal(made[0].fixed, made[1].fixed)
    kept = known_warps.deform_pair(given, settings, seeded(0))
    assert torch.equal(kept.moving, given.moving)
    assert kept.displacement is None


class Aligned:
    """The same pair whenever one is asked for."""

    def sample(self, seed, step, index):  # noqa: ARG002
        return pair((32, 32))

    def validation(self, count):
        return range(min(count, 3))

    def validation_sample(self, number):  # noqa: ARG002
        return pair((32, 32))


def test_samples_depend_on_their_address_alone():
    source = known_warps.KnownWarps(Aligned(), WarpSettings(largest_vox=(2, 4), scale_vox=16))
    first, again = source.sample(5, 7, 0), source.sample(5, 7, 0)
    assert torch.equal(first.moving, again.moving)
    assert torch.equal(first.displacement, again.displacement)
    others = [source.sample(5, 7, 1), source.sample(5, 8, 0), source.sample(6, 7, 0)]
    others.append(source.validation_sample(0))
    assert all(not torch.equal(first.displacement, other.displacement) for other in others)
    assert source.validation(9) == range(3)


def test_validates_warped_pairs_in_mixed_precision(tmp_path):
    """Samples are made outside of it: no kernel takes a field of 16 bits, and none should."""
    from lightning.fabric import Fabric
    from train.small import Small

    from mmreg_train.config.training import Config, TrainingSettings
    from mmreg_train.engine.trainer import Training

    settings = WarpSettings(largest_vox=(2, 4), both_vox=(2, 4), scale_vox=16)
    source = known_warps.KnownWarps(Aligned(), settings)
    config = Config("small", training=TrainingSettings(steps=1, precision="bf16-mixed"))
    fabric = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
    found = Training(config, Small(dims=2), source, fabric, tmp_path).run().validation
    truth = source.validation_sample(0).displacement
    assert truth.dtype == torch.float32
    assert found["endpoint_vox_before"] > 0.1


def test_settings_that_cannot_be_used_are_refused():
    for settings in ({"largest_vox": (5, 4)}, {"both_vox": (-1, 4)}, {"scale_vox": 0}):
        with pytest.raises(ValueError, match="min, max"):
            WarpSettings(**settings)
