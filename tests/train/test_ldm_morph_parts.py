"""Parts of LDM-Morph that have a definition of their own: codes, edges, noise, times, attention."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")
autoencoder = pytest.importorskip("mmreg_train.methods.ldm_morph.autoencoder")
blocks = pytest.importorskip("mmreg_train.methods.ldm_morph.blocks")
diffusion = pytest.importorskip("mmreg_train.methods.ldm_morph.diffusion")
windows = pytest.importorskip("mmreg_train.layers.windows")


def test_rounding_takes_the_nearest_code_and_passes_the_gradient():
    quantiser = autoencoder.Quantiser(50, 3)
    latent = torch.randn(2, 3, 5, 4, requires_grad=True)
    rounded, term = quantiser(latent)
    vectors = latent.detach().double().movedim(1, -1).reshape(-1, 3)
    distances = ((vectors[:, None] - quantiser.codes.detach().double()[None]) ** 2).sum(-1)
    nearest = quantiser.codes.detach()[distances.argmin(1)].view(2, 5, 4, 3).movedim(-1, 1)
    assert torch.allclose(rounded, nearest, atol=1e-6)
    assert float(term) == pytest.approx(1.25 * float(((latent - nearest) ** 2).mean()), rel=1e-5)
    weight = torch.randn_like(latent)
    (gradient,) = torch.autograd.grad((rounded * weight).sum(), latent, retain_graph=True)
    assert torch.allclose(gradient, weight)
    term.backward()
    pull = 2 * 0.25 * (latent.detach() - nearest) / latent.numel()
    assert torch.allclose(latent.grad, pull, atol=1e-7)
    assert quantiser.codes.grad.abs().max() > 0


def test_edges_are_compared_and_brightness_is_not():
    ramp = 0.1 * torch.arange(16.0).expand(1, 1, 16, 16)
    assert float(autoencoder.edge_difference(ramp, ramp + 3)) == pytest.approx(0, abs=1e-6)
    # 0.1 for each voxel along one of two axes, on cells of 1, 2 and 4 voxels
    expected = (0.1 + 0.2 + 0.4) / 6
    assert float(autoencoder.edge_difference(ramp, torch.zeros_like(ramp))) == pytest.approx(expected)


def test_time_steps_are_noised_as_their_share_says():
    latent, noise = torch.randn(2, 3, 1, 4, 4).unbind()
    made = diffusion.add_noise(latent, noise, torch.tensor([0, 500, 999]))
    betas = np.linspace(0.0015**0.5, 0.0195**0.5, 1000) ** 2
    for number, at in enumerate((0, 500, 999)):
        kept = np.prod(1 - betas[: at + 1])
        expected = kept**0.5 * latent[number] + (1 - kept) ** 0.5 * noise[number]
        assert torch.allclose(made[number], expected.float(), atol=1e-6)


def test_embeddings_of_time_are_cosines_and_sines():
    found = blocks.sinusoids(torch.tensor([0, 7]), 4)
    assert torch.allclose(found[0], torch.tensor([1.0, 1, 0, 0]))
    expected = torch.tensor([np.cos(7), np.cos(0.07), np.sin(7), np.sin(0.07)], dtype=torch.float32)
    assert torch.allclose(found[1], expected, atol=1e-5)


def attended(block, features, asking):
    """Slow and obvious, float64: one window around a grid that is smaller, the padding looked at as well."""
    attention, (height, width), channels = block.attention, features.shape[2:4], features.shape[-1]
    heads, each = attention.heads, channels // attention.heads

    def tokens(values):
        normal = torch.nn.functional.layer_norm(values.double(), (channels,))
        padded = torch.zeros(3, 3, channels, dtype=torch.float64)
        padded[:height, :width] = normal[0, 0]
        return padded.view(9, channels)

    weight = attention.qkv.weight.double()
    query = tokens(asking) @ weight[:channels].T
    key, value = (tokens(features) @ part.T for part in weight[channels:].chunk(2))
    out = torch.zeros(9, channels, dtype=torch.float64)
    for head in range(heads):
        own = slice(head * each, (head + 1) * each)
        for p in range(9):
            scores = torch.empty(9, dtype=torch.float64)
            for q in range(9):
                dy, dx = p // 3 - q // 3 + 2, p % 3 - q % 3 + 2
                scores[q] = query[p, own] @ key[q, own] / each**0.5 + attention.table[5 * dy + dx, head]
            out[p, own] = scores.softmax(0) @ value[:, own]
    out = out @ attention.project.weight.double().T + attention.project.bias.double()
    return features.double() + out.view(3, 3, channels)[:height, :width]


def test_cross_attention_in_windows_agrees_with_its_definition():
    block = windows.WindowBlock(4, 2, (1, 3, 3), (0, 0, 0), 0.0).eval()
    block.attention.table.data.normal_()
    features, asking = torch.randn(2, 1, 1, 2, 3, 4)
    with torch.no_grad():
        expected = attended(block, features, asking)
        expected = expected + block.double().perceptron(block.perceptron_norm(expected))
        found = block.float()(features, asking)
        assert torch.allclose(found.double(), expected, atol=1e-5)
        assert torch.allclose(block(features, features), block(features), atol=1e-6)  # order of sums
