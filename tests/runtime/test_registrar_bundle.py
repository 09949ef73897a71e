"""A bundle in the registrar: proven, run, refined, refused. The network of the tests is a difference."""

import numpy as np
import pytest
from fixtures import scene
from fixtures.bundle_parts import WIDE, bundle, files, manifest

from mmreg_rt import Registrar
from mmreg_rt.bundle import write_bundle
from mmreg_rt.errors import BackendUnavailableError, BundleError, GeometryError, InputError
from mmreg_rt.preprocess import PreprocessSpec, network_grid

BACKENDS = ("openvino", "onnxruntime")


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request):
    pytest.importorskip(request.param)
    return request.param


@pytest.fixture(scope="module")
def scans():
    return scene.pair()


def test_the_field_of_the_network_is_the_transform(tmp_path, backend, scans):
    """The network gives fixed minus moving, in voxels, for each component."""
    found = Registrar(bundle(tmp_path), backend=backend, align="none", refine=False).register(*scans)
    assert found.finished == "network"
    assert tuple(found.seconds) == ("read", "check", "align", "network", "deform", "finish")
    assert found.settings["network"]["bundle"] == "tiny 1.0"
    assert found.settings["network"]["backend"] == backend
    assert found.quality.displacement_max_mm > 0.5  # a difference of intensities in [0, 1], of voxels of 2 mm
    assert found.quality.folded_voxels == found.quality.inverse_folded_voxels == 0


def test_backends_agree(tmp_path, scans):
    for name in BACKENDS:
        pytest.importorskip(name)
    path = bundle(tmp_path, kind="velocity")
    fields = [
        Registrar(path, backend=name, align="none", refine=False).register(*scans).transform.displacement_mm
        for name in BACKENDS
    ]
    np.testing.assert_allclose(*fields, atol=1e-4)  # float32 mm


def test_the_solver_goes_on_from_the_network(tmp_path, backend, scans):
    found = Registrar(bundle(tmp_path), backend=backend).register(*scans)
    assert found.finished == "deform"
    start, left = (
        scene.distance_mm(points, scene.moved(scene.INSIDE))
        for points in (scene.INSIDE, found.transform.map_points(scene.INSIDE))
    )
    assert left < start / 2


def test_the_bundle_says_whether_the_solver_goes_on_by_default(tmp_path, backend, scans):
    output = {"kind": "displacement", "factor": 1, "integration_steps": 0, "channels": 3, "refine": False}
    path = bundle(tmp_path, output=output)
    registrars = [Registrar(path, backend=backend, align="none", refine=asked) for asked in (None, True)]
    assert [each.register(*scans).finished for each in registrars] == ["network", "deform"]


def test_slices_run_through_a_network_for_slices(tmp_path, backend):
    pair = scene.pair(scene.FLAT, scene.FLAT, lambda p: scene.moved(p, plane=True))
    found = Registrar(bundle(tmp_path, 2), backend=backend, align="none", refine=False).register(*pair)
    assert found.finished == "network"
    np.testing.assert_array_equal(found.transform.displacement_mm[2], 0)  # axis 0 of a flat scan is z


def test_a_network_for_slices_refuses_a_volume(tmp_path, backend, scans):
    with pytest.raises(InputError) as caught:
        Registrar(bundle(tmp_path, 2), backend=backend).register(*scans)
    assert caught.value.code == "MMREG_E_INTENDED_USE"


def test_a_scan_far_from_the_intended_use_is_refused_and_a_near_one_warned_of(tmp_path, backend, scans):
    narrow = WIDE | {"spacing_mm": [0.1, 0.2]}
    with pytest.raises(InputError) as caught:
        Registrar(bundle(tmp_path, intended_use=narrow), backend=backend).register(*scans)
    assert caught.value.code == "MMREG_E_INTENDED_USE"
    near = WIDE | {"spacing_mm": [0.1, 1.6]}
    path = bundle(tmp_path, kind="velocity", intended_use=near)
    found = Registrar(path, backend=backend, align="none", refine=False).register(*scans)
    assert any("spacing" in warning for warning in found.warnings)


def test_a_grid_beyond_what_the_network_can_be_used_on_is_refused(tmp_path, backend, scans):
    voxels = np.prod(network_grid(scans[0].grid, PreprocessSpec(None, 4)).shape).item()
    small = Registrar(bundle(tmp_path, most_voxels=voxels - 1), backend=backend, align="none", refine=False)
    for asked in (lambda: small.register(*scans), lambda: small.plan(scans[0].grid, scans[1].grid)):
        with pytest.raises(GeometryError, match=str(voxels)) as caught:
            asked()
        assert caught.value.code == "MMREG_E_MODEL_GRID"
    fits = bundle(tmp_path, kind="velocity", most_voxels=voxels)
    assert Registrar(fits, backend=backend, align="none", refine=False).register(*scans).finished == "network"


def test_a_network_that_fails_its_own_test_is_not_used(tmp_path, backend):
    from fixtures.bundle_parts import golden_bytes, golden_pair

    fixed, moving, output = golden_pair()
    path = tmp_path / "wrong.mmreg"
    made = manifest(preprocess=PreprocessSpec(None, 4).as_dict(), intended_use=WIDE)
    write_bundle(path, made, files(**{"golden.npz": golden_bytes(fixed, moving, output + 1)}))
    with pytest.raises(BundleError) as caught:
        Registrar(path, backend=backend)
    assert caught.value.code == "MMREG_E_SELFTEST_LIMIT"


def test_a_precision_without_a_file_is_refused(tmp_path, backend):
    with pytest.raises(BundleError):
        Registrar(bundle(tmp_path), backend=backend, precision="int8")


def test_without_a_backend_the_extra_is_named(tmp_path, monkeypatch):
    from mmreg_rt import backends

    class Missing:
        def unavailable_reason(self, *_):
            return "is not installed (pip install 'mmreg-rt[cpu]')"

    monkeypatch.setattr(backends, "by_name", lambda _: Missing())
    with pytest.raises(BackendUnavailableError, match=r"mmreg-rt\[cpu\]"):
        Registrar(bundle(tmp_path))


def test_modalities_that_the_network_is_not_made_for_are_refused_where_they_are_given(tmp_path, scans):
    use = WIDE | {"modalities": [["MR-T1"], ["CT"]]}
    options = {"backend": "onnxruntime", "align": "none", "refine": False}
    path = bundle(tmp_path, intended_use=use)
    with pytest.raises(InputError, match="MMREG_E_INTENDED_USE"):
        Registrar(path, modalities=("MR-T2", "US"), **options).register(*scans)
    swapped = Registrar(path, modalities=("CT", "MR-T1"), **options).register(*scans)
    assert any("Exchange the two scans" in warning for warning in swapped.warnings)
    assert not Registrar(path, modalities=("MR-T1", "CT"), **options).register(*scans).warnings
    with pytest.raises(InputError, match="two names"):
        Registrar(path, modalities=("CT",))
