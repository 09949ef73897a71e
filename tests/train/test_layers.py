"""Warp, integrate, resize: laws first, then the twins."""

import numpy as np
import pytest
import reference.voxel_fields

torch = pytest.importorskip("torch", reason="training needs PyTorch")
layers = pytest.importorskip("mmreg_train.layers")

SIZES = ((1, 1), (7, 5), (1, 6, 4), (5, 7, 6))


def smooth_field(size, sd):
    """(1, dims, ...) in voxels, from a few coarse values."""
    coarse = torch.randn(1, len(size), *(2 for _ in size))
    mode = {2: "bilinear", 3: "trilinear"}[len(size)]
    return sd * torch.nn.functional.interpolate(coarse, size, mode=mode, align_corners=True)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", ["linear", "nearest"])
def test_zero_displacement_is_the_identity(size, mode):
    image = torch.rand(2, 3, *size)
    warped = layers.warp(image, torch.zeros(2, len(size), *size), mode=mode)
    # positions pass through torch's normalised coordinates: about 2**-22 of a size below 8
    np.testing.assert_allclose(warped, image, atol=2e-6)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("padding", ["zero", "border"])
def test_one_voxel_along_one_axis_shifts_by_one(axis, padding):
    image = torch.rand(1, 1, 5, 6, 7)
    displacement = torch.zeros(1, 3, 5, 6, 7)
    displacement[:, axis] = 1
    expected = image.roll(-1, axis + 2)
    last = image.narrow(axis + 2, image.shape[axis + 2] - 1, 1)
    expected.narrow(axis + 2, image.shape[axis + 2] - 1, 1).copy_(last if padding == "border" else 0 * last)
    np.testing.assert_allclose(layers.warp(image, displacement, padding=padding), expected, atol=2e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("padding", ["zero", "border"])
def test_warp_agrees_with_the_twin_on_another_grid(size, padding):
    image = torch.rand(1, 1, *(n + 2 for n in size))
    displacement = 3 * torch.randn(1, len(size), *size)
    expected = reference.voxel_fields.warp(image[0, 0].numpy(), displacement[0].numpy(), padding)
    warped = layers.warp(image, displacement, padding=padding)[0, 0]
    np.testing.assert_allclose(warped, expected, atol=1e-5)  # positions of about 10 voxels, rounded


def test_labels_stay_labels_and_zero_comes_from_outside():
    labels = torch.randint(1, 2000, (2, 6, 7, 8))
    warped = layers.warp_labels(labels, 5 * torch.randn(2, 3, 6, 7, 8))
    assert warped.dtype == torch.int64
    assert set(warped.unique().tolist()) <= {0, *labels.unique().tolist()}
    assert (layers.warp_labels(labels, torch.full((2, 3, 6, 7, 8), 9.0)) == 0).all()


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="found shapes"):
        layers.warp(torch.zeros(1, 1, 4, 4), torch.zeros(1, 3, 4, 4, 4))
    with pytest.raises(ValueError, match="'cubic'"):
        layers.warp(torch.zeros(1, 1, 4, 4), torch.zeros(1, 2, 4, 4), mode="cubic")


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("size", [(9, 8), (7, 8, 9)])
def test_integrate_agrees_with_the_twin(size, factor):
    velocity = smooth_field(size, 3.0)
    expected = reference.voxel_fields.integrate(velocity[0].numpy(), 7, factor)
    np.testing.assert_allclose(layers.integrate(velocity, 7, factor)[0], expected, atol=1e-4)


def test_a_constant_velocity_is_its_own_displacement():
    velocity = torch.full((1, 3, 6, 6, 6), 1.5)
    np.testing.assert_allclose(layers.integrate(velocity, 7), velocity, atol=1e-5)


def test_flowing_back_undoes_flowing_forth():
    velocity = smooth_field((24, 24, 24), 1.5)
    there, back = layers.integrate(velocity, 7), layers.integrate(-velocity, 7)
    rest = there + layers.warp(back, there, padding="border")
    inner = rest[:, :, 4:-4, 4:-4, 4:-4]  # at the border the two continue different values
    assert inner.abs().max() < 0.02  # the error of 7 squarings with linear sampling


@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize("size", [(1, 4), (3, 4, 5)])
def test_upsample_agrees_with_the_rule_of_cell_centres(size, factor):
    field = torch.randn(1, len(size), *size)
    expected = [reference.voxel_fields.upsample(component, factor) for component in field[0].numpy()]
    np.testing.assert_allclose(layers.upsample(field, factor)[0], expected, atol=2e-6)
    if factor == 2:  # what a compiled network has in its place
        np.testing.assert_allclose(layers.resize._double(field)[0], expected, atol=2e-6)


def test_a_linear_field_survives_pooling_and_upsampling_inside():
    field = torch.arange(12.0).expand(1, 2, 12, 12)
    again = layers.upsample(layers.downsample(field, 2), 2)
    np.testing.assert_allclose(again[..., 1:-1], field[..., 1:-1], atol=1e-5)
