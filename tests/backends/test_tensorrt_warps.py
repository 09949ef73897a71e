"""What warps become in which version of TensorRT."""

from types import SimpleNamespace

import numpy as np
import pytest
from fixtures import networks
from reference import warp as twin

from mmreg_rt import _native
from mmreg_rt.backends.tensorrt import aot_plugin, warp_support
from mmreg_rt.backends.tensorrt.backend import TensorRt
from mmreg_rt.backends.tensorrt.builder import library
from mmreg_rt.errors import BackendUnavailableError, InputError

PTX = "// Cuda compilation tools, release 13.0, V13.0.88\n.version 9.0\n"


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A GPU and its driver that are only described, and a package with PTX or without."""

    def machine(ptx=PTX, driver=13000, reason=""):
        path = tmp_path / "warp_ahead.ptx"
        if ptx is not None:
            path.write_text(ptx)
        monkeypatch.setattr(aot_plugin, "PTX", path)
        monkeypatch.setattr(_native, "why_no_device", lambda _: reason)
        monkeypatch.setattr(_native, "device_facts", lambda _: {"driver": driver})

    return machine


@pytest.mark.parametrize(
    ("name", "version", "taken"),
    [
        ("tensorrt", "10.0.1", "python"),
        ("tensorrt", "10.8.0.43", "python"),
        ("tensorrt", "10.9.0.34", "ahead"),
        ("tensorrt", "10.13.3.9", "ahead"),
        ("tensorrt", "11.1.0.106", "ahead"),
        ("tensorrt", "11.2.1", "native"),
        ("tensorrt", "11.4.0.106", "native"),
        ("tensorrt", "12.0.0", "native"),
        ("tensorrt-rtx", "1.7.1.116", "native"),
    ],
)
def test_the_first_that_can_be_used_is_taken(machine, name, version, taken):
    machine()
    assert warp_support.way(name, version) == taken


@pytest.mark.parametrize("lack", [{"ptx": None}, {"driver": 12080}])
def test_without_a_kernel_that_the_driver_takes_it_is_launched_from_python(machine, lack):
    machine(**lack)
    assert warp_support.way("tensorrt", "10.13.3.9") == "python"
    words = "without nvcc" if "ptx" in lack else "needs a driver for CUDA 13.0, and this one is for 12.8"
    with pytest.raises(BackendUnavailableError, match=words):
        warp_support.way("tensorrt", "10.13.3.9", "ahead")


@pytest.mark.parametrize("asked", ["ahead", "python"])
def test_another_than_the_first_is_taken_if_asked_for(machine, asked):
    machine()
    assert warp_support.way("tensorrt", "11.4.0", asked) == asked
    with pytest.raises(BackendUnavailableError, match=f"{asked}: TensorRT for RTX takes no plugins"):
        warp_support.way("tensorrt-rtx", "1.7.1", asked)


def test_what_cannot_run_any_is_refused_with_every_reason(machine):
    machine(ptx=None, reason="there is no GPU")
    with pytest.raises(
        BackendUnavailableError, match=r"native: .*; ahead: .*; python: there is no GPU"
    ) as caught:
        warp_support.way("tensorrt", "10.13.3.9")
    assert caught.value.code == "MMREG_E_BACKEND"
    with pytest.raises(BackendUnavailableError, match="python: plugins in Python need TensorRT 10"):
        warp_support.way("tensorrt", "8.6.1")
    with pytest.raises(InputError, match="as 'triton'. Choose one of native, ahead, python"):
        warp_support.way("tensorrt", "11.4.0", "triton")


def test_a_network_without_warps_runs_where_no_way_does(machine):
    pytest.importorskip("onnx", reason="onnx, with which the test networks are made, is not installed")
    machine(ptx=None, reason="there is no GPU")
    trt = SimpleNamespace(__name__="tensorrt", __version__="8.6.1")
    model = networks.network(3)
    assert warp_support.prepared(trt, "tensorrt", model) == model
    with pytest.raises(BackendUnavailableError):
        warp_support.prepared(trt, "tensorrt", networks.warping_network((5, 6, 7)))


def test_nodes_are_for_the_plugin_that_is_made_known(machine, monkeypatch):
    pytest.importorskip("onnx", reason="onnx, with which the test networks are made, is not installed")
    machine()
    known = []
    monkeypatch.setattr(aot_plugin, "register", known.append)
    trt = SimpleNamespace(__name__="tensorrt", __version__="10.13.3")
    model = warp_support.prepared(trt, "tensorrt", networks.warping_network((5, 6, 7)))
    assert known == [trt]
    assert b"mmreg_ahead" in model and b"aot" in model and b"GridSample" not in model


def test_an_engine_that_holds_the_kernel_is_not_one_that_holds_another(machine):
    machine()
    first = warp_support.identity("ahead")
    machine(PTX + "// another")
    assert first != warp_support.identity("ahead")
    assert warp_support.identity("python") == "python"


@pytest.mark.parametrize("padding", ["zeros", "border"])
@pytest.mark.parametrize("way", warp_support.WAYS)
@pytest.mark.parametrize("name", ["tensorrt", "tensorrt-rtx"])
def test_every_way_runs_and_agrees_with_the_twin(name, way, padding, tmp_path):
    pytest.importorskip("onnx", reason="onnx, with which the test networks are made, is not installed")
    backend = TensorRt(name, tmp_path / "engines", warps=way)
    if (
        reason := backend.unavailable_reason("cuda")
        or warp_support._reasons(name, library(name).__version__)[way]
    ):
        pytest.skip(f"{name}, {way}: {reason}")
    rng = np.random.default_rng(5)
    moving, u = (rng.uniform(-2, 2, (1, 3, 12, 17, 40)).astype("f4") for _ in range(2))
    network = networks.warping_network(u.shape[2:], padding)
    session = backend.load(network, precision="fp32", threads=1, device="cuda")
    try:
        found = session.infer({"moving": moving, "fixed": u})
    finally:
        session.close()
    expected = twin.warp(moving[0], u[0], "linear", {"zeros": "zero", "border": "extend"}[padding])
    # places of up to 42 voxels in float32, scaled to -1..1 and back by GridSample; differences of up to 4
    np.testing.assert_allclose(found[0], expected, atol=1e-4)
