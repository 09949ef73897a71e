"""Tests of training need PyTorch; without it each of their files is skipped, and says so."""

import pytest

try:
    import torch
except ImportError:
    torch = None


@pytest.fixture(autouse=True)
def one_thread_and_one_seed():
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # two on a busy machine wait for each other
    torch.manual_seed(20)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """No test sees what another, or a user, has cached."""
    monkeypatch.setenv("MMREG_CACHE", str(tmp_path_factory.mktemp("cache")))
