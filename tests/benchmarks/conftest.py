"""Tests of the benchmark programs: their folder is on the path (pyproject.toml)."""

import numpy as np
import pytest


@pytest.fixture
def rng():
    return np.random.default_rng(20)
