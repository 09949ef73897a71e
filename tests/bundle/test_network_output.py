"""What a network may give."""

import numpy as np
import pytest

from mmreg_rt.bundle.network_output import what_is_wrong


def field(value):
    made = np.zeros((1, 3, 4, 4, 4), np.float32)
    made[0, 1, 2, 3, 0] = value
    return made


@pytest.mark.parametrize("kind", ["displacement", "velocity", "rigid", "descriptor"])
@pytest.mark.parametrize("value", [0, 5.5, -300])
def test_what_can_be_is_taken(kind, value):
    assert what_is_wrong(field(value), 192, kind) is None


@pytest.mark.parametrize("kind", ["displacement", "velocity", "rigid", "descriptor"])
@pytest.mark.parametrize(
    ("value", "mention"),
    [
        (1e30, "1e+30"),
        (-1e30, "1e+30"),
        (3e6, "3e+06"),
        (np.nan, "1 of 192"),
        (np.inf, "1 of 192"),
        (-np.inf, "1 of 192"),
    ],
)
def test_what_cannot_be_is_named(kind, value, mention):
    assert mention in what_is_wrong(field(value), 192, kind)


@pytest.mark.parametrize("wanted", [191, 193, 0, 384])
def test_another_number_of_numbers_is_named(wanted):
    assert f"must give {wanted} numbers here; it gave 192" in what_is_wrong(field(0), wanted, "displacement")
