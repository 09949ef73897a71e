"""VoxelMorph: the published counts of weights, its grids, and a field that it can learn."""

import pytest
from fixtures.onnx_parity import runs_alike

torch = pytest.importorskip("torch", reason="training needs PyTorch")
methods = pytest.importorskip("mmreg_train.methods")

TINY = {"encoder": (4, 8), "decoder": (8, 8, 8)}


def count(method):
    return sum(weight.numel() for weight in method.parameters())


@pytest.mark.parametrize(
    ("settings", "weights"),
    [
        ({}, 327_331),
        ({"output": "displacement", "factor": 1}, 327_331),
        ({"dims": 2}, 109_170),
        # SynthMorph's
        ({"encoder": (64,) * 4, "decoder": (64,) * 6, "half_decoder": True}, 1_336_387),
    ],
)
def test_has_the_published_number_of_weights(settings, weights):
    assert count(methods.create("voxelmorph", **settings)) == weights


@pytest.mark.parametrize("half_decoder", [False, True])
@pytest.mark.parametrize("output", ["velocity", "displacement"])
@pytest.mark.parametrize("dims", [2, 3])
def test_the_field_lies_on_the_promised_grid(dims, output, half_decoder):
    method = methods.create("voxelmorph", dims=dims, output=output, half_decoder=half_decoder, **TINY)
    size = (16, 24, 8)[:dims]
    images = torch.rand(2, 2, 1, *size)
    result = method(*images)
    assert result.value.shape == (2, dims, *(n // 2 for n in size))
    assert method.displacement(result).shape == (2, dims, *size)
    assert method.displacement(result).abs().max() < 0.01  # a new network is close to the identity
    assert (method.integration_steps > 0) == (output == "velocity")


@pytest.mark.parametrize("image", ["mse", "ncc", "mi", "mind"])
def test_terms_are_named_and_weighted(image):
    method = methods.create("voxelmorph", dims=2, image=image, dice=0.5, smoothness=0.1, **TINY)
    labels = torch.randint(0, 3, (2, 1, 16, 16))
    batch = methods.Batch(*torch.rand(2, 1, 1, 16, 16), *labels)
    with torch.no_grad():
        terms = method.loss(batch, method(batch.fixed, batch.moving))
    assert set(terms) == {"image", "dice", "smoothness", "total"}
    total = terms["image"] + 0.5 * terms["dice"] + 0.1 * terms["smoothness"]
    assert float(terms["total"]) == pytest.approx(float(total), rel=1e-6)


def test_settings_that_cannot_be_used_are_refused():
    for settings, message in (
        ({"output": "flow"}, "'flow'"),
        ({"factor": 1, "half_decoder": True}, "half_decoder"),
        ({"image": "ssim"}, "'ssim'"),
        ({"image": None}, "no term that compares"),
        ({"decoder": (32,)}, "4 levels"),
    ):
        with pytest.raises(ValueError, match=message):
            methods.create("voxelmorph", **settings)
    method = methods.create("voxelmorph", dims=2, dice=1, **TINY)
    batch = methods.Batch(*torch.rand(2, 1, 1, 16, 16))
    with pytest.raises(ValueError, match="needs label maps"):
        method.loss(batch, method(batch.fixed, batch.moving))


def test_learns_a_shift_of_two_voxels():
    method = methods.create("voxelmorph", dims=2, image="mse", smoothness=0.01, **TINY)
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    blob = torch.exp(-((y - 15) ** 2 + (x - 15) ** 2) / 40)[None, None]
    batch = methods.Batch(blob, blob.roll(2, 3))  # moving(p + u) with u = +2 along x is fixed(p)
    optimiser = torch.optim.Adam(method.parameters(), 3e-3)
    for _ in range(100):
        terms = method.loss(batch, method(batch.fixed, batch.moving))
        optimiser.zero_grad()
        terms["total"].backward()
        optimiser.step()
    field = method.displacement(method(batch.fixed, batch.moving)).detach()
    centre = field[0, :, 10:20, 10:20].mean((1, 2))
    assert centre[1] == pytest.approx(2, abs=0.3)
    assert centre[0] == pytest.approx(0, abs=0.3)


@pytest.mark.parametrize("half_decoder", [False, True])
def test_exports_with_dynamic_sizes(half_decoder):
    method = methods.create("voxelmorph", half_decoder=half_decoder)
    method.flow.head.weight.data.normal_(0, 0.1)  # else the output is too small to compare
    model = runs_alike(method.network(), ("fixed", "moving"), [(32, 48, 16), (16, 16, 32)], atol=2e-4)
    assert {entry.version for entry in model.opset_import if entry.domain == ""} == {20}
    assert "GridSample" not in {node.op_type for node in model.graph.node}


def test_exports_in_2d():
    method = methods.create("voxelmorph", dims=2)
    runs_alike(method.network(), ("fixed", "moving"), [(32, 64), (48, 16)], atol=1e-5)
