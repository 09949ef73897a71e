"""Mutated parts of bundles end in a refusal of the package or are read, within the stated memory."""

import tracemalloc
import warnings

import numpy as np
import pytest
from fuzz.bundle_targets import READERS, feed, seeds
from fuzz.test_mutations import mutated

MUTATIONS = 150
KINDS = 9


@pytest.fixture(autouse=True)
def _stop_counting_memory():
    yield
    tracemalloc.stop()


@pytest.mark.parametrize("number", range(KINDS))
def test_a_valid_part_is_read_and_its_mutations_do_no_harm(number, tmp_path):
    every = seeds(tmp_path)
    assert len(every) == KINDS
    seed, rng = every[number], np.random.default_rng(number)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert feed(seed, tmp_path) == "read"
        codes = {feed(seed[:1] + mutated(seed, rng)[1:], tmp_path) for _ in range(MUTATIONS)}
    assert any(code != "read" for code in codes)
    assert seed[0] < len(READERS)
