"""TensorRT for RTX builds real engines without a GPU; what needs one is skipped, and says so."""

import numpy as np
import pytest
from fixtures import networks

from mmreg_rt import _native, backends
from mmreg_rt.backends.tensorrt import backend as tensorrt
from mmreg_rt.backends.tensorrt import builder
from mmreg_rt.backends.tensorrt.backend import Engines, TensorRt
from mmreg_rt.backends.tensorrt.builder import Profile, build
from mmreg_rt.backends.tensorrt.engine_cache import EngineCache
from mmreg_rt.bundle import open_bundle
from mmreg_rt.errors import BackendUnavailableError, InputError
from mmreg_rt.network.trust import built_in, find_bundle

RTX = "tensorrt-rtx"


@pytest.fixture(scope="module", autouse=True)
def rtx():
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")
    pytest.importorskip("onnx", reason="onnx, with which the test networks are made, is not installed")


@pytest.mark.parametrize("kind", ["fp32", "fp16"])
def test_an_engine_is_built_in_the_precision_of_the_file(kind):
    made = build(RTX, networks.network(3, kind=kind), kind, Profile.fixed((16, 24, 32)))
    assert len(made.plan) > 1000 and made.seconds > 0
    assert made.multiplying == {"HALF" if kind == "fp16" else "FLOAT": 1}
    whole = " ".join(made.engine_layers)
    assert "[1,1,16,24,32]" in whole and "[1,3,16,24,32]" in whole  # its inputs and its output
    assert ("Datatype: Half" in whole) == (kind == "fp16")


def test_a_range_of_sizes_is_kept_in_one_engine():
    profile = Profile((16, 16, 16), (32, 32, 32), (64, 64, 64))
    assert str(profile) == "16x16x16 to 64x64x64" and str(Profile.fixed((8, 8))) == "8x8"
    assert build(RTX, networks.network(3), "fp32", profile).plan


def test_a_file_of_another_precision_is_refused():
    with pytest.raises(InputError, match="reads layers of FLOAT") as caught:
        build(RTX, networks.network(3, kind="fp32"), "fp16", Profile.fixed((8, 8, 8)))
    assert caught.value.code == "MMREG_E_MODEL_PRECISION"


def test_a_file_that_is_no_network_is_refused_with_the_parsers_words():
    with pytest.raises(InputError, match="cannot read the network") as caught:
        build(RTX, b"not a network", "fp32", Profile.fixed((8, 8, 8)))
    assert caught.value.code == "MMREG_E_MODEL_LOAD"


def test_a_profile_of_other_dimensions_is_refused():
    with pytest.raises(InputError, match="images of 3 dimensions"):
        build(RTX, networks.network(3), "fp32", Profile.fixed((8, 8)))


@pytest.mark.parametrize("opset", [16, 20])
@pytest.mark.parametrize("mode", ["linear", "nearest"])
def test_warps_sample_as_the_file_says(mode, opset):
    model = networks.sampling_network(mode, "zeros", 0, (8, 8, 8), opset=opset)
    assert builder.grid_sample_modes(model) == [mode.upper()]
    assert build(RTX, model, "fp32", Profile.fixed((8, 8, 8))).layers > 1


def test_warps_that_are_read_as_something_else_are_found(monkeypatch):
    monkeypatch.setattr(builder, "grid_sample_modes", lambda _: ["NEAREST"])
    with pytest.raises(InputError, match="are 1 x nearest, but TensorRT reads them as 1 x linear"):
        build(
            RTX, networks.sampling_network("linear", "zeros", 0, (8, 8, 8)), "fp32", Profile.fixed((8, 8, 8))
        )


def test_a_build_tells_how_far_it_is():
    told = []
    build(RTX, networks.network(3), "fp32", Profile.fixed((8, 8, 8)), lambda *said: told.append(said))
    shares = [share for _, share in told]
    assert len(told) > 5 and shares == sorted(shares) and 0 <= shares[0] < 0.2 and 0.8 < shares[-1] <= 1


@pytest.mark.parametrize("name", built_in())
def test_an_engine_of_every_built_in_network_is_built_in_every_precision(name):
    bundle = open_bundle(find_bundle(name), verify=False)
    multiple = bundle.manifest.preprocess.multiple
    for precision in bundle.manifest.precisions:
        made = build(RTX, bundle.model(precision).onnx, precision, Profile.fixed((2 * multiple,) * 3))
        assert sum(made.multiplying.values()) >= 10
        assert made.engine_layers


def test_what_the_backend_needs_is_named():
    assert "on cuda and cuda:N only" in TensorRt(RTX).unavailable_reason("cpu")
    assert "not 'bf16'" in TensorRt(RTX).unavailable_reason("cuda", "bf16")
    assert backends.by_name(RTX).name == RTX
    if reason := _native.why_no_device("cuda"):
        assert TensorRt(RTX).unavailable_reason("cuda") == reason
        with pytest.raises(BackendUnavailableError, match="tensorrt-rtx cannot run fp32 on cuda"):
            TensorRt(RTX).load(networks.network(3), precision="fp32", threads=1, device="cuda")


@pytest.fixture
def engines(tmp_path, monkeypatch):
    """Of a device that is only described: engines can be built for it here, not run."""
    facts = {"name": "RTX", "capability": 89, "driver": 13000}
    monkeypatch.setattr(_native, "device_facts", lambda _: facts)

    def made(**changes):
        facts.update(changes)
        return Engines(RTX, networks.network(3), "fp32", "cuda", EngineCache(tmp_path / "engines"))

    return made


def test_an_engine_is_built_once_and_then_out_of_the_cache(engines):
    profile = Profile.fixed((8, 8, 8))
    plan, origin = engines().engine(profile)
    assert "built here" in origin
    again, origin = engines().engine(profile)
    assert again == plan and "read from" in origin
    _, origin = engines(driver=13020).engine(profile)
    assert "built again" in origin and "driver was '13000' and is '13020'" in origin


def test_an_engine_that_was_changed_is_not_built_again_silently(engines):
    profile = Profile.fixed((8, 8, 8))
    made = engines()
    made.engine(profile)
    path = made.cache.folder / made.facts(profile).name
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(BackendUnavailableError, match="MMREG_E_ENGINE_TAMPERED"):
        engines().engine(profile)
    path.unlink()
    assert "built here" in engines().engine(profile)[1]


@pytest.mark.filterwarnings("ignore:.*iming cache:DeprecationWarning")
def test_what_a_build_found_out_is_given_to_the_next(engines, monkeypatch):
    given = []

    def spied(*arguments):
        given.append(arguments[5])
        return build(*arguments)

    monkeypatch.setattr(builder, "KEEP_TIMINGS", (RTX,))
    monkeypatch.setattr(tensorrt, "build", spied)
    for extent in (8, 16):
        engines().engine(Profile.fixed((extent,) * 3))
    engines(driver=13020).engine(Profile.fixed((8, 8, 8)))
    assert (given[0], bool(given[1]), given[2]) == (b"", True, b"")  # of another driver they say nothing


def test_engines_run_and_agree_with_the_twin():
    backend = TensorRt(RTX)
    if reason := backend.unavailable_reason("cuda"):
        pytest.skip(f"{RTX}: {reason}")
    inputs = networks.images((16, 24, 32))
    session = backend.load(networks.network(3), precision="fp32", threads=1, device="cuda")
    try:
        found = session.infer(inputs)
    finally:
        session.close()
    np.testing.assert_allclose(found, networks.answer(inputs, 3), atol=5e-6)
