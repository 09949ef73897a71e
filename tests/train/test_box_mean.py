"""Means over cubes: torch's pooling, and its gradient, said another way."""

import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")
box_mean = pytest.importorskip("mmreg_train.layers.box_mean").box_mean


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("window", [1, 3, 5])
@pytest.mark.parametrize("size", [(5, 7), (8, 5, 6)])
def test_agrees_with_pooling_and_its_gradient(size, window, padded):
    image = torch.rand(2, 3, *size, dtype=torch.float64, requires_grad=True)
    pool = torch.nn.functional.avg_pool3d if len(size) == 3 else torch.nn.functional.avg_pool2d
    expected = pool(image, window, stride=1, padding=window // 2 if padded else 0)
    found = box_mean(image, window, padded)
    assert torch.allclose(found, expected, atol=1e-14)
    weight = torch.rand_like(expected)
    slopes = [torch.autograd.grad((weight * each).sum(), image)[0] for each in (found, expected)]
    assert torch.allclose(*slopes, atol=1e-14)


def test_leaves_the_image_as_it_was():
    image = torch.rand(1, 1, 4, 4)
    before = image.clone()
    for window in (1, 3):
        box_mean(image, window)
    assert torch.equal(image, before)
