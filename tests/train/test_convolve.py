"""Gradients of convolutions in mixed precision, on the narrow grids on which oneDNN's bfloat16 is wrong."""

import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")
convolve = pytest.importorskip("mmreg_train.layers.convolve").convolve


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [16, 32, 48])
@pytest.mark.parametrize("channels_last", [False, True])
def test_gradients_of_bfloat16_are_those_of_float64(width, channels, channels_last):
    convolution = torch.nn.Conv3d(channels, 32, 3, padding=1)
    features = torch.randn(1, channels, width, width, width)
    if channels_last:
        features = features.contiguous(memory_format=torch.channels_last_3d)
    weights = torch.randn(1, 32, width, width, width)
    twin = torch.nn.Conv3d(channels, 32, 3, padding=1).double()
    twin.load_state_dict(convolution.state_dict())
    (twin(features.double()) * weights).sum().backward()
    features.requires_grad_()
    littered = [torch.full((1000 * n,), 1e30) for n in range(1, 40)]
    del littered  # what reads past its input finds large numbers there
    with torch.autocast("cpu", torch.bfloat16):
        values = convolve(convolution, features)
    (values.float() * weights).sum().backward()
    gradient, expected = convolution.weight.grad.double(), twin.weight.grad
    # values and sums of 8 bits: 2**-8 of each summand, and twice that for those that cancel
    assert (gradient - expected).abs().max() < 0.02 * expected.abs().max()


def test_without_mixed_precision_it_is_the_convolution():
    convolution, features = torch.nn.Conv3d(3, 4, 3, padding=1), torch.randn(1, 3, 2, 2, 2)
    assert torch.equal(convolve(convolution, features), convolution(features))
