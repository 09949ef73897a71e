"""Kernel tests run on every CPU target of this machine and with one and more threads."""

import numpy as np
import pytest

from mmreg_rt import _native

ALL_TARGETS = ("baseline", "avx2", "avx512")


@pytest.fixture(params=ALL_TARGETS)
def target(request):
    if request.param not in _native.targets():
        pytest.skip(f"this CPU does not run {request.param}")
    return request.param


@pytest.fixture
def rng():
    return np.random.default_rng(20)
