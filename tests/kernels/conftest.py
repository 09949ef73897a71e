"""Kernel tests run on every CPU target of this machine with one and more threads, on a CUDA device, and on
the CUDA operations as they are compiled for the host.
"""

import numpy as np
import pytest

from mmreg_rt import _native

ALL_TARGETS = ("baseline", "avx2", "avx512")


DEVICES = ("cuda_on_host", "cuda")


@pytest.fixture(params=ALL_TARGETS + DEVICES)
def target(request):
    if request.param in DEVICES:
        if reason := _native.why_no_device(request.param):
            pytest.skip(reason)
    elif request.param not in _native.targets():
        pytest.skip(f"this CPU does not run {request.param}")
    return request.param


@pytest.fixture
def rng():
    return np.random.default_rng(20)
