"""TransMorph: the published counts of weights, its windows, and its export."""

import numpy as np
import pytest
from fixtures.onnx_parity import runs_alike

torch = pytest.importorskip("torch", reason="training needs PyTorch")
methods = pytest.importorskip("mmreg_train.methods")
windows = pytest.importorskip("mmreg_train.layers.windows")

TINY = {"width": 6, "heads": (2, 2, 4, 4), "window": (2, 2, 2)}


@pytest.mark.parametrize(
    ("settings", "weights"),
    [
        ({}, 46_771_251),
        ({"width": 48, "heads": (4, 4, 4, 4)}, 11_757_195),
        ({"width": 6, "heads": (2, 2, 4, 4)}, 244_527),
    ],
)
def test_has_the_published_number_of_weights(settings, weights):
    with torch.device("meta"):
        method = methods.create("transmorph", **settings)
    assert sum(weight.numel() for weight in method.parameters()) == weights


def test_partition_and_join_undo_each_other_and_keep_windows_together():
    features = torch.arange(4 * 6 * 4.0).view(1, 4, 6, 4, 1)
    cut = windows.partition(features, (2, 3, 4))
    assert cut.shape == (1, 4, 24, 1)
    assert torch.equal(cut[0, 0].flatten(), features[0, :2, :3].flatten())
    assert torch.equal(windows.join(cut, (2, 3, 4), (4, 6, 4)), features)


def test_each_offset_has_a_number_of_its_own():
    number = windows.relative_positions((2, 3, 4))
    assert len(number.unique()) == 3 * 5 * 7
    assert number.min() == 0
    assert number.max() == 3 * 5 * 7 - 1
    assert (number.diagonal() == number[0, 0]).all()
    assert number[0, 1] == number[2, 3]  # one step along the last axis


def test_rolled_windows_do_not_look_across_the_border():
    mask = windows.neighbourhood_mask((4, 4, 4), (2, 2, 2), (1, 1, 1), torch.device("cpu"))
    inside = windows.neighbourhood_mask((4, 4, 4), (4, 4, 4), (0, 0, 0), torch.device("cpu"))
    assert inside.all()
    assert mask[0].all()  # the first window of the rolled grid is whole
    assert torch.equal(mask[-1], torch.eye(8, dtype=torch.bool))  # the last has a voxel of every corner


def test_a_block_mixes_only_within_its_windows():
    block = windows.WindowBlock(4, 2, (2, 2, 2), (1, 1, 1), 0.0).eval()
    features = torch.randn(1, 5, 6, 4, 4)  # 5 is padded
    changed = features.clone()
    changed[:, 0, 0, 0, 0] += 1
    with torch.no_grad():
        moved = (block(features) - block(changed)).abs().amax(-1)[0] > 0
    assert moved.nonzero().tolist() == [[0, 0, 0]]  # a shifted window leaves the corner alone
    changed = features.clone()
    changed[:, 1, 1, 1, 0] += 1
    with torch.no_grad():
        moved = (block(features) - block(changed)).abs().amax(-1)[0] > 0
    assert sorted(moved.nonzero().tolist()) == [[z, y, x] for z in (1, 2) for y in (1, 2) for x in (1, 2)]


def test_other_sizes_than_windows_fit_and_the_start_is_the_identity():
    method = methods.create("transmorph", **{**TINY, "window": (2, 3, 4)})
    images = torch.rand(2, 1, 1, 32, 64, 32)
    output = method(*images)
    assert output.value.shape == (1, 3, 32, 64, 32)
    assert output.value.abs().max() < 0.01


def test_settings_that_cannot_be_used_are_refused():
    for settings, message in (({"dims": 2}, "dims=2"), ({"heads": (5, 4, 8, 8)}, "divide")):
        with pytest.raises(ValueError, match=message):
            methods.create("transmorph", **settings)


@pytest.mark.long
def test_exports_with_dynamic_sizes():
    """The windows do not divide every size: padding and mask depend on it."""
    method = methods.create("transmorph", **TINY | {"window": (2, 3, 2)})
    method.flow.head.weight.data.normal_(0, 0.1)  # else the output is too small to compare
    sizes = [(32, 32, 64), (96, 32, 32)]
    runs_alike(method.network(), ("fixed", "moving"), sizes, atol=2e-4, step=32)  # norms amplify rounding


@pytest.mark.long
def test_the_exported_network_takes_one_window_and_several():
    """The exporter must not take the number of windows that it sees for a constant."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="the exported network needs something to run it")
    export_network = pytest.importorskip("mmreg_export.onnx").export_network
    method = methods.create("transmorph", **TINY | {"window": (2, 3, 2)}).eval()
    method.flow.head.weight.data.normal_(0, 0.1)
    session = onnxruntime.InferenceSession(export_network(method), providers=["CPUExecutionProvider"])
    for size in ((32, 32, 64), (96, 128, 32)):
        images = [torch.rand(1, 1, *size) for _ in range(2)]
        (found,) = session.run(None, dict(zip(("fixed", "moving"), (each.numpy() for each in images))))
        with torch.no_grad():
            expected = method.network()(*images).numpy()
        np.testing.assert_allclose(found, expected, atol=2e-4)  # norms amplify rounding
