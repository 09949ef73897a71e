"""LDM-Morph: the published counts of weights, three trainings, and one network without chance in it."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")
methods = pytest.importorskip("mmreg_train.methods")
features = pytest.importorskip("mmreg_train.methods.ldm_morph.features")
from mmreg_train.methods.field import IMAGE_TERMS  # noqa: E402

TINY = {
    "autoencoder_width": 8,
    "autoencoder_blocks": 1,
    "codes": 16,
    "diffusion_width": 8,
    "diffusion_multipliers": (1, 2),
    "diffusion_blocks": 1,
    "head_channels": 8,
    "groups": 4,
    "width": 8,
    "depths": (2, 2),
    "heads": (2, 2),
    "cross_heads": 2,
    "window": 3,
}


def tiny(**settings):
    return methods.create("ldm_morph", **{**TINY, **settings})


def count(module):
    return sum(weight.numel() for weight in module.parameters())


def blobs(size=(32, 32), shift=2):
    """A smooth ball, and the same ``shift`` voxels further along the last axis."""
    axes = torch.meshgrid(*(torch.arange(float(n)) for n in size), indexing="ij")
    squares = sum((axis - n / 2) ** 2 for axis, n in zip(axes, size))
    ball = torch.exp(-squares / 40)[None, None]
    return methods.Batch(ball, ball.roll(shift, -1))


def step(method, batch, optimiser):
    terms = method.loss(batch, method(batch.fixed, batch.moving))
    optimiser.zero_grad()
    terms["total"].backward()
    optimiser.step()
    return terms


def in_evaluation(method, batch):
    method.eval()
    with torch.no_grad():
        terms = method.loss(batch, method(batch.fixed, batch.moving))
    method.train()
    return float(terms["total"])


def of(phase, method):
    flow = method.flow
    return {
        "autoencoder": [flow.features.encoder, method.decoder],
        "diffusion": [flow.features.unet, method.unet_decoder],
        "registration": [flow.registration],
    }[phase]


def test_has_the_published_number_of_weights():
    with torch.device("meta"):
        method = methods.create("ldm_morph")
    seen, flow = method.flow.features, method.flow
    assert count(flow.registration) == 29_144_934
    assert count(seen.encoder.layers) == 24_429_185
    assert count(method.decoder.layers) == 36_104_193
    assert (count(seen.encoder.to_latent), count(method.decoder.from_latent)) == (2, 2)
    assert method.decoder.quantiser.codes.shape == (16_384, 1)
    assert count(seen.unet) == 6_067_392
    assert count(seen.unet) + count(method.unet_decoder) == 22_409_537
    assert seen.channels == [256, 384, 640, 896]
    assert len(seen.unet.blocks) == 12
    assert method.multiple == 32


def test_the_published_size_takes_a_step_of_each_phase():
    method = methods.create("ldm_morph")
    batch = blobs((32, 32))
    for phase in method.phases:
        method.set_phase(phase)
        head = of(phase, method)[-1]
        weights = [weight for weight in method.parameters() if weight.requires_grad]
        assert {id(weight) for weight in head.parameters()} <= {id(weight) for weight in weights}
        before = [weight.detach().clone() for weight in head.parameters()]
        terms = step(method, batch, torch.optim.SGD(weights, 1e-3))
        assert terms["total"].isfinite()
        assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in weights)
        assert any(not torch.equal(old, new) for old, new in zip(before, head.parameters()))


@pytest.mark.parametrize("phase", ["autoencoder", "diffusion", "registration"])
def test_each_phase_trains_its_own_weights_and_no_others(phase):
    method = tiny()
    with torch.no_grad():
        for name, weight in method.named_parameters():
            if weight.abs().max() < 1e-4 and "norm" not in name:  # what starts at zero lets nothing through
                weight.normal_(0, 0.1)
    method.set_phase(phase)
    images = torch.rand(2, 4, 1, 16, 24)
    batch = methods.Batch(*images)
    output = method(*images)
    assert (output.kind == "learning") == (phase != "registration")
    method.loss(batch, output)["total"].backward()
    own = {id(weight) for module in of(phase, method) for weight in module.parameters()}
    for name, weight in method.named_parameters():
        assert weight.requires_grad == (id(weight) in own), name
        assert (weight.grad is not None and weight.grad.isfinite().all()) == (id(weight) in own), name
    silent = [
        name
        for name, weight in method.named_parameters()
        if weight.grad is not None and not weight.grad.any()
    ]
    # a bias of all keys moves no softmax, and a convolution's before an instance normalisation of no width
    assert not [name for name in silent if not name.endswith("bias")], silent


@pytest.mark.parametrize(
    ("phase", "steps", "rate", "share"),
    [("autoencoder", 40, 5e-3, 0.7), ("diffusion", 60, 5e-3, 0.8), ("registration", 60, 3e-3, 0.5)],
)
def test_a_few_steps_reduce_the_loss_of_each_phase(phase, steps, rate, share):
    method, batch = tiny(smoothness=0.001, drop_path=0.0), blobs()
    method.set_phase(phase)
    weights = [weight for weight in method.parameters() if weight.requires_grad]
    optimiser = torch.optim.Adam(weights, rate)
    before = in_evaluation(method, batch)
    for _ in range(steps):
        step(method, batch, optimiser)
    assert in_evaluation(method, batch) < share * before
    if phase == "registration":
        found = method.displacement(method(batch.fixed, batch.moving)).detach()
        assert found[0, 1, 12:20, 12:20].mean() > 1  # the ball of moving lies 2 voxels further


def test_the_loss_of_the_latents_moves_the_field_unless_its_gradient_is_cut():
    batch, terms, gradients = blobs(), [], []
    for gradient in (True, False):
        torch.manual_seed(3)
        method = tiny(beta=0.0, smoothness=0.0, latent_gradient=gradient, drop_path=0.0)
        method.flow.registration.head.weight.data.normal_(0, 0.1)
        found = method.loss(batch, method(batch.fixed, batch.moving))
        found["total"].backward()
        terms.append({name: float(term.detach()) for name, term in found.items()})
        gradients.append(float(method.flow.registration.head.weight.grad.abs().max()))
    assert terms[0] == terms[1]
    assert terms[0]["total"] == pytest.approx(terms[0]["latent"], rel=1e-5) and terms[0]["latent"] > 0
    assert gradients[0] > 0
    assert gradients[1] == 0


def test_smoothness_is_per_voxel_of_the_full_grid_on_either():
    """A velocity that grows by 1 voxel every 8: (1/8)^2 along one of two axes, the mean of both."""
    batch = blobs()
    for factor in (1, 2):
        n = 32 // factor
        ramp = torch.arange(n) * (factor / 8)
        field = ramp.expand(1, 2, n, n)
        terms = tiny(output="velocity", factor=factor).loss(batch, methods.Output("velocity", field))
        assert float(terms["smoothness"]) == pytest.approx(1 / 128)


def test_terms_are_weighted_as_in_the_paper():
    method, batch = tiny(), blobs()
    method.flow.registration.head.weight.data.normal_(0, 0.1)
    with torch.no_grad():
        terms = method.loss(batch, method(batch.fixed, batch.moving))
    expected = 0.6 * terms["image"] + 0.4 * terms["latent"] + 0.01 * terms["smoothness"]
    assert float(terms["total"]) == pytest.approx(float(expected), rel=1e-6)


def test_learns_from_labels_too_where_they_are_asked_for():
    batch = blobs()
    fixed, moving = ((image[:, 0] > 0.5).long() for image in (batch.fixed, batch.moving))
    labelled = replace(batch, fixed_label=fixed, moving_label=moving)
    weights = {"dice": 2.0, "smoothness": 0.0, "beta": 1.0, "latent_gradient": False}
    method = tiny(**weights)
    assert method.required_targets() == {"fixed_label", "moving_label"} and not tiny().required_targets()
    field = torch.zeros(1, 2, 32, 32, requires_grad=True)
    terms = method.loss(labelled, methods.Output("displacement", field))
    assert float(terms["dice"]) > 0.2
    assert float(terms["total"]) == pytest.approx(float(terms["image"] + 2 * terms["dice"]), rel=1e-6)
    moved = torch.zeros(1, 2, 32, 32)
    moved[:, 1] = 1  # half of the way: the ball of moving lies 2 voxels further
    better = method.loss(labelled, methods.Output("displacement", moved))
    assert better["dice"] < terms["dice"]


def test_the_field_reaches_half_the_image_along_each_axis():
    method, images = tiny().eval(), torch.rand(2, 1, 1, 16, 32)
    method.flow.registration.head.bias.data = torch.tensor([1e6, -1e6])
    field = method(*images).value
    assert torch.allclose(field[:, 0], torch.tensor(7.5), atol=1e-3)
    assert torch.allclose(field[:, 1], torch.tensor(-15.5), atol=1e-3)


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("output", ["displacement", "velocity"])
def test_a_new_network_is_close_to_the_identity(output, factor):
    method = tiny(output=output, factor=factor)
    assert (method.integration_steps > 0) == (output == "velocity")
    found = method(*torch.rand(2, 2, 1, 16, 24))
    assert found.kind == output
    assert found.value.shape == (2, 2, 16 // factor, 24 // factor)
    assert method.displacement(found).shape == (2, 2, 16, 24)
    assert method.displacement(found).abs().max() < 0.05


def test_three_dimensions_take_a_step_of_each_phase():
    method, batch = tiny(dims=3, autoencoder_attention=False), blobs((16, 8, 8), 1)
    for phase in method.phases:
        method.set_phase(phase)
        weights = [weight for weight in method.parameters() if weight.requires_grad]
        assert step(method, batch, torch.optim.Adam(weights, 1e-3))["total"].isfinite()
        assert all(weight.grad.isfinite().all() for weight in weights)
    assert method(batch.fixed, batch.moving).value.shape == (1, 3, 16, 8, 8)


def test_the_time_step_is_folded_and_follows_the_weights():
    method, other = tiny(), tiny()
    other.load_state_dict(method.state_dict())
    for each in (method, other):
        seen = each.flow.features
        expected = method.flow.features.unet
        for name, shift in zip(seen.shifts, expected.shifts(expected.embedding(torch.tensor([1])))):
            assert torch.equal(getattr(seen, name), shift)
    method.flow.features.unet.time[2].bias.data += 1
    method.set_phase("registration")
    assert not torch.equal(method.flow.features.shift0, other.flow.features.shift0)


def test_noise_is_a_constant_and_none_by_default():
    images = torch.rand(2, 1, 1, 16, 24)
    made = {}
    for seed in (None, 4, 5):
        torch.manual_seed(0)
        made[seed] = tiny(noise_seed=seed).eval().flow.features
    scores = {seed: [seen(*images) for _ in range(2)] for seed, seen in made.items()}
    for once, again in scores.values():
        assert all(torch.equal(a, b) for a, b in zip(once, again))
    assert not torch.allclose(scores[4][0][0], scores[None][0][0])
    assert not torch.allclose(scores[4][0][0], scores[5][0][0])
    assert made[None].kept == pytest.approx(0.9985, abs=5e-5)  # as the released code has them at this step
    assert made[None].sigma == pytest.approx(0.0548, abs=5e-5)
    noise = torch.arange(6.0).view(1, 1, 2, 3)
    wide = features.tile_noise(noise, torch.zeros(1, 1, 3, 5))
    assert wide[0, 0].tolist() == [[0, 1, 2, 0, 1], [3, 4, 5, 3, 4], [0, 1, 2, 0, 1]]


def test_scores_are_of_moving_and_then_of_fixed():
    seen = tiny().eval().flow.features
    fixed, moving = torch.rand(2, 1, 1, 16, 16)
    both, turned = seen(fixed, moving), seen(moving, fixed)
    for one, other, channels in zip(both, turned, seen.channels):
        assert one.shape[1] == channels
        first, second = one.chunk(2, dim=1)
        assert torch.allclose(torch.cat([second, first], dim=1), other, atol=1e-6)  # order of sums
        assert not torch.allclose(first, second, atol=1e-3)


def test_stochastic_depth_is_drawn_in_training_alone():
    method = tiny(drop_path=0.9)
    method.flow.registration.head.weight.data.normal_(0, 0.1)
    images = torch.rand(2, 1, 1, 16, 16)

    def differ():
        with torch.no_grad():
            fields = [method(*images).value for _ in range(8)]
        return any(not torch.equal(fields[0], field) for field in fields)

    assert differ()
    method.eval()
    assert not differ()
    method.train()
    assert differ()


def test_learns_all_phases_by_one_configuration_and_comes_back(tmp_path):
    fabric = pytest.importorskip("lightning.fabric")
    from train.small import Noise

    from mmreg_train.config.training import Config, TrainingSettings
    from mmreg_train.engine.checkpoint import load_method
    from mmreg_train.engine.trainer import Training

    settings = {**TINY, "drop_path": 0.9}
    method = methods.create("ldm_morph", **settings)
    phases = tuple({"name": name, "steps": 2} for name in method.phases)
    common = TrainingSettings(batch=2, learning_rate=1e-3, validate_every=1, checkpoint_every=2)
    config = Config("ldm_morph", settings=settings, training=common, phases=phases)
    frozen = {}
    enter = method.set_phase

    def entered(phase):
        enter(phase)
        frozen[phase] = {name: weight.detach().clone() for name, weight in method.named_parameters()}

    method.set_phase = entered
    device = fabric.Fabric(accelerator="cpu", devices=1)
    Training(config, method, Noise((16, 16)), device, tmp_path).run()
    assert method.training  # the last thing that happened was a validation
    changed = [
        name
        for name, weight in method.named_parameters()
        if not torch.equal(weight, frozen["registration"][name])
    ]
    assert changed
    assert all(name.startswith("flow.registration.") for name in changed)
    again, images = load_method(tmp_path / "last.safetensors"), torch.rand(2, 1, 1, 16, 16)
    method.eval()
    assert torch.equal(again(*images).value, method(*images).value)
    assert list(again.settings) == list(settings)


def test_images_are_compared_as_asked():
    batch, terms = blobs((32, 32)), {}
    for image in ("mse", "ncc"):
        method = tiny(image=image).eval()
        displacement = torch.zeros(len(batch.fixed), 2, 32, 32)
        found = method.loss(batch, methods.Output(method.output_kind, displacement))
        expected = IMAGE_TERMS[image](batch.fixed, batch.moving)
        assert float(found["image"]) == pytest.approx(float(expected), rel=1e-4)
        terms[image] = float(found["total"])
    assert terms["mse"] != terms["ncc"]


def test_settings_that_cannot_be_used_are_refused():
    for settings, message in (
        ({"output": "flow"}, "'flow'"),
        ({"beta": 1.5}, "found 1.5"),
        ({"image": "sad"}, "'sad'"),
        ({"heads": (3, 2)}, r"heads=\(3, 2\)"),
        ({"diffusion_multipliers": (1, 2, 3)}, "must have the same length"),
        ({"groups": 3}, "groups=3"),
        ({"head_channels": 5}, "head_channels=5"),
        ({"autoencoder_multipliers": (1, 2)}, "three multipliers"),
        ({"drop_path": 1.0}, "drop_path=1.0"),
        ({"factor": 3}, "found 3"),
    ):
        with pytest.raises(ValueError, match=message):
            tiny(**settings)


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.long
def test_exports_as_one_graph_without_chance_or_time(factor):
    """Both backends, with one window on the coarsest grid and with several, which 3 voxels do not divide."""
    onnx = pytest.importorskip("onnx")
    export = pytest.importorskip("mmreg_export.onnx")
    from mmreg_rt.backends import ON_CPU, by_name

    method = tiny(noise_seed=3, depths=(2, 1), autoencoder_attention=False, factor=factor).eval()
    method.flow.registration.head.weight.data.normal_(0, 3)
    model = export.export_network(method)
    graph = onnx.load_model_from_string(model).graph
    assert [port.name for port in graph.input] == ["fixed", "moving"]
    used = {node.op_type for node in graph.node}
    assert not used & {"Einsum", "GridSample", "Sin", "Cos", "RandomNormal", "RandomNormalLike"}
    pairs = [torch.rand(2, 1, 1, *size) for size in ((40, 24), (8, 16))]
    with torch.no_grad():
        expected = [method.network()(*images).numpy() for images in pairs]
    assert np.abs(expected[0]).mean() > 2  # voxels: else the comparison says nothing
    compared = 0
    for name in ON_CPU:
        backend = by_name(name)
        if backend.unavailable_reason("cpu", "fp32"):
            continue
        session = backend.load(model, precision="fp32", threads=1, device="cpu")
        for images, wanted in zip(pairs, expected):
            found = session.infer({"fixed": images[0].numpy(), "moving": images[1].numpy()})
            np.testing.assert_allclose(found, wanted, atol=1e-3)  # voxels; rounding is 1e-5
        session.close()
        compared += 1
    if not compared:
        pytest.skip("no backend is installed")
