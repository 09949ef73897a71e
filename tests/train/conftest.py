"""Tests of training need PyTorch; without it each of its files is skipped, and says so."""

import pytest


@pytest.fixture(autouse=True)
def one_thread():
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # two on a busy machine wait for each other
    torch.manual_seed(20)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """No test sees what another, or a user, has cached."""
    monkeypatch.setenv("MMREG_CACHE", str(tmp_path_factory.mktemp("cache")))
