"""The numbered list of bad inputs: each test says which number it is about and what the number ends in."""

from __future__ import annotations

import contextlib
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from mmreg_rt.errors import MmregError

PEAK_BYTES = 8 << 20  # no refusal needs more: a chunk of 1 MiB in, a few out


@dataclass
class Case:
    """What one number ends in: error codes, or how it is handled, or why it cannot be seen."""

    number: int
    titles: tuple[str, ...]
    codes: tuple[str, ...]
    handled: tuple[str, ...]


CASES: dict[int, Case] = {}


def case(number: int, title: str, *codes: str, handled: str = "") -> Callable[[Callable], Callable]:
    """Declare the test of one number; its name starts with ``test_NN_``."""

    def declare(test: Callable) -> Callable:
        assert test.__name__.startswith(f"test_{number:02}_"), test.__name__
        assert codes or handled, "a number ends in an error or is handled"
        known = CASES.setdefault(number, Case(number, (), (), ()))
        known.titles = tuple(dict.fromkeys((*known.titles, title)))
        known.codes = tuple(dict.fromkeys(known.codes + codes))
        known.handled = tuple(dict.fromkeys(known.handled + (handled,) * bool(handled)))
        test.codes = codes
        return test

    return declare


@contextlib.contextmanager
def refused(code: str, *mentions: object) -> Iterator[None]:
    """The block ends in this code, in a message that names these, says what to do and cost little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(MmregError) as caught:
            yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.code == code, str(caught.value)
    message = caught.value.args[0]
    for mention in mentions:
        assert str(mention) in message, message
    assert message.endswith("."), message
    assert message.count(". ") or message.count("; "), f"what is found, and what to do: {message}"
    assert peak < PEAK_BYTES, f"{peak} bytes for {message}"
