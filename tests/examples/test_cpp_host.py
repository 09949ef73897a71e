"""The host in C++ with two threads: each frame has one fate, at any rate, and answers are right."""

import re
import subprocess

import pytest

HALF_A_PIXEL_MM = 0.75
GUARD_S = 300  # of a run of seconds: a hang, not a busy machine
COUNTS = re.compile(r"(\d+) frames, .*: (\d+) registered, (\d+) cancelled, (\d+) dropped")
ERRORS = re.compile(r"tracked lesion: median ([\d.]+) mm, largest ([\d.]+) mm")
ANY_AGE_MS = 1_000_000


@pytest.fixture
def run(example):
    program = str(example("cpp_host"))

    def finished(*words, code=0):
        done = subprocess.run(
            [program, *map(str, words)], capture_output=True, text=True, timeout=GUARD_S, check=False
        )
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr

    return finished


@pytest.mark.parametrize(
    ("frames", "period_ms", "largest_age_ms"),
    ((30, 30, ANY_AGE_MS), (60, 10, 15), (60, 10, 0), (20_000, 0, 0), (20_000, 0, ANY_AGE_MS), (1, 0, 0)),
    ids=("leisurely", "fast", "all are old", "flood", "flood of any age", "one frame"),
)
def test_each_frame_is_registered_cancelled_or_dropped(run, frames, period_ms, largest_age_ms):
    total, registered, cancelled, dropped = map(
        int, COUNTS.search(run(64, frames, period_ms, largest_age_ms)).groups()
    )
    assert total == frames
    assert registered + cancelled + dropped == frames
    assert registered >= max(1, cancelled)  # no two in a row are cancelled, and the last is not
    if largest_age_ms == ANY_AGE_MS:
        assert cancelled == 0


def test_answers_follow_the_motion(run):
    """However many frames are lost to a busy machine, since each answer is right by itself."""
    _, largest_mm = map(float, ERRORS.search(run(64, 40, 20, ANY_AGE_MS)).groups())
    assert largest_mm < HALF_A_PIXEL_MM


@pytest.mark.parametrize(
    ("words", "complaint"),
    (
        ((), "four arguments are needed"),
        ((31, 10, 10, 10), "SIDE must be a number from 32 to 1024; found 31"),
        ((64, "ten", 10, 10), "FRAMES must be a number"),
        ((64, 10, "10ms", 10), "PERIOD_MS must be a number"),
        ((64, 10, 10, "nan"), "LARGEST_AGE_MS must be a number"),
        ((64, 10, 10, "1e999"), "LARGEST_AGE_MS must be a number"),
    ),
)
def test_wrong_arguments_are_named(run, words, complaint):
    complaints = run(*words, code=2)
    assert complaint in complaints
    assert "usage: cpp_host" in complaints
