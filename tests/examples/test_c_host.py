"""The host in C: its answers are those of Python, and each way to end is clear."""

import contextlib
import signal
import subprocess
import threading

import numpy as np
import pytest
from fixtures.c_library import tool
from fixtures.cine import PIXEL_MM, Cine

from mmreg_rt import Registrar

CINE = Cine(side=64, amplitude_px=3.0)
PHASES = np.arange(6) / 12
SHAPE = ("--shape", 1, 64, 64)
GRID = (*SHAPE, "--spacing", 1, PIXEL_MM, PIXEL_MM)
GUARD_S = 300  # of a run that takes a second: a hang, not a busy machine


@pytest.fixture(scope="module")
def frames():
    return [CINE.frame(phase)[0] for phase in PHASES]


@pytest.fixture
def start(example):
    program = example("c_host")
    started = []

    def run(*words):
        pipe = subprocess.PIPE
        started.append(subprocess.Popen([program, *map(str, words)], stdin=pipe, stdout=pipe, stderr=pipe))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            pipe.close()


@pytest.fixture
def run(start):
    def finished(*words, stream=b"", code=0):
        process = start(*words)
        printed, complaints = (text.decode() for text in process.communicate(stream, timeout=GUARD_S))
        assert process.returncode == code, complaints
        return printed if code == 0 else complaints

    return finished


def stream_of(frames, dtype=np.float32):
    return b"".join(np.asarray(frame).astype(dtype).tobytes() for frame in frames)


def test_matrices_are_those_of_a_session_in_python(run, frames, tmp_path):
    printed = run(*GRID, "--threads", 1, "--matrices", tmp_path / "m.txt", stream=stream_of(frames))
    written = np.loadtxt(tmp_path / "m.txt")
    session = Registrar(threads=1).session(CINE.frame(0.0))
    tracked = [session.register(CINE.frame(phase)).affine.matrix[:3].ravel() for phase in PHASES[1:]]
    np.testing.assert_array_equal(written[:, 0], np.arange(1, 6))
    np.testing.assert_array_equal(written[:, 1:], tracked)
    assert "5 answers, 0 failed; p50" in printed


def test_integers_are_registered_as_their_values(run, frames, tmp_path):
    whole = [np.round(1000 * frame).clip(0) for frame in frames[:3]]
    for dtype in (np.float32, np.uint16, np.int16):
        out = ("--matrices", tmp_path / np.dtype(dtype).name, "--dtype", np.dtype(dtype).name)
        run(*GRID, *out, stream=stream_of(whole, dtype))
    first, *others = (np.loadtxt(path) for path in tmp_path.iterdir())
    assert len(others) == 2
    for other in others:
        np.testing.assert_array_equal(other, first)


def test_a_frame_that_cannot_be_registered_does_not_end_the_stream(run, frames):
    constant = np.zeros_like(frames[0])
    assert "2 answers, 1 failed" in run(*GRID, stream=stream_of([*frames[:2], constant, frames[2]]))


def test_a_truncated_stream_is_reported_after_its_whole_frames(start, frames):
    process = start(*GRID)
    printed, complaints = process.communicate(stream_of(frames[:3])[:-100], timeout=GUARD_S)
    assert process.returncode == 1
    assert b"1 answers" in printed
    assert b"the stream ends within a frame" in complaints


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM))
@pytest.mark.parametrize("count", (2, 400), ids=("waiting", "registering"))
def test_a_signal_ends_the_stream(start, frames, number, count):
    process = start(*GRID)
    feeder = threading.Thread(target=feed, args=(process.stdin, stream_of(frames[:1]), count))
    feeder.start()
    assert b"warm-up" in process.stdout.readline()  # handlers are installed
    process.send_signal(number)
    printed = process.stdout.read()
    feeder.join()
    assert process.wait(timeout=GUARD_S) == 0
    assert b"stopped by a signal" in printed


def feed(pipe, frame, count):
    """Write frames and leave the pipe open, as a device does that waits."""
    with contextlib.suppress(BrokenPipeError):
        for _ in range(count):
            pipe.write(frame)
        pipe.flush()


@pytest.mark.parametrize(
    ("words", "complaint"),
    (
        ((), "--shape is needed"),
        (SHAPE, "--spacing is needed"),
        ((*GRID, "--shape", 1, 64), "--shape lacks a value"),
        ((*GRID, "--shape", 1, 64, 0), "--shape has a value out of range"),
        ((*GRID, "--shape", 1, 64, 1.5), "--shape needs whole numbers"),
        ((*GRID, "--shape", 1, 64, "x"), "--shape has a value out of range"),
        ((*GRID, "--spacing", 1, 1, "nan"), "--spacing has a value out of range"),
        ((*GRID, "--spacing", 1, -1, 1), "--spacing has a value out of range"),
        ((*GRID, "--dtype", "complex"), "--dtype is unknown"),
        ((*GRID, "--deadline-ms", -1), "--deadline-ms has a value out of range"),
        ((*GRID, "--frobnicate", 1), "--frobnicate is unknown"),
    ),
)
def test_wrong_arguments_are_named(run, words, complaint):
    complaints = run(*words, code=2)
    assert complaint in complaints
    assert "usage: c_host" in complaints


@pytest.mark.parametrize(
    ("stream", "complaint"),
    (
        (b"", "no whole frame"),
        (b"short", "no whole frame"),
        (bytes(4 * 64 * 64), "MMREG_E_INTENSITY_CONSTANT"),
    ),
)
def test_a_fixed_frame_is_needed(run, stream, complaint):
    assert complaint in run(*GRID, stream=stream, code=1)


@pytest.mark.long
def test_valgrind_finds_no_error_and_no_leak(example):
    """Valgrind shows programs a CPU without AVX-512, so what runs is AVX2 at most."""
    small = Cine(side=48, amplitude_px=2.0)
    frames = [small.frame(phase)[0] for phase in PHASES[:3]]
    stream = stream_of([*frames[:2], np.zeros_like(frames[0]), frames[2]])  # one that fails
    program = example("c_host")
    memcheck = (
        tool("valgrind"),
        "--error-exitcode=9",
        "--leak-check=full",
        "--errors-for-leak-kinds=definite",
    )
    grid = ("--shape", 1, 48, 48, "--spacing", 1, PIXEL_MM, PIXEL_MM, "--threads", 1)
    done = subprocess.run([*memcheck, program, *map(str, grid)], input=stream, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert b"2 answers, 1 failed" in done.stdout
    assert b"ERROR SUMMARY: 0 errors" in done.stderr
