"""A backend for each library that is installed; a missing one is a visible skip."""

import pytest
from fixtures import networks

from mmreg_rt import backends


@pytest.fixture(params=backends.ON_CPU)
def backend(request):
    pytest.importorskip("onnx", reason="onnx, with which the test networks are made, is not installed")
    found = backends.by_name(request.param)
    if reason := found.unavailable_reason("cpu"):
        pytest.skip(f"{request.param}: {reason}")
    return found


@pytest.fixture
def load(backend):
    """Loads a test network; closes it at the end."""
    sessions = []

    def load(dims=3, precision="fp32", threads=1, **network):
        kind = precision if precision in ("fp16", "int8") else "fp32"
        session = backend.load(
            networks.network(dims, kind=kind, **network), precision=precision, threads=threads, device="cpu"
        )
        sessions.append(session)
        return session

    yield load
    for session in sessions:
        session.close()
