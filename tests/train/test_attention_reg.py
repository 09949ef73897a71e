"""Attention-Reg: the published counts of weights, attention as it is defined, phases, and that it learns."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")
methods = pytest.importorskip("mmreg_train.methods")
attention_reg = pytest.importorskip("mmreg_train.methods.attention_reg.method")
losses = pytest.importorskip("mmreg_train.losses.image")
layers = pytest.importorskip("mmreg_train.layers.pose")
rigid = pytest.importorskip("mmreg_train.losses.rigid")

from mmreg_rt.geometry import rigid_motion  # noqa: E402

FAST = {"pooled": (2, 4, 4)}  # attention of 288 keys


def count(method):
    return sum(weight.numel() for weight in method.parameters())


def some_batch(pairs=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(2, pairs, 1, 4, 12, 12, generator=generator)
    images = [torch.nn.functional.interpolate(each, (32, 96, 96), mode="trilinear") for each in images]
    rigid = torch.randn(pairs, 6, generator=generator) * 4
    surface = torch.randn(pairs, 50, 3, generator=generator) * 15
    return methods.Batch(*images, rigid=rigid, surface=surface)


@pytest.mark.parametrize(
    ("settings", "weights"),
    [
        ({}, 1_248_777),
        ({"attention": False}, 1_244_393),
        ({"pooled": (1, 2, 2)}, 1_248_777),
        ({"size": (24, 48, 48)}, 1_248_777 - (16 * 24 * 24 - 12**3) * 128),
    ],
)
def test_has_the_published_number_of_weights(settings, weights):
    assert count(methods.create("attention_reg", **settings)) == weights


def test_a_smaller_window_is_another_network():
    method = methods.create("attention_reg", size=[24, 48, 48], spacing_mm=[4.0, 2.0, 2.0]).eval()
    assert method.window == methods.Window((24, 48, 48), (4.0, 2.0, 2.0))
    batch = some_batch(2)
    images = [each[..., ::2, ::2][:, :, :24] for each in (batch.fixed, batch.moving)]
    with torch.no_grad():
        assert method(*images).value.shape == (2, 6)
        whole, parts = method.net(*images), method.network()(*images)
    assert torch.allclose(whole, parts, atol=1e-5)
    method.set_phase("contrastive")
    small = methods.Batch(*images, rigid=batch.rigid, surface=batch.surface)
    assert method.loss(small, method(*images))["total"].isfinite()


def test_attention_blocks_have_their_published_part():
    net = methods.create("attention_reg").net
    assert count(net.to_fixed) == count(net.to_moving) == 2_192
    assert count(net.head[1]) == 1_179_776


@pytest.mark.parametrize("pooled", [(1, 1, 1), (1, 2, 2)])
@pytest.mark.parametrize("chunks", [1, 3, 5])
def test_attention_is_what_its_equation_says(pooled, chunks):
    """out_i = relu(T_i + BN(W sum_j softmax_j(phi(O_i) . theta(T_j)) g(T_j))), in float64."""
    torch.manual_seed(1)
    block = attention_reg.CrossAttention(pooled).double().eval()
    block.normalise.running_mean.normal_()
    block.normalise.running_var.uniform_(0.5, 2)
    this, other = torch.randn(2, 2, 32, 3, 4, 6, dtype=torch.float64)

    def project(layer, x):
        weight, bias = layer.weight.detach().numpy()[:, :, 0, 0, 0], layer.bias.detach().numpy()
        return np.einsum("oc,bczyx->bozyx", weight, x) + bias[:, None, None, None]

    def largest(x):
        b, c, d, h, w = x.shape
        p, q, r = pooled
        return x.reshape(b, c, d // p, p, h // q, q, w // r, r).max((3, 5, 7))

    t, o = this.numpy(), other.numpy()
    query = project(block.phi, o).reshape(2, 16, -1)
    key, value = (largest(project(layer, t)).reshape(2, 16, -1) for layer in (block.theta, block.g))
    scores = np.exp(np.einsum("bci,bcj->bij", query, key))
    scores /= scores.sum(2, keepdims=True)
    found = np.einsum("bij,bcj->bci", scores, value).reshape(2, 16, 3, 4, 6)
    norm = block.normalise
    mean, var, scale, shift = (
        v.detach().numpy()[:, None, None, None]
        for v in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    expected = np.maximum(t + (project(block.out, found) - mean) / np.sqrt(var + norm.eps) * scale + shift, 0)
    with torch.no_grad():
        np.testing.assert_allclose(block(this, other, chunks).numpy(), expected, atol=1e-10)
        rows = block.weights(this, other, (1, 2, 3)).numpy().reshape(2, -1)
    np.testing.assert_allclose(rows, scores[:, (1 * 4 + 2) * 6 + 3], atol=1e-12)


def test_the_two_attentions_both_look_at_features_from_before_them():
    torch.manual_seed(2)
    net = methods.create("attention_reg", **FAST).net.eval()
    seen = {}
    for name in ("to_fixed", "to_moving"):
        getattr(net, name).register_forward_hook(
            lambda _, inputs, __, name=name: seen.__setitem__(name, inputs[:2])
        )
    batch = some_batch()
    with torch.no_grad():
        net(batch.fixed, batch.moving)
        one, other = net.features(batch.fixed, batch.moving)
    for found, expected in zip((*seen["to_fixed"], *seen["to_moving"]), (one, other, other, one)):
        assert torch.equal(found, expected)


def test_what_is_compiled_is_what_a_step_runs():
    method, ran = methods.create("attention_reg", **FAST), []
    assert method.compilable_module("contrastive") is None
    method.compilable_module("registration").register_forward_hook(lambda *_: ran.append(1))
    batch = some_batch()
    method(batch.fixed, batch.moving)
    assert ran


def test_gives_six_numbers_and_learns_them_as_they_are():
    method = methods.create("attention_reg", **FAST, surface=0.5)
    batch = some_batch(2)
    output = method(batch.fixed, batch.moving)
    assert output.kind == "rigid"
    assert output.value.shape == (2, 6)
    terms = method.loss(batch, output)
    assert float(terms["numbers"].detach()) == pytest.approx(
        float(((output.value.detach() - batch.rigid) ** 2).mean())
    )
    away = [
        np.linalg.norm(
            rigid_motion.moved(rigid_motion.matrix_of(a), points)
            - rigid_motion.moved(rigid_motion.matrix_of(b), points),
            axis=1,
        ).mean()
        for a, b, points in zip(output.value.detach().numpy(), batch.rigid.numpy(), batch.surface.numpy())
    ]
    assert float(terms["surface_mm"].detach()) == pytest.approx(np.mean(away), rel=1e-4)  # float32
    total = (terms["numbers"] + 0.5 * terms["surface_mm"]).detach()
    assert float(terms["total"].detach()) == pytest.approx(float(total))
    terms["total"].backward()
    assert all(w.grad is not None and w.grad.isfinite().all() for w in method.parameters())


def test_matrices_are_those_of_the_runtime():
    numbers = torch.randn(5, 6, dtype=torch.float64) * 40
    expected = np.stack([rigid_motion.matrix_of(row) for row in numbers.numpy()])
    np.testing.assert_allclose(layers.rigid_matrices(numbers).numpy(), expected, atol=1e-12)


def test_mixed_precision_leaves_distances_as_they_are():
    batch = some_batch()
    numbers = torch.randn(1, 6) * 10
    with torch.autocast("cpu", torch.bfloat16):
        mixed = rigid.surface_distance(numbers, batch.rigid, batch.surface)
    assert torch.equal(mixed, rigid.surface_distance(numbers, batch.rigid, batch.surface))


def test_contrastive_learning_reaches_the_branches_and_nothing_else():
    method = methods.create("attention_reg", **FAST, locations=64)
    method.set_phase("contrastive")
    batch = some_batch(2)
    output = method(batch.fixed, batch.moving)
    assert output.kind == methods.LEARNING
    assert [tuple(value.shape) for value in output.value] == [(2, 32, 16, 24, 24)] * 2
    terms = method.loss(batch, output)
    assert set(terms) == {"contrastive", "retrieval", "total"}
    terms["total"].backward()
    for name, weight in method.net.named_parameters():
        branch = name.startswith(("fixed_branch", "moving_branch"))
        assert weight.requires_grad == branch
        assert (weight.grad is not None and bool(weight.grad.abs().max() > 0)) == branch, name
    method.set_phase("registration")
    assert all(weight.requires_grad for weight in method.parameters())
    assert method(batch.fixed, batch.moving).kind == "rigid"


def test_contrast_is_the_cross_entropy_of_the_seen_both_ways():
    one, other = torch.randn(2, 3, 20, 8)
    seen = torch.rand(3, 20) > 0.3
    loss, found = losses.location_contrast(one, other, seen, 0.07)
    rows, right = [], []
    for a, b, there in zip(one, other, seen):
        a, b = (torch.nn.functional.normalize(each[there].double(), dim=1) for each in (a, b))
        scores, own = a @ b.T / 0.07, torch.arange(int(there.sum()))
        for each in (scores, scores.T):
            rows.append(torch.nn.functional.cross_entropy(each, own, reduction="none"))
        right.append(scores.argmax(1) == own)
    assert float(loss) == pytest.approx(float(torch.cat(rows).mean()), rel=1e-5)
    assert float(found) == pytest.approx(float(torch.cat(right).float().mean()))


def test_places_are_compared_with_those_that_the_truth_puts_on_them():
    """Features that are the coordinates of what a cell shows; the moving ones lie as the truth says."""
    method = methods.create("attention_reg", **FAST, locations=200)
    rigid = torch.tensor([[6.0, -4.0, 3.0, 4.0, -3.0, 5.0]])
    cells = torch.tensor(np.indices((16, 24, 24))[::-1].copy(), dtype=torch.float32)  # x, y, z
    step, first = torch.tensor([4.0, 4, 2]), torch.tensor([1.5, 1.5, 0.5])
    spacing, middle = torch.tensor([1.0, 1, 3]), torch.tensor([47.5, 47.5, 15.5])
    shown_mm = (cells.flatten(1).T * step + first - middle) * spacing
    belongs = layers.move_points(layers.rigid_matrices(rigid), shown_mm[None])[
        0
    ]  # where what is shown here belongs
    features = [each.T.reshape(1, 3, 16, 24, 24) for each in (shown_mm, belongs)]
    caught = {}

    def catch(one, other, seen, temperature):
        caught.update(one=one, other=other, seen=seen)
        return losses.location_contrast(one, other, seen, temperature)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention_reg, "location_contrast", catch)
        method._contrastive(tuple(features), rigid)
    assert 100 < caught["seen"].sum() < 200
    apart = (caught["one"] - caught["other"])[caught["seen"]]
    assert apart.abs().max() < 1e-3  # linear features, interpolated in float32


def test_statistics_of_a_small_batch_serve_when_it_registers():
    """A momentum of 1 remembers the last batch: what is exported then gives what training gave of it."""
    method = methods.create("attention_reg", attention=False, momentum=1.0)
    norms = [module for module in method.modules() if isinstance(module, torch.nn.BatchNorm3d)]
    assert len(norms) == 6
    batch = some_batch()
    with torch.no_grad():
        trained = method(batch.fixed, batch.moving).value
        served = method.eval()(batch.fixed, batch.moving).value
    # the variance that is remembered is the unbiased one: larger by 1 / 9216 at most
    assert torch.allclose(trained, served, atol=1e-3 * float(trained.abs().max()))


def test_a_few_steps_bring_the_numbers_nearer():
    torch.manual_seed(3)
    method = methods.create("attention_reg", attention=False)
    batch = some_batch()
    optimiser = torch.optim.Adam(method.parameters(), 1e-3)
    found = []
    for _ in range(6):
        terms = method.loss(batch, method(batch.fixed, batch.moving))
        optimiser.zero_grad()
        terms["total"].backward()
        optimiser.step()
        found.append(float(terms["numbers"].detach()))
    assert found[-1] < 0.5 * found[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"numbers": 0}, "not both 0"),
        ({"locations": 1}, "locations"),
        ({"temperature": 0}, "temperature"),
        ({"momentum": 0}, "momentum"),
        ({"pooled": (1, 5, 1)}, "pooled must divide"),
        ({"size": (32, 96, 90)}, "whole cells"),
        ({"size": (96, 96)}, "whole cells"),
        ({"size": (4, 8, 8)}, "9 cells or more"),
        ({"spacing_mm": (1, 1)}, "three spacings"),
        ({"spacing_mm": (1, 0, 1)}, "three spacings"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        methods.create("attention_reg", **settings)


def test_a_batch_without_the_truth_is_refused():
    method = methods.create("attention_reg", surface=1.0, **FAST)
    batch = some_batch()
    output = methods.Output("rigid", torch.zeros(1, 6))
    with pytest.raises(ValueError, match="the batch has none"):
        method.loss(methods.Batch(batch.fixed, batch.moving), output)
    with pytest.raises(ValueError, match="surface"):
        method.loss(methods.Batch(batch.fixed, batch.moving, rigid=batch.rigid), output)


def test_settings_and_weights_build_the_same_method_again(tmp_path):
    from mmreg_train.engine.checkpoint import load_method, write_checkpoint

    method = methods.create("attention_reg", spacing_mm=[2.0, 1.0, 1.0], **FAST)
    facts = {"step": 1, "phase": method.phase, "method": method.name, "settings": method.settings}
    write_checkpoint(tmp_path / "a.safetensors", method, torch.optim.Adam(method.parameters()), facts)
    again = load_method(tmp_path / "a.safetensors")
    assert again.window == method.window
    batch = some_batch()
    with torch.no_grad():
        assert torch.equal(
            again(batch.fixed, batch.moving).value, method.eval()(batch.fixed, batch.moving).value
        )


def test_attention_is_drawn_for_chosen_places(tmp_path):
    picture = pytest.importorskip("mmreg_train.engine.attention_map")
    pytest.importorskip("matplotlib")
    from mmreg_rt.errors import InputError

    method = methods.create("attention_reg", **FAST).eval()
    batch = some_batch()
    for image in picture.attention_maps(method, batch.fixed, batch.moving, (31, 0, 95)):
        assert image.shape == (32, 96, 96)
        assert image.max() == 1
        assert image.min() >= 0
    picture.draw(method, batch.fixed, batch.moving, [(16, 48, 48), (3, 10, 80)], tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(InputError, match="lie in the window"):
        picture.attention_maps(method, batch.fixed, batch.moving, (32, 0, 0))
