"""Which backend runs, and the reasons of those that do not; the libraries need not be there."""

import importlib.util
import os
from types import SimpleNamespace

import numpy as np
import pytest
from fixtures import networks

from mmreg_rt import backends
from mmreg_rt.backends import onnxruntime
from mmreg_rt.backends.openvino import backend
from mmreg_rt.errors import BackendUnavailableError, InputError


@pytest.fixture
def without(monkeypatch):
    """Makes packages look as if they were not installed."""

    def without(*packages):
        real = importlib.util.find_spec
        for module in (onnxruntime, backend):
            monkeypatch.setattr(module, "find_spec", lambda name: None if name in packages else real(name))

    return without


def test_the_error_lists_every_reason_and_the_extra_to_install(without):
    without("onnxruntime", "openvino")
    with pytest.raises(BackendUnavailableError) as caught:
        backends.choose("cpu")
    message = str(caught.value)
    assert "openvino: not installed; pip install 'mmreg-rt[openvino]'" in message
    assert "onnxruntime: not installed; pip install 'mmreg-rt[cpu]'" in message
    assert caught.value.code == "MMREG_E_BACKEND"


@pytest.mark.parametrize(
    ("device", "extra"), [("cpu", "mmreg-rt[cpu]"), ("cuda", "mmreg-rt[gpu]"), ("cuda:1", "mmreg-rt[gpu]")]
)
def test_the_extra_is_that_of_the_device(without, device, extra):
    without("onnxruntime")
    assert extra in backends.by_name("onnxruntime").unavailable_reason(device)


def test_openvino_comes_before_onnxruntime_and_the_reasons_of_those_passed_over_are_kept(monkeypatch):
    monkeypatch.setattr(backend.OpenVino, "unavailable_reason", lambda *_: None)
    monkeypatch.setattr(onnxruntime.OnnxRuntime, "unavailable_reason", lambda *_: None)
    chosen, reasons = backends.choose("cpu")
    assert (chosen.name, reasons) == ("openvino", {})
    monkeypatch.setattr(backend.OpenVino, "unavailable_reason", lambda *_: "is ill")
    chosen, reasons = backends.choose("cpu")
    assert (chosen.name, reasons) == ("onnxruntime", {"openvino": "is ill"})


def test_a_backend_that_is_named_is_not_swapped_for_another(without):
    without("openvino")
    with pytest.raises(BackendUnavailableError, match="openvino") as caught:
        backends.choose("cpu", "openvino")
    assert "onnxruntime" not in str(caught.value)
    with pytest.raises(BackendUnavailableError, match="MMREG_E_BACKEND_NAME.*") as caught:
        backends.choose("cpu", "tensorflow")
    assert "openvino, tensorrt, tensorrt-rtx, onnxruntime" in str(caught.value)


@pytest.mark.parametrize("device", ["gpu", "cpu:1", "cuda:x", "cuda:-1", "", "CUDA"])
def test_devices_that_nobody_knows_are_refused_by_all(device):
    with pytest.raises(BackendUnavailableError, match="MMREG_E_BACKEND"):
        backends.choose(device)


def test_bf16_is_openvinos_alone():
    assert "openvino does" in backends.by_name("onnxruntime").unavailable_reason("cpu", "bf16")
    with pytest.raises(BackendUnavailableError, match="openvino"):
        backends.by_name("onnxruntime").load(b"", precision="bf16", threads=1, device="cpu")


def test_bf16_on_a_cpu_without_it_is_refused_with_the_reason(monkeypatch):
    pytest.importorskip("openvino", reason="openvino is not installed")
    monkeypatch.setattr(backend, "_capabilities", lambda: ["FP32", "INT8"])
    with pytest.raises(BackendUnavailableError, match="AVX512-BF16 or AMX"):
        backends.choose("cpu", "openvino", "bf16")


def test_precisions_that_nobody_knows_are_refused_by_all():
    with pytest.raises(BackendUnavailableError, match="'fp8'"):
        backends.choose("cpu", precision="fp8")


def test_a_library_that_is_broken_is_a_reason(monkeypatch):
    pytest.importorskip("openvino", reason="openvino is not installed")

    def broken():
        raise OSError("libtbb.so.12: cannot open\nshared object file")

    monkeypatch.setattr(backend, "_capabilities", broken)
    assert "libtbb.so.12: cannot open shared object file" in backends.by_name("openvino").unavailable_reason(
        "cpu"
    )


def test_a_session_that_fell_back_is_an_error():
    onnxruntime._check_provider("CUDAExecutionProvider", ["CUDAExecutionProvider", "CPUExecutionProvider"])
    with pytest.raises(
        BackendUnavailableError, match="fell back from CUDA.* to CPUExecutionProvider.*_FALLBACK"
    ):
        onnxruntime._check_provider("CUDAExecutionProvider", ["CPUExecutionProvider"])


def test_openvino_that_compiles_another_precision_is_an_error(monkeypatch):
    pytest.importorskip("openvino", reason="openvino is not installed")
    pytest.importorskip("onnx", reason="onnx is not installed")
    monkeypatch.setattr(backend, "_arithmetic", lambda _: {"bf16": 3})
    with pytest.raises(BackendUnavailableError, match="bf16 x 3.*fp32.*MMREG_E_BACKEND_FALLBACK"):
        backends.by_name("openvino").load(networks.network(3), precision="fp32", threads=1, device="cpu")


def test_cuda_says_why_not(monkeypatch):
    assert "without the CUDA provider" in onnxruntime._why_no_cuda(["CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime.ctypes, "CDLL", lambda _: (_ for _ in ()).throw(OSError()))
    assert "no NVIDIA driver" in onnxruntime._why_no_cuda(["CUDAExecutionProvider"])


def test_compiled_networks_are_kept_only_where_nobody_else_can_write(tmp_path):
    pytest.importorskip("openvino", reason="openvino is not installed")
    pytest.importorskip("onnx", reason="onnx is not installed")
    private = tmp_path / "cache"
    inputs = networks.images((8, 8, 8))
    for _ in range(2):  # made, then found
        session = backend.OpenVino(private).load(
            networks.network(3), precision="fp32", threads=1, device="cpu"
        )
        np.testing.assert_allclose(session.infer(inputs), networks.answer(inputs, 3), atol=5e-6)
    assert list(private.iterdir())
    os.chmod(private, 0o777)
    with pytest.raises(InputError, match="MMREG_E_CACHE_NOT_PRIVATE"):
        backend.OpenVino(private).load(networks.network(3), precision="fp32", threads=1, device="cpu")


def test_what_would_run_on_the_cpu_instead_of_the_device_is_an_error():
    library = pytest.importorskip("onnxruntime")
    from mmreg_rt.backends.onnxruntime import CPU, CUDA, check_placement

    options = library.SessionOptions()
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session = library.InferenceSession(networks.network(3), options, providers=[CPU])
    check_placement(session, CPU)
    with pytest.raises(BackendUnavailableError, match="would compute .*Conv.* on the CPU") as caught:
        check_placement(session, CUDA)
    assert caught.value.code == "MMREG_E_BACKEND_FALLBACK"


def test_arithmetic_of_extents_may_run_on_the_cpu():
    pytest.importorskip("onnxruntime")
    from mmreg_rt.backends.onnxruntime import CPU, CUDA, check_placement

    def part(provider, *kinds):
        nodes = [SimpleNamespace(op_type=kind) for kind in kinds]
        return SimpleNamespace(ep_name=provider, get_nodes=lambda: nodes)

    parts = [part(CUDA, "Conv", "Resize"), part(CPU, "Shape", "Squeeze", "Div", "Concat")]
    check_placement(SimpleNamespace(get_provider_graph_assignment_info=lambda: parts), CUDA)
    with pytest.raises(BackendUnavailableError, match=r"1\.24\.1"):
        check_placement(object(), CUDA)
