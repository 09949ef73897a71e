"""Self-test and intended use: what a network is told it was made for, and shown that it still does."""

import numpy as np
import pytest
from fixtures import bundle_parts as parts
from fixtures import onnx_bytes as ox
from fixtures.grids import grid

from mmreg_rt.bundle import check_intended_use, golden_bytes, open_bundle, self_test, write_bundle


@pytest.fixture(params=[2, 3])
def bundle(request, tmp_path):
    return write_bundle(tmp_path / "a.mmreg", parts.manifest(request.param), parts.files(request.param))


def scan(shape=(120, 100, 110), spacing_mm=(1.5, 2.0, 1.0)):
    return grid(shape, spacing_mm)


def levels(manifest, fixed, moving, modalities=None):
    return [finding.level for finding in check_intended_use(manifest, fixed, moving, modalities)]


def test_the_network_itself_passes_its_self_test(bundle):
    assert self_test(bundle, ox.run_net) == 0


def test_the_figure_is_the_longest_difference_in_mm(bundle):
    dims = bundle.manifest.dims

    def off(inputs):
        made = ox.run_net(inputs)
        made[(0, slice(None), *[1] * dims)] += 0.003
        return made

    expected = 0.003 * np.sqrt(dims) * parts.SPACING_MM
    assert self_test(bundle, off) == pytest.approx(expected, rel=1e-3)  # float32 of values up to 1


def test_inputs_have_the_names_and_shapes_of_the_format(bundle):
    seen = {}

    def infer(inputs):
        seen.update(
            {name: (array.shape, array.dtype, array.flags.c_contiguous) for name, array in inputs.items()}
        )
        return ox.run_net(inputs)

    self_test(bundle, infer)
    shape = (1, 1, 8, 4) if bundle.manifest.dims == 2 else (1, 1, 4, 8, 4)
    assert seen == dict.fromkeys(("fixed", "moving"), (shape, np.dtype(np.float32), True))


def test_a_descriptor_is_tested_on_the_fixed_image_alone(tmp_path):
    fixed, moving, _ = parts.golden_pair()
    output = np.stack([fixed, fixed])
    content = parts.files(**{"net.onnx": ox.descriptor(), "golden.npz": golden_bytes(fixed, moving, output)})
    write_bundle(tmp_path / "a.mmreg", parts.manifest(kind="descriptor"), content)
    bundle = open_bundle(tmp_path / "a.mmreg")
    assert self_test(bundle, lambda inputs: np.repeat(inputs["image"], 2, 1)) == 0


def test_the_network_runs_and_passes_where_onnxruntime_is(bundle):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(bundle.model().onnx, providers=["CPUExecutionProvider"])
    assert self_test(bundle, lambda inputs: session.run(None, dict(inputs))[0]) < 1e-5  # float32 rounding


@pytest.fixture
def manifest(tmp_path):
    return write_bundle(tmp_path / "m.mmreg", parts.manifest(), parts.files()).manifest


def test_a_pair_as_meant_is_all_ok(manifest):
    assert levels(manifest, scan(), scan(), ("MR-T1", "CT")) == ["ok"] * 6
    assert levels(manifest, scan(), scan()) == ["ok"] * 5


def test_a_slice_for_a_network_of_volumes_is_refused_and_the_other_way_round(manifest, tmp_path):
    one = scan((1, 120, 120), (5, 1, 1))
    assert levels(manifest, one, one)[0] == "refuse"
    assert levels(manifest, scan(), one)[0] == "refuse"
    planar = write_bundle(tmp_path / "2.mmreg", parts.manifest(2), parts.files(2)).manifest
    assert levels(planar, one, one) == ["ok"] * 5  # the thickness of a slice does not count
    assert levels(planar, scan(), scan())[0] == "refuse"


@pytest.mark.parametrize(
    ("spacing_mm", "level"),
    [(0.5, "ok"), (3.0, "ok"), (3.5, "warn"), (6.0, "warn"), (6.5, "refuse"), (0.3, "warn"), (0.2, "refuse")],
)
def test_spacing_off_the_range_warns_and_far_off_refuses(manifest, spacing_mm, level):
    shape = (round(200 / spacing_mm), 100, 100)
    odd = scan(shape, (spacing_mm, 1.5, 1.5))
    assert levels(manifest, odd, scan())[1] == level
    assert levels(manifest, scan(), odd)[3] == level


@pytest.mark.parametrize(
    ("size_mm", "level"), [(300, "ok"), (400, "warn"), (700, "refuse"), (60, "warn"), (40, "refuse")]
)
def test_so_does_the_field_of_view(manifest, size_mm, level):
    odd = scan((size_mm // 2, 100, 100), (2, 1.5, 1.5))
    found = check_intended_use(manifest, odd, scan())[2]
    assert found.level == level
    assert f"{size_mm}" in found.message


@pytest.mark.parametrize(
    ("modalities", "level"),
    [(("mr-t2", "ct"), "ok"), (("CT", "MR-T1"), "warn"), (("CT", "CT"), "refuse"), (("US", "CT"), "refuse")],
)
def test_modalities_are_judged_where_they_are_named(manifest, modalities, level):
    assert levels(manifest, scan(), scan(), modalities)[-1] == level
