"""How long a network will take is said by how long it took."""

import pytest

from mmreg_rt.network.timing import KEPT_RUNS, NetworkTime, late

SMALL, LARGE = (8, 16, 16), (16, 32, 32)  # 8 times the voxels
WORK = 1000


def test_nothing_is_expected_of_a_network_that_never_ran():
    assert NetworkTime().expected_s(SMALL, WORK, prepared=False) == 0


def test_on_a_grid_that_it_knows_the_longest_of_the_last_runs_counts():
    time = NetworkTime()
    for seconds in (9.0, 1.0, 3.0, 2.0):
        time.note(SMALL, WORK, seconds)
    assert KEPT_RUNS == 3
    assert time.expected_s(SMALL, WORK, prepared=True) == 3.0


@pytest.mark.parametrize(("work", "grown"), [(8 * WORK, 8), (64 * WORK, 64), (2 * WORK, 8)])
def test_elsewhere_it_grows_with_voxels_or_work_whichever_is_more(work, grown):
    time = NetworkTime()
    time.note(SMALL, WORK, 0.5)
    assert time.expected_s(LARGE, work, prepared=True) == pytest.approx(0.5 * grown)


def test_elsewhere_the_largest_grid_is_asked_as_small_ones_take_relatively_long():
    time = NetworkTime()
    time.note(SMALL, WORK, 1.0)
    time.note(LARGE, 8 * WORK, 4.0)
    assert time.expected_s((16, 32, 64), 16 * WORK, prepared=True) == pytest.approx(8.0)
    assert time.expected_s(SMALL, WORK, prepared=True) == 1.0


def test_compiling_for_a_grid_is_expected_where_it_was_not_done_yet():
    time = NetworkTime()
    time.note(SMALL, WORK, 1.0, prepare_s=5.0)
    time.note(SMALL, WORK, 1.0)
    assert time.expected_s(SMALL, WORK, prepared=True) == 1.0
    assert time.expected_s(SMALL, WORK, prepared=False) == 6.0
    assert time.expected_s(LARGE, 8 * WORK, prepared=False) == 13.0


@pytest.mark.parametrize(
    ("end", "words"),
    [("not begun", "takes about 12 s on this grid, and the deadline left 0.5 s"), ("stopped", "stopped")],
)
def test_what_the_deadline_did_is_said(end, words):
    assert words in late(end, 12.0, 0.5)


@pytest.mark.parametrize("end", ["none", "complete"])
def test_nothing_is_said_where_it_did_nothing(end):
    assert late(end, 12.0, 0.5) is None
