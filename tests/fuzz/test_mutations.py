"""Mutated files end in a refusal of the package or are read, within the stated memory: a part of the fuzzing
that needs no fuzzer."""

import tracemalloc
import warnings

import numpy as np
import pytest
from fuzz.targets import READERS, feed, seeds

MUTATIONS = 120


def mutated(seed, rng):
    """Some bytes replaced, and now and then a piece left out or doubled."""
    data = bytearray(seed)
    for place in rng.integers(1, len(data), rng.integers(1, 5)):
        data[place] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.integers(256)])
    if rng.uniform() < 0.3:
        start, length = rng.integers(1, len(data)), rng.integers(1, 40)
        data[start : start + length] = data[start : start + length] * int(rng.integers(0, 3))
    return bytes(data)


@pytest.fixture(autouse=True)
def _stop_counting_memory():
    yield
    tracemalloc.stop()  # other tests are slower by it


@pytest.mark.parametrize("number", range(len(seeds())))
def test_a_valid_file_is_read_and_its_mutations_do_no_harm(number, tmp_path):
    seed, rng = seeds()[number], np.random.default_rng(number)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert feed(seed, tmp_path) in ("read", "MMREG_E_NIFTI_FRAMES", "MMREG_E_IMAGE_FRAMES")  # or a series
        count = MUTATIONS // 6 if b"\x89HDF" in seed[:9] else MUTATIONS  # each in a process of its own
        codes = [feed(mutated(seed, rng), tmp_path) for _ in range(count)]
    assert any(code != "read" for code in codes)


def test_every_reader_has_a_valid_file_to_start_from():
    assert {seed[0] % len(READERS) for seed in seeds()} == {*range(len(READERS))}
