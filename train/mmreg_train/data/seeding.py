"""Random numbers by address: draws depend on seed, step and sample index only.

Therefore the number of processes and workers, and interruptions of a run, do not change any sample.
"""

from __future__ import annotations

import numpy as np
import torch

TRAIN, VALIDATION, STEP = 0, 1, 2  # separate streams of one seed
WEIGHTS = 2**31  # in the stream of steps, an index that no process uses


def generator(seed: int, stream: int, step: int, index: int) -> np.random.Generator:
    """Return NumPy's generator at an address."""
    return np.random.default_rng(_sequence(seed, stream, step, index))


def torch_seed(seed: int, stream: int, step: int, index: int) -> int:
    """Return a 63-bit seed for torch at an address."""
    low, high = _sequence(seed, stream, step, index).generate_state(2)
    return int(low) | (int(high) & 0x7FFFFFFF) << 32


def torch_generator(
    seed: int, stream: int, step: int, index: int, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Return torch's generator at an address."""
    return torch.Generator(device).manual_seed(torch_seed(seed, stream, step, index))


def _sequence(seed: int, stream: int, step: int, index: int) -> np.random.SeedSequence:
    return np.random.SeedSequence((seed, stream, step, index))
