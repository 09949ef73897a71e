"""The life of a session: what it says of itself, its buffers, what it refuses, its end."""

import subprocess
import sys
import threading

import numpy as np
import pytest
from fixtures import networks

from mmreg_rt.errors import BackendUnavailableError, InputError, RegistrationError


def test_a_session_says_what_really_runs(backend, load):
    from importlib.metadata import version

    ran = load(3).runtime_info
    assert ran["backend"] == backend.name
    assert ran["version"] == version(backend.name)
    assert (ran["device"], ran["precision"], ran["threads"]) == ("cpu", "fp32", "1")
    assert "CPU" in ran["provider"]
    with pytest.raises(TypeError):
        ran["device"] = "cuda"


def test_the_same_shape_again_gives_the_same_buffer(load):
    session, inputs = load(3), networks.images((8, 8, 8))
    first = session.infer(inputs)
    kept, where = first.copy(), first.ctypes.data
    again = session.infer(inputs)
    assert again.ctypes.data == where
    np.testing.assert_array_equal(again, kept)
    other = {name: np.zeros_like(image) for name, image in inputs.items()}
    assert not session.infer(other).any()
    assert not first.any()  # the buffer is the session's own


def test_a_prepared_shape_is_there_before_the_first_inference(load):
    session, inputs = load(3), networks.images((8, 8, 8))
    session.prepare({name: image.shape for name, image in inputs.items()})
    np.testing.assert_allclose(session.infer(inputs), networks.answer(inputs, 3), atol=5e-6)


def test_buffers_of_shapes_used_long_ago_are_let_go(load):
    from mmreg_rt.backends.session import KEPT_SHAPES

    session = load(3)
    for extent in range(4, 10):
        inputs = networks.images((extent,) * 3)
        np.testing.assert_allclose(session.infer(inputs), networks.answer(inputs, 3), atol=5e-6)
    assert len(session._bound) == KEPT_SHAPES


def test_the_time_of_each_part_is_told(load):
    session = load(3)
    session.infer(networks.images((8, 8, 8)))
    assert list(session.seconds) == ["set input", "infer", "read output"]
    assert all(value >= 0 for value in session.seconds.values())


def changed(**changes):
    inputs = {**networks.images((8, 8, 8)), **changes}
    return {name: image for name, image in inputs.items() if image is not None}


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (changed(moving=None), "takes the inputs fixed, moving; got fixed"),
        (changed(third=np.zeros((1, 1, 8, 8, 8), "f4")), "got fixed, moving, third"),
        ({}, "got none"),
        (changed(moving=np.zeros((1, 1, 8, 8, 8))), "'moving' must be a float32 array.*got float64"),
        (changed(moving=np.zeros((1, 1, 8, 8, 8), ">f4")), "got >f4"),
        (changed(moving=[0.0]), "got list"),
        (changed(moving=np.zeros((1, 1, 8, 8), "f4")), "1 x 1 x any x any x any; got"),
        (changed(moving=np.zeros((1, 2, 8, 8, 8), "f4")), "1 x 1 x any"),
        (changed(moving=np.zeros((1, 1, 0, 8, 8), "f4")), "1 x 1 x any"),
        (changed(moving=np.zeros((1, 1, 8, 8, 9), "f4")), "one shape"),
    ],
)
def test_wrong_inputs_are_refused_before_the_library_sees_them(load, monkeypatch, inputs, words):
    session = load(3)
    monkeypatch.setattr(session, "_bind", None)  # calling it would be another error
    with pytest.raises(InputError, match=f"(?s){words}.*MMREG_E_SESSION_INPUT"):
        session.infer(inputs)
    monkeypatch.undo()
    session.infer(networks.images((8, 8, 8)))  # still usable


def test_a_fixed_shape_is_held_to(load):
    with pytest.raises(InputError, match="1 x 1 x 6 x 7 x 8; got"):
        load(3, extents=(6, 7, 8)).infer(networks.images((6, 7, 9)))


def test_after_close_every_use_is_an_error_and_closing_again_is_none(load):
    session = load(3)
    session.infer(networks.images((8, 8, 8)))
    session.close()
    session.close()
    with pytest.raises(InputError, match="MMREG_E_SESSION_CLOSED"):
        session.infer(networks.images((8, 8, 8)))
    with pytest.raises(InputError, match="MMREG_E_SESSION_CLOSED"):
        session.prepare({name: (1, 1, 8, 8, 8) for name in networks.INPUTS})


def test_a_session_is_for_one_thread_at_a_time(load, monkeypatch):
    session, inside, leave = load(3), threading.Event(), threading.Event()
    inputs = networks.images((8, 8, 8))
    session.infer(inputs)
    bound = session._for((1, 1, 8, 8, 8))
    run = bound.run

    def slow():
        inside.set()
        leave.wait(10)
        run()

    monkeypatch.setattr(bound, "run", slow)
    worker = threading.Thread(target=session.infer, args=(inputs,))
    worker.start()
    inside.wait(10)
    with pytest.raises(InputError, match="MMREG_E_SESSION_BUSY"):
        session.infer(inputs)
    leave.set()
    worker.join()


def test_two_sessions_run_in_two_threads(load):
    inputs, found = networks.images((8, 8, 8)), {}
    sessions = [load(3), load(3)]
    workers = [
        threading.Thread(target=lambda i=i: found.update({i: sessions[i].infer(inputs).copy()}))
        for i in (0, 1)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    np.testing.assert_array_equal(found[0], found[1])


def test_what_a_library_fails_at_is_told_in_our_words(load, monkeypatch):
    session = load(3)
    session.infer(networks.images((8, 8, 8)))

    def broken():
        raise RuntimeError("Exception from somewhere:\n\nshapes differ")

    monkeypatch.setattr(session._for((1, 1, 8, 8, 8)), "run", broken)
    with pytest.raises(RegistrationError, match="Exception from somewhere: shapes differ.*MMREG_E_MODEL_RUN"):
        session.infer(networks.images((8, 8, 8)))


@pytest.mark.parametrize("model", [b"", b"garbage", b"\x08\x0a" * 50])
def test_bytes_that_are_no_network_are_refused(backend, model):
    with pytest.raises(InputError, match="MMREG_E_MODEL_"):
        backend.load(model, precision="fp32", threads=1, device="cpu")


def test_a_network_has_one_output(load):
    with pytest.raises(InputError, match="2 outputs.*MMREG_E_MODEL_PORTS"):
        load(3, outputs=2)


def test_int8_of_a_file_that_is_not_quantised_is_an_error(backend):
    with pytest.raises((InputError, BackendUnavailableError), match="int8"):
        backend.load(networks.network(3), precision="int8", threads=1, device="cpu")


@pytest.mark.parametrize("threads", [-1, 1.5, 5000])
def test_threads_must_be_a_number_of_threads(backend, threads):
    with pytest.raises(InputError, match="MMREG_E_THREADS"):
        backend.load(networks.network(3), precision="fp32", threads=threads, device="cpu")


def test_a_cut_network_is_refused_or_is_not_a_network_at_any_length(backend):
    whole = networks.network(2)
    for length in range(0, len(whole) - 1, 61):
        with pytest.raises(InputError, match="MMREG_E_MODEL_"):
            backend.load(whole[:length], precision="fp32", threads=1, device="cpu")


def test_nothing_is_written_to_the_terminal(backend, tmp_path):
    (tmp_path / "net.onnx").write_bytes(networks.network(3))
    code = (
        "import sys, numpy as np; from mmreg_rt.backends import by_name\n"
        f"backend = by_name({backend.name!r}); data = open(sys.argv[1], 'rb').read()\n"
        "session = backend.load(data, precision='fp32', threads=2, device='cpu')\n"
        "x = np.zeros((1, 1, 8, 8, 8), np.float32); session.infer({'fixed': x, 'moving': x})\n"
        "session.close(); backend.unavailable_reason('cuda')\n"
        "try: backend.load(b'garbage', precision='fp32', threads=2, device='cpu')\n"
        "except Exception: pass\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "net.onnx")], capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
