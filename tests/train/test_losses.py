"""Losses: their twins, what they must not notice, and MONAI's where it has the same one."""

import numpy as np
import pytest
import reference.losses

torch = pytest.importorskip("torch", reason="training needs PyTorch")
losses = pytest.importorskip("mmreg_train.losses.image")

SIZES = ((12, 17), (10, 11, 12))


def image(size, batch=1):
    """Smooth blobs in [0, 1], as images are; noise alone has no structure to compare."""
    mode = {2: "bilinear", 3: "trilinear"}[len(size)]
    coarse = torch.rand(batch, 1, *(5 for _ in size))
    return torch.nn.functional.interpolate(coarse, size, mode=mode, align_corners=True)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["local_ncc", "mutual_information", "normalised_mutual_information"])
def test_image_terms_agree_with_their_twins(size, name):
    fixed, warped = image(size), image(size)
    expected = getattr(reference.losses, name)(fixed[0, 0].numpy(), warped[0, 0].numpy())
    assert float(getattr(losses, name)(fixed, warped)) == pytest.approx(expected, rel=2e-4)  # float32 sums


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("radius", "dilation", "factor"), [(1, 2, 1), (0, 1, 1), (2, 1, 1), (1, 2, 2), (0, 1, 2)]
)
def test_mind_agrees_with_its_twin(size, radius, dilation, factor):
    size = tuple(n - n % factor for n in size)
    picture = image(size) + 0.02 * torch.randn(1, 1, *size)
    expected = reference.losses.mind(picture[0, 0].numpy(), radius, dilation, factor)
    np.testing.assert_allclose(losses.mind_ssc(picture, radius, dilation, factor)[0], expected, atol=1e-4)


def test_normalised_information_is_a_share_whatever_the_contrast():
    picture, unrelated = image((24, 25)), torch.rand(1, 1, 24, 25)
    found = losses.normalised_mutual_information
    of_itself, of_none = float(found(picture, picture)), float(found(picture, unrelated, bins=4))
    assert 0.4 < of_itself < 1  # each voxel counts in some bins, and which ones no image can tell
    assert float(found(picture, 1 - picture)) == pytest.approx(of_itself, rel=1e-4)
    assert 0 <= of_none < 0.05
    assert float(found(picture, unrelated)) == pytest.approx(float(found(unrelated, picture)), rel=1e-4)
    constant = torch.full((1, 1, 8, 8), 0.5, requires_grad=True)
    nothing = found(constant, constant, bins=3)
    nothing.backward()
    assert float(nothing.detach()) == pytest.approx(0, abs=1e-3)
    assert constant.grad.isfinite().all()


def test_mind_ignores_brightness_contrast_and_inversion():
    picture = image((14, 14, 14)) + 0.02 * torch.randn(1, 1, 14, 14, 14)
    for changed in (0.5 * picture, picture + 0.3, 1 - picture):
        assert losses.mind(picture, changed) < 1e-8
    assert losses.mind(picture, picture.roll(3, 2)) > 1e-3


def test_mind_of_a_constant_image_is_one_and_has_a_finite_gradient():
    constant = torch.full((1, 1, 8, 8, 8), 0.4, requires_grad=True)
    features = losses.mind_ssc(constant)
    features.sum().backward()
    assert (features == 1).all()
    assert constant.grad.isfinite().all()


@pytest.mark.parametrize("name", ["mse", "local_ncc", "mutual_information", "mind"])
@pytest.mark.parametrize("size", SIZES)
def test_an_image_fits_itself_best_and_gradients_are_finite(name, size):
    loss, fixed = getattr(losses, name), image(size)
    other = fixed.roll(4, 2).clone().requires_grad_()
    value = loss(fixed, other)
    value.backward()
    assert loss(fixed, fixed) < value
    assert other.grad.isfinite().all()
    assert other.grad.abs().max() > 0


def test_batches_are_averaged():
    fixed, warped = image((12, 12, 12), 2), image((12, 12, 12), 2)
    for loss in (losses.mse, losses.local_ncc, losses.mutual_information, losses.mind):
        each = [loss(fixed[i : i + 1], warped[i : i + 1]) for i in range(2)]
        assert float(loss(fixed, warped)) == pytest.approx(float(sum(each)) / 2, rel=1e-4)


def test_soft_dice_agrees_with_its_twin():
    labels = torch.randint(0, 5, (1, 6, 7, 8))
    values = torch.tensor([1, 3, 4, 9])  # 9 is in neither
    shares = torch.rand(1, 4, 6, 7, 8)
    shares[:, 3] = 0
    expected = reference.losses.soft_dice(labels[0].numpy(), shares[0].numpy(), values.tolist())
    assert float(losses.soft_dice(losses.one_hot(labels, values), shares)) == pytest.approx(
        expected, abs=1e-5
    )


def test_no_labels_at_all_are_no_dice_loss_and_pull_at_nothing():
    shares = torch.zeros(2, 0, 4, 5, 6, requires_grad=True)
    loss = losses.soft_dice(torch.zeros(2, 0, 4, 5, 6), shares)
    loss.backward()
    assert float(loss.detach()) == 0


def test_equal_labels_have_no_dice_loss_and_disjoint_ones_lose_all():
    labels = torch.randint(0, 4, (2, 6, 7))
    hot = losses.one_hot(labels, torch.arange(4))
    assert float(losses.soft_dice(hot, hot)) == pytest.approx(0, abs=1e-6)
    assert float(losses.soft_dice(hot, hot.roll(1, 1) * (1 - hot))) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("spacing", [1, 2])
def test_squared_gradient_agrees_with_its_twin_and_with_a_ramp(spacing):
    field = torch.randn(1, 3, 5, 6, 7)
    expected = reference.losses.squared_gradient(field[0].numpy(), spacing)
    assert float(losses.squared_gradient(field, spacing)) == pytest.approx(expected, rel=1e-5)
    ramp = 0.6 * torch.arange(8.0).expand(1, 3, 8, 8, 8)
    assert float(losses.squared_gradient(ramp, spacing)) == pytest.approx(0.36 / spacing**2 / 3, rel=1e-5)


def test_agrees_with_monai():
    monai = pytest.importorskip("monai.losses")
    fixed, warped = image((16, 16, 16), 2), image((16, 16, 16), 2)
    ncc = monai.LocalNormalizedCrossCorrelationLoss(
        spatial_dims=3, kernel_size=9, smooth_nr=0, smooth_dr=1e-5
    )
    assert float(losses.local_ncc(fixed, warped)) == pytest.approx(float(ncc(warped, fixed)), rel=1e-4)
    information = monai.GlobalMutualInformationLoss(num_bins=23)
    ours = losses.mutual_information(fixed, warped, bins=23)
    assert float(ours) == pytest.approx(float(information(warped, fixed)), rel=1e-3)  # other small constants
    hot = losses.one_hot(torch.randint(0, 4, (2, 8, 8, 8)), torch.arange(4))
    dice = monai.DiceLoss(smooth_nr=1e-5, smooth_dr=1e-5)
    shares = torch.rand_like(hot)
    assert float(losses.soft_dice(hot, shares)) == pytest.approx(float(dice(shares, hot)), rel=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_label_mismatch_is_about_the_share_of_wrong_labels(size):
    still = torch.zeros(1, len(size), *size)
    fixed = torch.randint(0, 400, (1, *size))
    assert float(losses.label_mismatch(fixed, fixed, still)) < 1e-10  # positions are rounded
    assert float(losses.label_mismatch(fixed, fixed.roll(3, 1), still)) == pytest.approx(1, abs=0.1)
    some = torch.where(torch.rand(1, *size) < 0.3, torch.randint(0, 400, (1, *size)), fixed)
    wrong = float((some != fixed).float().mean())
    assert float(losses.label_mismatch(fixed, some, still)) == pytest.approx(wrong, rel=0.3)


def test_label_mismatch_follows_the_displacement_and_has_its_gradient():
    moving = torch.zeros(1, 12, 12, 12, dtype=torch.long)
    moving[:, 3:8, 4:9, 5:10] = 7
    displacement = torch.zeros(1, 3, 12, 12, 12)
    displacement[:, 2] = 1
    moved = moving.roll(-1, 3)
    assert float(losses.label_mismatch(moved, moving, displacement)) < 1e-6
    half = (0.5 * displacement).requires_grad_()
    losses.label_mismatch(moved, moving, half).backward()
    assert half.grad[:, 2].sum() < 0  # further along x is better


def test_label_mismatch_takes_what_comes_from_outside_for_label_zero():
    labels = torch.randint(1, 9, (1, 6, 6, 6))
    away = torch.full((1, 3, 6, 6, 6), 20.0)
    assert float(losses.label_mismatch(0 * labels, labels, away)) == 0
