"""From a method to a bundle: the file, its precisions, and that a network which differs is not shipped."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="export needs PyTorch")
for name in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(name)

from mmreg_export import pack, parity, precision  # noqa: E402
from mmreg_export.calibration import generated_pairs, read_pair  # noqa: E402
from mmreg_export.onnx import export_network  # noqa: E402
from mmreg_rt import Grid, Volume, write_image  # noqa: E402
from mmreg_rt.backends import ON_CPU, by_name  # noqa: E402
from mmreg_rt.bundle import open_bundle, self_test  # noqa: E402
from mmreg_rt.errors import BundleError, InputError  # noqa: E402
from mmreg_rt.onnx_model.validation import check_model  # noqa: E402
from mmreg_rt.preprocess import PreprocessSpec  # noqa: E402
from mmreg_train import methods  # noqa: E402


@pytest.fixture(scope="module")
def method():
    torch.manual_seed(3)
    made = methods.create("voxelmorph", dims=2, encoder=[8, 8], decoder=[8, 8, 8], image="mse").eval()
    torch.nn.init.normal_(made.flow.head.weight, 0, 3)  # a field of some voxels
    return made


@pytest.fixture(scope="module")
def model(method):
    return export_network(method)


def shown(method, data, name="fp32", backend="onnxruntime"):
    session = by_name(backend).load(data, precision=name, threads=1, device="cpu")
    try:
        return parity.compare(method, session, generated_pairs(2, method.multiple, 2))
    finally:
        session.close()


def test_the_same_weights_give_the_same_bytes_and_no_path_of_this_machine(method, model):
    assert export_network(method) == model
    assert b".py" not in model


def test_every_precision_is_a_file_the_runtime_accepts_and_stays_near_torch(method, model):
    inputs = [
        run for pair in generated_pairs(2, method.multiple, 2) for run in parity.network_inputs(method, pair)
    ]
    found = {
        "fp32": shown(method, model),
        "fp16": shown(method, precision.to_half(model), "fp16"),
        "int8": shown(method, precision.quantise(model, inputs), "int8"),
    }
    assert found["fp32"].displacement_mean > 0.1
    assert found["fp32"].max < 1e-4  # float32 mm
    assert 0 < found["fp16"].max < 0.02 * found["fp32"].displacement_mean + 0.01
    assert found["fp16"].mean < found["int8"].mean < 0.5 * found["fp32"].displacement_mean
    for data in (precision.to_half(model), precision.quantise(model, inputs)):
        facts = check_model(data)
        assert all(tensor.dtype == "float32" for tensor in (*facts.inputs, *facts.outputs))
        assert len(data) < len(model) or len(model) < 100_000  # tiny networks gain nothing


def pairs_in_16_bits(weights):
    """The largest pair of products that ``pmaddubsw`` may meet: activations of 255 where they add up."""
    flat = np.resize(weights.astype(np.int64), (len(weights), -(-weights[0].size // 2) * 2))
    pairs = flat.reshape(-1, 2)
    return max(255 * np.maximum(pairs, 0).sum(1).max(), -255 * np.minimum(pairs, 0).sum(1).min())


def test_eight_bit_products_cannot_saturate_on_any_cpu(model):
    onnx = pytest.importorskip("onnx")
    read = onnx.load_from_string(precision.quantise(model, _calibration()))
    whole = [onnx.numpy_helper.to_array(each) for each in read.graph.initializer]
    weights = [each for each in whole if each.dtype == np.int8 and each.ndim > 2]
    assert len(weights) >= 3
    for each in weights:
        assert np.abs(each.astype(int)).max() <= 64
        assert pairs_in_16_bits(each) <= np.iinfo(np.int16).max
        assert 255 * 2 * np.abs(each.astype(int)).max() <= np.iinfo(np.int16).max  # in any order of channels
    assert pairs_in_16_bits(np.full((2, 4), 127, np.int8)) > np.iinfo(np.int16).max  # what 8 bits would do


def _calibration():
    shape = (1, 1, 32, 32)
    images = np.random.default_rng(0).random((2, *shape), np.float32)
    return [dict(zip(("fixed", "moving"), images, strict=True))]


def test_weights_stored_as_half_floats_change_nothing_but_the_size():
    torch.manual_seed(4)
    method = methods.create("voxelmorph", dims=2, image="mse").eval()
    torch.nn.init.normal_(method.flow.head.weight, 0, 3)
    precision.round_weights(method)
    model = export_network(method)
    stored = precision.store_half(model)
    assert len(stored) < 0.6 * len(model)
    assert check_model(stored).inputs == check_model(model).inputs
    for name in ("onnxruntime", "openvino"):
        if by_name(name).unavailable_reason("cpu", "fp32") is None:
            assert (
                shown(method, stored, backend=name).max < 1e-3
            )  # as the network with its weights in float32


def test_half_precision_leaves_descriptors_before_the_network_in_float32():
    torch.manual_seed(5)
    method = methods.create("voxelmorph", dims=2, cost_volumes=2, image="mse").eval()
    torch.nn.init.normal_(method.flow.head.weight, 0, 1)
    found = shown(method, precision.to_half(export_network(method)), "fp16")
    assert found.displacement_mean > 0.1
    assert 0 < found.max < 0.02 * found.displacement_mean + 0.02


def test_a_session_with_other_weights_is_refused(method):
    other = methods.create("voxelmorph", dims=2, encoder=[8, 8], decoder=[8, 8, 8], image="mse").eval()
    torch.nn.init.normal_(other.flow.head.weight, 0, 3)
    with pytest.raises(parity.ParityError) as caught:
        shown(method, export_network(other)).check()
    assert caught.value.code == "MMREG_E_EXPORT_PARITY"


@pytest.mark.parametrize(("name", "refused"), [("fp32", True), ("fp16", True), ("bf16", False)])
def test_bf16_beyond_its_limit_is_left_out_and_others_stop_the_export(name, refused):
    far, said = parity.Parity("openvino", name, 1.0, 1.0, 1.0, 2.0, 3), []
    if refused:
        with pytest.raises(parity.ParityError):
            pack._within_limits(far, said.append)
    else:
        assert not pack._within_limits(far, said.append)
        assert "bf16 is not offered" in said[0]


def test_nothing_is_written_where_a_limit_is_passed(method, tmp_path, monkeypatch):
    monkeypatch.setattr(parity, "LIMITS", {"fp32": {"max": 0.0}})
    request = pack.Request(method, PreprocessSpec(multiple=method.multiple), pack.Identity("x"), "# card")
    with pytest.raises(parity.ParityError):
        pack.pack(request, tmp_path / "x.mmreg", lambda _: None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("dims", "shape", "needed"), [(2, (8, 8, 8), "slices"), (3, (1, 8, 8), "volumes")])
def test_a_pair_of_other_dimensions_than_the_network_is_refused(tmp_path, dims, shape, needed):
    image = np.random.default_rng(0).random(shape, np.float32)
    write_image(Volume(image, Grid(shape, np.eye(4)[[2, 1, 0, 3]])), tmp_path / "scan.nii.gz")
    with pytest.raises(InputError, match=needed) as caught:
        read_pair(tmp_path / "scan.nii.gz", tmp_path / "scan.nii.gz", PreprocessSpec(multiple=8), dims)
    assert caught.value.code == "MMREG_E_EXPORT_PAIR"


def test_a_bundle_says_how_far_it_is_from_torch(method, tmp_path):
    request = pack.Request(method, PreprocessSpec(multiple=method.multiple), pack.Identity("x"), "# card")
    bundle = pack.pack(request, tmp_path / "x.mmreg", lambda _: None)
    figures = bundle.manifest.parity["onnxruntime"]["fp32"]
    assert figures["pairs"] == 3
    assert 0 <= figures["max"] < 0.02 < figures["displacement_mean"]
    np.testing.assert_equal(bundle.golden().output.shape[0], 2)
    assert bundle.manifest.output.refine is None
    assert bundle.manifest.most_voxels is None


def far(precision, golden):
    return parity.Parity("openvino", precision, 0.0, 0.0, 0.0, 2.0, 3, golden)


@pytest.mark.parametrize(
    ("precision", "off", "limit_mm"),
    [
        ("fp32", [1e-6], 0.001),  # a micrometre is enough for anybody
        ("fp32", [2e-4, 5e-4], 0.004),
        ("fp32", [0.01], 0.02),
        ("bf16", [0.02], 0.16),
        ("int8", [0.1, 0.05], 0.8),
        ("int8", [1.5], 2.0),
        ("fp16", [], 0.3),
    ],
)
def test_the_golden_pair_may_be_some_times_as_far_off_as_it_was_at_export(precision, off, limit_mm):
    seen = [[far(precision, figure) for figure in off], [far("other", 9.0)]]
    assert pack.limit_mm(precision, seen) == pytest.approx(limit_mm)


@pytest.mark.parametrize(("precision", "off"), [("fp32", 0.021), ("fp16", 0.31), ("int8", 2.1)])
def test_a_golden_pair_further_off_than_any_may_be_stops_the_export(precision, off):
    with pytest.raises(parity.ParityError, match="golden"):
        far(precision, off).check()
    far(precision, 0.9 * off).check()


def test_a_bundle_is_held_to_what_its_export_measured(method, tmp_path):
    spec = PreprocessSpec(multiple=method.multiple)
    asked = pack.Request(method, spec, pack.Identity("x"), "# card", precisions=("fp32", "int8"))
    bundle = pack.pack(asked, tmp_path / "x.mmreg", lambda _: None)
    for name, most in (("fp32", 0.02), ("int8", 2.0)):
        limit_mm, off = bundle.manifest.golden.limit_mm[name], []
        for backend in ON_CPU:
            if by_name(backend).unavailable_reason("cpu", name):
                continue
            session = by_name(backend).load(bundle.model(name).onnx, precision=name, threads=1, device="cpu")
            off.append(self_test(bundle, session.infer, name))

            def shifted(images, infer=session.infer, by=2 * limit_mm):
                return infer(images) + np.float32(by)

            with pytest.raises(BundleError, match="MMREG_E_SELFTEST_LIMIT"):
                self_test(bundle, shifted, name)
            session.close()
        assert limit_mm == pytest.approx(np.clip(8 * max(off), 0.001, most), rel=1e-3)


def test_a_bundle_says_how_large_a_grid_its_network_takes(method, tmp_path, monkeypatch):
    monkeypatch.setattr(method, "most_voxels", 5000)
    request = pack.Request(method, PreprocessSpec(multiple=method.multiple), pack.Identity("x"), "# card")
    assert pack.pack(request, tmp_path / "x.mmreg", lambda _: None).manifest.most_voxels == 5000


def test_a_bundle_says_whether_its_field_is_to_be_refined(method, tmp_path):
    identity = pack.Identity("x", refine=False)
    request = pack.Request(method, PreprocessSpec(multiple=method.multiple), identity, "# card")
    assert pack.pack(request, tmp_path / "x.mmreg", lambda _: None).manifest.output.refine is False


def test_a_bundle_is_signed_by_the_key_that_export_is_given(method, tmp_path):
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    key = bytes(range(32))
    public = ed25519.Ed25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw()
    request = pack.Request(
        method, PreprocessSpec(multiple=method.multiple), pack.Identity("x"), "# card", private_key=key
    )
    path = tmp_path / "x.mmreg"
    pack.pack(request, path, lambda _: None)
    assert open_bundle(path, public_key=public).signed
    with pytest.raises(BundleError, match="MMREG_E_SIGNATURE_WRONG"):
        open_bundle(path, public_key=bytes(32))
