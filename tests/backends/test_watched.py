"""A run that its caller wants no more ends at once, leaves nothing running and nothing wrong behind."""

import threading
import time

import numpy as np
import pytest
from fixtures import networks

from mmreg_rt.backends import watched
from mmreg_rt.backends.watched import InThread, Stopped, watch
from mmreg_rt.errors import RegistrationError

EXTENTS = (32, 32, 32)


@pytest.fixture
def long(backend):
    session = backend.load(networks.long_network(3), precision="fp32", threads=1, device="cpu")
    yield session
    session.close()


class After:
    """Says to stop when it is asked for the n-th time."""

    def __init__(self, times):
        self.times, self.asked = times, 0

    def __call__(self):
        self.asked += 1
        return self.asked >= self.times


def test_a_run_that_is_watched_to_its_end_gives_the_same_bits(long):
    inputs = networks.images(EXTENTS)
    alone = long.infer(inputs).copy()
    np.testing.assert_array_equal(long.infer(inputs, lambda: False), alone)
    np.testing.assert_array_equal(long.infer(inputs), alone)


@pytest.mark.parametrize("times", [1, 2])
def test_after_a_run_that_was_stopped_the_next_is_right(long, times):
    inputs = networks.images(EXTENTS)
    other = {name: image[:, :, ::-1].copy() for name, image in inputs.items()}
    expected = long.infer(inputs).copy()
    for _ in range(3):
        with pytest.raises(Stopped):
            long.infer(other, After(times))
    np.testing.assert_array_equal(long.infer(inputs), expected)
    np.testing.assert_array_equal(long.infer(inputs, lambda: False), expected)


def test_the_first_run_of_a_shape_can_be_stopped(long):
    inputs = networks.images(EXTENTS)
    with pytest.raises(Stopped):
        long.infer(inputs, After(1))
    found = long.infer(inputs).copy()
    long.infer(networks.images((8, 8, 8)))
    np.testing.assert_array_equal(long.infer(inputs), found)


def test_a_stopped_run_computes_but_a_part(long):
    """By processor time, which does not depend on what else runs here."""
    inputs = networks.images(EXTENTS)
    long.infer(inputs)

    def costs(run):
        start = time.process_time()
        run()
        return time.process_time() - start

    def stopped():
        with pytest.raises(Stopped):
            long.infer(inputs, After(1))

    assert min(costs(stopped) for _ in range(3)) < costs(lambda: long.infer(inputs)) / 4


def test_what_asking_raises_is_kept_apart_from_what_the_library_raises(long):
    def broken():
        raise LookupError("no such stage")

    with pytest.raises(Stopped) as caught:
        long.infer(networks.images(EXTENTS), broken)
    assert isinstance(caught.value.by, LookupError)
    assert long.infer(networks.images((8, 8, 8)), lambda: False).size


def interrupted():
    """As Ctrl-C does in the thread that asks; a real signal would end the process that runs the tests."""
    raise KeyboardInterrupt


def test_an_interrupt_ends_the_run(long):
    inputs = networks.images(EXTENTS)
    expected = long.infer(inputs).copy()
    with pytest.raises(KeyboardInterrupt):
        long.infer(inputs, interrupted)
    np.testing.assert_array_equal(long.infer(inputs), expected)


def test_what_a_library_fails_at_while_it_is_watched_is_told_in_our_words(long, monkeypatch):
    inputs = networks.images((8, 8, 8))
    long.infer(inputs)

    def broken(_self):
        raise RuntimeError("out of\nluck")

    bound = type(long.buffers_for((1, 1, 8, 8, 8)))
    monkeypatch.setattr(bound, "end" if hasattr(bound, "end") else "run", broken)
    monkeypatch.setattr(InThread, "end", broken)
    with pytest.raises(RegistrationError, match="out of luck.*MMREG_E_MODEL_RUN"):
        long.infer(inputs, lambda: False)


def test_where_no_thread_can_be_had_it_runs_all_the_same(load, monkeypatch):
    session, inputs = load(3), networks.images((8, 8, 8))
    expected = session.infer(inputs).copy()

    def refused(_self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    np.testing.assert_array_equal(session.infer(inputs, lambda: False), expected)
    with pytest.raises(Stopped):
        session.infer(inputs, lambda: True)


def test_who_interrupts_twice_waits_until_the_buffers_are_free():
    class Stubborn:
        """Ends when it has been waited for three times."""

        def __init__(self):
            self.cancelled, self.waits = False, 0

        def wait(self, _seconds):
            return False

        def cancel(self):
            self.cancelled = True

        def end(self):
            self.waits += 1
            if self.waits < 3:
                raise KeyboardInterrupt
            raise RuntimeError("cancelled")

    running = Stubborn()
    with pytest.raises(Stopped):
        watch(running, lambda: True)
    assert running.cancelled and running.waits == 3


def test_work_is_asked_about_again_and_again(monkeypatch):
    monkeypatch.setattr(watched, "POLL_S", 1e-3)
    leave, stop = threading.Event(), After(5)
    with pytest.raises(Stopped):
        watch(InThread(leave.wait, leave.set), stop)
    assert stop.asked == 5
    assert leave.is_set()
