"""INNReg: the published counts of weights, a translator that is undone exactly, and what it teaches."""

import numpy as np
import pytest
from fixtures.onnx_parity import runs_alike

torch = pytest.importorskip("torch", reason="training needs PyTorch")
methods = pytest.importorskip("mmreg_train.methods")
losses = pytest.importorskip("mmreg_train.losses.image")
innreg = pytest.importorskip("mmreg_train.methods.innreg")
barriers = pytest.importorskip("mmreg_train.methods.innreg.barrier")
subnetworks = pytest.importorskip("mmreg_train.methods.innreg.subnetworks")
block = pytest.importorskip("mmreg_train.methods.innreg.block")
translators = pytest.importorskip("mmreg_train.methods.innreg.translator")

KINDS = ("dense", "depthwise", "dense-depthwise")
TINY = {"width": 2, "kernel": 3, "encoder": (4, 8), "decoder": (8, 8, 8)}


def count(module):
    return sum(weight.numel() for weight in module.parameters())


def translator(kind, dims=2, blocks=3, width=3, kernel=3, reversible=True):
    return translators.Translator(dims, blocks, kind, width, kernel, reversible)


@pytest.mark.parametrize(
    ("kind", "weights"),
    [
        ("dense", (57_738, 173_224, 1_385_792)),
        ("depthwise", (228_672, 686_026, 5_488_208)),
        ("dense-depthwise", (268_119, 804_367, 6_434_936)),
    ],
)
def test_translators_have_the_published_number_of_weights(kind, weights):
    method = methods.create("innreg", subnetwork=kind)
    block = method.translator.blocks[0]
    assert (count(block.add), count(block), count(method.translator)) == weights
    assert count(method.network()) == 356_258


@pytest.mark.parametrize("kind", KINDS)
def test_eight_blocks_are_undone_to_rounding(kind):
    made = methods.create("innreg", subnetwork=kind).translator.eval()
    pair = (torch.rand(1, 1, 24, 20),) * 2
    with torch.no_grad():
        # 5e-6 as published; the way back first meets larger numbers in between, each rounded by 6e-8 of it
        for back, most in ((False, 5e-6), (True, 5e-5)):
            again = made.channels(made.channels(pair, back), not back)
            assert max(float((a - b).abs().max()) for a, b in zip(pair, again)) < most


def test_volumes_are_undone_too():
    made = translator("dense-depthwise", dims=3).eval()
    pair = tuple(torch.rand(2, 2, 1, 6, 8, 7))
    with torch.no_grad():
        again = made.channels(made.channels(pair), back=True)
    assert max(float((a - b).abs().max()) for a, b in zip(pair, again)) < 5e-6


def test_the_mixing_is_undone_by_its_formula():
    drawn = [block.Mixing().double() for _ in range(20)]
    swaps = {bool(mixing.permutation[0, 0] == 0) for mixing in drawn}
    assert swaps == {False, True}
    for mixing in drawn:
        assert torch.allclose(mixing.matrix() @ mixing.matrix().T, torch.eye(2).double(), atol=1e-6)
        for weight in mixing.parameters():
            weight.data.add_(0.3 * torch.randn_like(weight))
        whole = (
            mixing.permutation
            @ (mixing.lower.tril(-1) + torch.eye(2))
            @ (mixing.upper.triu(1) + torch.diag(mixing.sign * mixing.log_size.exp()))
        )
        assert torch.allclose(mixing.matrix(), whole, atol=1e-12)
        assert torch.allclose(mixing.inverse_matrix(), torch.linalg.inv(whole), atol=1e-12)


def test_a_block_is_its_equations():
    block = translators.Block(2, "dense", 3, 3).double()
    pair = torch.rand(2, 1, 1, 6, 5).double()
    x1, x2 = (block.mixing.matrix() @ pair.flatten(1)).view_as(pair)
    y1 = x1 + block.add(x2)
    y2 = x2 * torch.exp(0.8 * (2 / (1 + torch.exp(-block.scale(y1))) - 1)) + block.shift(y1)
    for found, expected in zip(block(tuple(pair)), (y1, y2)):
        assert torch.allclose(found, expected, atol=1e-12)


def test_dynamic_kernels_are_made_of_the_means_of_each_image():
    layer = subnetworks.DynamicDepthWise(2, 4, 3, 3).double()
    for weight in layer.parameters():
        weight.data.normal_(0, 0.5)
    features = torch.rand(2, 4, 5, 6).double()
    found = layer(features).detach()
    padded = torch.nn.functional.pad(features, (1, 1, 1, 1))
    for image in range(2):
        squeezed = torch.relu(layer.squeeze.weight @ features[image].mean((1, 2)) * layer.scale + layer.shift)
        kernels = (layer.expand.weight @ squeezed + layer.expand.bias).view(4, 3, 3)
        for y, x in np.ndindex(5, 6):
            patch = padded[image, :, y : y + 3, x : x + 3]
            expected = (patch * kernels).sum((1, 2)) + layer.bias
            assert torch.allclose(found[image, :, y, x], expected.detach(), atol=1e-12)


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_from_the_result_alone_is_that_of_autograd(kind, back):
    made = translator(kind).double()
    image = torch.rand(2, 1, 10, 8).double().requires_grad_()
    upstream = torch.randn(2, 2, 1, 10, 8).double()
    slopes = []
    for made.reversible in (True, False):
        one, other = made.channels((image, image**2), back)
        loss = (upstream[0] * one + upstream[1] * other).sum()
        slopes.append(torch.autograd.grad(loss, [image, *made.parameters()]))
    largest = max(float(slope.abs().max()) for slope in slopes[1])
    for ours, theirs in zip(*slopes):
        # rounding of 1e-16, blown up by the inverses of the couplings and of normalisations
        assert torch.allclose(ours, theirs, rtol=1e-7, atol=1e-10 * largest)


def kept_bytes(made, image):
    """What autograd keeps for the gradient, weights aside."""
    weights = {weight.untyped_storage().data_ptr() for weight in made.parameters()}
    kept = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = made(image)
    assert result.requires_grad
    return sum(kept.values())


def test_memory_does_not_grow_with_the_number_of_blocks():
    image = torch.rand(1, 1, 32, 32)
    of = {
        reversible: [
            kept_bytes(translator("dense", blocks=blocks, reversible=reversible), image)
            for blocks in (2, 4, 8)
        ]
        for reversible in (True, False)
    }
    assert of[True] == [2 * image.nbytes] * 3  # both channels of the result
    assert of[False][2] > 3.5 * of[False][0] > 100 * of[True][0]


@pytest.mark.parametrize("kind", KINDS)
def test_translates_as_it_did_in_training_and_each_image_by_itself(kind):
    made = translator(kind)
    images = torch.rand(3, 1, 12, 12)
    for back in (False, True):
        learning = made.train()(images, back)
        assert torch.equal(made.eval()(images, back), learning)
        assert torch.allclose(made(images[1:2], back), learning[1:2], atol=1e-5)


def test_weights_that_rest_get_no_gradient_and_change_none():
    made = translator("dense")
    made.blocks[1].shift.requires_grad_(False)
    image = torch.rand(1, 1, 8, 8)
    slopes = []
    for made.reversible in (True, False):
        made.zero_grad()
        made(image).square().mean().backward()
        slopes.append([weight.grad for weight in made.parameters()])
    for ours, theirs in zip(*slopes):
        assert (ours is None) == (theirs is None)
        assert ours is None or torch.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("sees", ["original", "translated"])
def test_the_velocity_lies_on_the_half_grid_and_has_an_inverse(dims, sees):
    method = methods.create("innreg", dims=dims, sees=sees, blocks=1, **TINY).eval()
    size = (16, 24, 8)[:dims]
    output = method(*torch.rand(2, 2, 1, *size))
    assert output.value.shape == (2, dims, *(n // 2 for n in size))
    assert method.displacement(output).abs().max() < 0.01  # a new network is close to the identity
    smooth = torch.nn.functional.interpolate(torch.randn(1, dims, *(3,) * dims), [n // 2 for n in size])
    velocity = methods.Output("velocity", smooth * 0 + torch.arange(1.0, dims + 1).view(1, -1, *(1,) * dims))
    there, back = method.displacement(velocity), method.inverse_displacement(velocity)
    assert torch.allclose(there, -back, atol=1e-5)  # of a constant velocity
    assert torch.allclose(there.mean((0, *range(2, dims + 2))), torch.arange(1.0, dims + 1), atol=1e-5)


@pytest.mark.parametrize("sees", innreg.method.SEES)
def test_cost_volumes_are_what_another_registration_network_sees(sees):
    made = methods.create("innreg", **TINY, sees=sees, blocks=1, cost_volumes=2).eval()
    assert made.multiple == 8
    pair = torch.rand(2, 1, 1, 24, 32, generator=torch.Generator().manual_seed(0))
    velocity = made(*pair)
    assert velocity.value.shape == (1, 2, 12, 16)
    with torch.no_grad():
        again = made(*(0.5 * each + 0.25 for each in pair))  # self-similarity does not see contrast
    if sees == "original":
        assert torch.allclose(velocity.value, again.value, atol=1e-6)


def test_terms_are_named_and_weighted():
    weights = {"translation": 0.7, "inverse": 0.3, "cycle": 2.0, "barrier": 0.4, "smoothness": 0.1}
    method = methods.create("innreg", blocks=2, **weights, **TINY).eval()
    batch = methods.Batch(*torch.rand(2, 1, 1, 16, 16))
    with torch.no_grad():
        terms = method.loss(batch, method(batch.fixed, batch.moving))
    total = 0.7 * (terms["to_fixed"] + terms["to_moving"]) + 0.3 * terms["inverse"] + 2 * terms["cycle"]
    total = total + 0.4 * terms["barrier"] + 0.1 * terms["smoothness"]
    assert float(terms["total"]) == pytest.approx(float(total), rel=1e-6)
    assert terms["cycle"] < 1e-5  # vacuous
    as_fixed, as_moving = method.translator(batch.moving), method.translator(batch.fixed, back=True)
    # the network is near the identity
    assert float(terms["to_fixed"]) == pytest.approx(
        float((as_fixed - batch.fixed).abs().mean().detach()), rel=1e-3
    )
    assert float(terms["to_moving"]) == pytest.approx(
        float((as_moving - batch.moving).abs().mean().detach()), rel=1e-3
    )
    information = losses.normalised_mutual_information(batch.fixed, batch.moving, 21)
    assert float(terms["information"]) == pytest.approx(float(information), rel=1e-3)
    assert float(terms["barrier"]) == pytest.approx(-np.log(float(information) + 0.1), rel=1e-2)


def test_both_readings_of_the_barrier():
    information = torch.linspace(0, 1, 1001, dtype=torch.float64, requires_grad=True)
    by_offset = barriers.barrier(information, "offset", 1.1)
    assert torch.allclose(by_offset, -torch.log(1.1 - (1 - information)))
    by_threshold = barriers.barrier(information, "threshold", 0.3)
    above = information > 0.33
    assert torch.allclose(by_threshold[above], -torch.log(information[above] - 0.3))
    assert torch.allclose(by_threshold, barriers.barrier(information, "offset", 0.7))
    slope = torch.autograd.grad(by_threshold.sum(), information)[0]
    assert slope.isfinite().all()
    assert (slope < 0).all()  # more information is better everywhere, and ever more so towards the pole
    assert (slope.diff() >= -1e-9).all()
    assert float(slope.min()) == pytest.approx(-1 / barriers.NEAREST)


def test_networks_take_turns():
    method = methods.create("innreg", blocks=1, translator_first=1, alternate_after=3, turns=(2, 3), **TINY)
    batch = methods.Batch(*torch.rand(2, 1, 1, 16, 16))
    learned = []
    for step in range(10):
        method.on_step_begin(step)
        method.zero_grad()
        method.loss(batch, method(batch.fixed, batch.moving))["total"].backward()
        by = {
            name: [weight.grad is not None for weight in part.parameters()]
            for name, part in (("t", method.translator), ("r", method.registration))
        }
        assert all(len(set(got)) == 1 for got in by.values())
        learned.append("".join(name for name, got in by.items() if got[0]))
    assert learned == ["t", "tr", "tr", "t", "t", "r", "r", "r", "t", "t"]


def test_a_checkpoint_taken_while_one_rests_keeps_the_moments_of_both(tmp_path):
    from mmreg_train.engine.checkpoint import read_checkpoint, write_checkpoint

    settings = {"blocks": 1, "alternate_after": 1, **TINY}
    method = methods.create("innreg", **settings)
    optimiser = torch.optim.Adam(method.parameters(), 1e-3)
    batch = methods.Batch(*torch.rand(2, 1, 1, 16, 16))
    for step in range(3):  # the last one is a turn of the registration network
        method.on_step_begin(step)
        optimiser.zero_grad()
        method.loss(batch, method(batch.fixed, batch.moving))["total"].backward()
        optimiser.step()
    facts = {"method": "innreg", "settings": method.settings, "step": 3}
    write_checkpoint(tmp_path / "last.safetensors", method, optimiser, facts)
    read = read_checkpoint(tmp_path / "last.safetensors")
    again = read.method()
    fresh = torch.optim.Adam(again.parameters(), 1e-3)
    read.load_optimiser(fresh, again)
    for ours, theirs in zip(method.parameters(), again.parameters()):
        assert torch.equal(ours, theirs)
        for key, value in optimiser.state[ours].items():
            assert torch.equal(fresh.state[theirs][key], value)
    batch = batch.fixed, batch.moving
    assert torch.equal(method.eval()(*batch).value, again(*batch).value)


def aligned(size, generator):
    """One person in two modalities: the second darkens what is bright, and bends it."""
    coarse = torch.rand(1, 1, 7, 7, generator=generator)
    image = torch.nn.functional.interpolate(coarse, size, mode="bicubic", align_corners=True).clamp(0, 1)
    return methods.Batch(image, (1 - image) ** 1.5)


def test_learns_to_bring_another_modality_back():
    from mmreg_train.config.training import WarpSettings
    from mmreg_train.data.known_warps import deform_pair
    from mmreg_train.engine.validation import endpoint_error

    settings = {"subnetwork": "dense", "width": 4, "blocks": 2, "encoder": (8, 16), "decoder": (16, 16, 8)}
    method = methods.create("innreg", smoothness=0.02, barrier=0.2, **settings)
    warp = WarpSettings(largest_vox=(2, 2), scale_vox=12)
    draw = torch.Generator().manual_seed(3)
    batch = deform_pair(aligned((32, 32), draw), warp, draw)
    optimiser = torch.optim.Adam(method.parameters(), 3e-3)
    totals = []
    for _ in range(150):
        terms = method.loss(batch, method(batch.fixed, batch.moving))
        optimiser.zero_grad()
        terms["total"].backward()
        optimiser.step()
        totals.append(float(terms["total"].detach()))
    found = method.displacement(method(batch.fixed, batch.moving)).detach()
    start = endpoint_error(torch.zeros_like(found), batch)
    assert totals[-1] < 0.7 * totals[0]
    assert endpoint_error(found, batch) < 0.5 * start


def test_settings_that_cannot_be_used_are_refused():
    for settings, message in (
        ({"sees": "both"}, "'both'"),
        ({"subnetwork": "resnet"}, "'resnet'"),
        ({"reading": "text"}, "'text'"),
        ({"barrier_level": 0.0}, "above 0"),
        ({"reading": "threshold", "barrier_level": 1.0}, "\[0, 1\)"),
        ({"blocks": 0}, "blocks"),
        ({"turns": (1, 0)}, "both turns"),
        ({"turns": (1,)}, "both turns"),
        ({"kernel": 4}, "odd kernel"),
        ({"decoder": (32,)}, "6 levels"),
        ({"cost_volumes": 7}, "cost_volumes must be 0 to 6"),
        ({"dims": 4}, "dims=4"),
    ):
        with pytest.raises(ValueError, match=message):
            methods.create("innreg", **settings)


def test_exports_with_dynamic_sizes():
    method = methods.create("innreg", encoder=(4, 8), decoder=(8, 8, 8))
    method.registration.head.weight.data.normal_(0, 1)  # else the output is too small to compare
    sizes = [(32, 64), (48, 16)]
    largest = method(*torch.rand(2, 1, 1, *sizes[0])).value.abs().max()
    assert largest > 2
    model = runs_alike(method.network(), ("fixed", "moving"), sizes, atol=1e-4)
    assert "GridSample" not in {node.op_type for node in model.graph.node}


@pytest.mark.parametrize("back", [False, True])
def test_the_translator_runs_alike_in_both_directions_outside_of_torch(back):
    pytest.importorskip("onnxscript")
    openvino = pytest.importorskip("openvino")
    translating = pytest.importorskip("mmreg_export.innreg_translator")
    method = methods.create("innreg", blocks=2, **TINY).eval()
    model = translating.export_translator(method, back)
    image = np.random.default_rng(0).random((1, 20, 12), np.float32)
    found = translating.translate(method, model, back, image)  # refuses what differs from torch
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    np.testing.assert_allclose(compiled({"image": image[None]})[0][0], found, atol=1e-5)
    with torch.no_grad():
        changed = method.translator(torch.from_numpy(image[None]), back)
    assert (changed[0].numpy() - image).std() > 0.05  # not the identity


def test_a_method_without_a_translator_is_refused():
    translating = pytest.importorskip("mmreg_export.innreg_translator")
    from mmreg_rt.errors import InputError

    with pytest.raises(InputError, match="no translator"):
        translating.export_translator(methods.create("voxelmorph", encoder=(2,), decoder=(2, 2)), False)
