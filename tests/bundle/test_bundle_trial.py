"""Networks from elsewhere are tried in a process of their own: that may crash, hang or grow."""

import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from fixtures import bundle_parts as parts
from fixtures import onnx_bytes as ox

from mmreg_rt.bundle import golden_bytes, write_bundle
from mmreg_rt.errors import BundleError, InputError
from mmreg_rt.network import Network
from mmreg_rt.network import trial as bundle_trial
from mmreg_rt.network.trial import Limits, Trial, prove

KEY = bytes(range(32))
ROOM = Limits(4 << 30, 60, 300)


@pytest.fixture(params=["openvino", "onnxruntime"])
def backend(request):
    pytest.importorskip(request.param)
    return request.param


@pytest.fixture
def tiny(tmp_path):
    return write_bundle(tmp_path / "tiny.mmreg", parts.manifest(), parts.files())


@pytest.fixture(autouse=True)
def _nothing_is_known(monkeypatch):
    monkeypatch.setattr(bundle_trial, "_proven", set())


@pytest.fixture
def started(monkeypatch):
    """Counts the processes."""
    started, start = [], bundle_trial._start
    monkeypatch.setattr(
        bundle_trial, "_start", lambda trial, sent: started.append(trial) or start(trial, sent)
    )
    return started


def trial(bundle, backend="onnxruntime", **changes):
    facts = {
        "name": bundle.manifest.name,
        "manifest": bundle.manifest_bytes,
        "golden": bundle.file("golden.npz"),
        "model": bundle.model().onnx,
        "stage": 0,
        "backend": backend,
        "version": "1",
        "precision": "fp32",
        "threads": 1,
        "device": "cpu",
    }
    return Trial(**(facts | changes))


def instead(monkeypatch, body):
    """Another program in the place of the one that tries networks: it does what a library might."""
    code = textwrap.dedent(body)
    monkeypatch.setattr(bundle_trial, "_CHILD", "import sys; path = {path!r}\n" + code)


def refused(code, *mentions, limits=ROOM, of):
    with pytest.raises(BundleError) as caught:
        prove(of, limits)
    assert caught.value.code == code, caught.value
    for mention in mentions:
        assert mention in str(caught.value)


def test_a_network_that_works_is_tried_once_by_each_library(tiny, backend, started):
    Network(tiny.path, backend=backend)
    Network(tiny.path, backend=backend)
    assert [one.backend for one in started] == [backend]


def test_a_bundle_larger_than_a_pipe_holds_is_tried(tmp_path, backend):
    files = parts.files(
        **{"net.onnx": ox.net(more_initialisers=[ox.tensor("more", np.zeros(1 << 18, np.float32))])}
    )
    Network(write_bundle(tmp_path / "large.mmreg", parts.manifest(), files).path, backend=backend)


def test_another_file_is_another_trial(tiny, tmp_path, started):
    pytest.importorskip("onnxruntime")
    Network(tiny.path, backend="onnxruntime")
    other = write_bundle(tmp_path / "other.mmreg", parts.manifest(version="2"), parts.files())
    Network(other.path, backend="onnxruntime")
    assert len(started) == 2


def test_what_comes_with_the_package_or_is_signed_by_a_key_of_the_caller_is_not_tried(tmp_path, started):
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    pytest.importorskip("onnxruntime")
    public = ed25519.Ed25519PrivateKey.from_private_bytes(KEY).public_key().public_bytes_raw()
    path = tmp_path / "signed.mmreg"
    write_bundle(path, parts.manifest(), parts.files(), private_key=KEY)
    Network(path, backend="onnxruntime", public_key=public)
    Network("masr", backend="onnxruntime")
    assert not started
    Network(path, backend="onnxruntime")  # a signature alone says nothing of who signed
    assert len(started) == 1


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGFPE", "SIGABRT", "SIGBUS", "SIGILL"])
def test_a_crash_is_an_error_that_names_the_library_and_the_signal(tiny, monkeypatch, name):
    instead(
        monkeypatch, f"import os, signal; sys.stdin.buffer.readline(); os.kill(os.getpid(), signal.{name})"
    )
    refused("MMREG_E_BUNDLE_CRASH", name, "onnxruntime", "tiny", of=trial(tiny))
    monkeypatch.undo()
    prove(trial(tiny), ROOM)  # what failed is not remembered, and the process lives


@pytest.mark.parametrize(
    "body",
    ["sys.exit(3)", "import os; os._exit(0)", "print('[]')", "print('no json')", "print('{{\"kind\": 3}}')"],
)
def test_a_process_that_ends_without_an_answer_is_refused(tiny, monkeypatch, body):
    instead(monkeypatch, f"sys.stdin.buffer.read()\n{body}")
    with pytest.raises(BundleError):
        prove(trial(tiny), ROOM)


def test_a_network_that_hangs_is_ended(tiny, monkeypatch):
    instead(monkeypatch, "import time; time.sleep(600)")
    refused("MMREG_E_BUNDLE_TIME", of=trial(tiny), limits=Limits(4 << 30, 1, 2))


def test_a_network_that_computes_on_and_on_is_ended_by_its_processor_time(tiny, monkeypatch):
    instead(
        monkeypatch,
        """
        sys.path[:] = path
        import json
        from mmreg_rt.network.trial_child import _limit
        _limit(json.loads(sys.stdin.buffer.readline())["limits"])
        while True: pass
        """,
    )
    refused("MMREG_E_BUNDLE_TIME", of=trial(tiny), limits=Limits(4 << 30, 1, 300))


@pytest.mark.parametrize("by", ["its own limit", "the one who watches"])
def test_a_network_that_grows_is_ended(tiny, monkeypatch, by):
    if by == "the one who watches" and not os.path.exists("/proc/self/statm"):
        pytest.skip("this system does not say what a process takes")
    instead(
        monkeypatch,
        f"""
        sys.path[:] = path
        import json, os, time
        from mmreg_rt.network import trial_child as child
        head = json.loads(sys.stdin.buffer.readline())
        if {by == "its own limit"}:
            child._limit(head["limits"])
        def grow(*_):
            taken = []
            for _ in range(200):
                taken.append(bytearray(16 << 20))
                time.sleep(0.002)
            time.sleep(100)
        child._run = grow
        os.write(1, json.dumps(child._run_guarded(head, b"", b"", b"")).encode())
        """,
    )
    refused("MMREG_E_BUNDLE_MEMORY", of=trial(tiny), limits=Limits(600 << 20, 60, 300))


def test_errors_of_the_other_process_are_those_of_this_one(tiny, tmp_path):
    pytest.importorskip("onnxruntime")
    fixed, moving, output = parts.golden_pair()
    wrong = write_bundle(
        tmp_path / "wrong.mmreg",
        parts.manifest(),
        parts.files(**{"golden.npz": golden_bytes(fixed, moving, output + 1)}),
    )
    with pytest.raises(BundleError) as caught:
        Network(wrong.path, backend="onnxruntime")
    assert caught.value.code == "MMREG_E_SELFTEST_LIMIT"
    with pytest.raises(InputError) as load:
        prove(trial(tiny, model=ox.net()[:-40]), ROOM)
    assert load.value.code == "MMREG_E_MODEL_LOAD"


def test_where_no_process_can_be_started_the_bundle_is_refused(tiny, monkeypatch):
    monkeypatch.setattr(bundle_trial, "_python", lambda: "/no/such/python")
    refused("MMREG_E_BUNDLE_TRIAL", "/no/such/python", of=trial(tiny))


def test_a_program_that_embeds_python_is_not_started_again(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/opt/viewer/viewer")
    assert bundle_trial._python().startswith(sys.exec_prefix)
    monkeypatch.setattr(sys, "executable", None)
    assert bundle_trial._python().startswith(sys.exec_prefix)


PROGRAM = """
import os, sys, threading
print("started", flush=True)  # once: the program is not run again by the other process
{before}
from mmreg_rt.network import Network
def load():
    Network({path!r}, backend="onnxruntime", threads=1)
    print("loaded", flush=True)
{load}
"""
PLACES = {
    "plain": ("", "load()"),
    "daemon thread": ("", "one = threading.Thread(target=load, daemon=True); one.start(); one.join()"),
    "standard streams closed": ("os.close(0); os.close(2)", "load()"),
    "working folder gone": (
        "import tempfile, shutil; d = tempfile.mkdtemp(); os.chdir(d); os.rmdir(d)",
        "load()",
    ),
    "modules of the same names beside": (
        "import tempfile; d = tempfile.mkdtemp(); os.chdir(d); open('json.py', 'w').write('1/0')",
        "load()",
    ),
    "interactive": ("del sys.modules['__main__'].__file__", "load()"),
    "signals ignored": ("import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)", "load()"),
}


@pytest.mark.parametrize("place", PLACES)
def test_it_works_wherever_the_caller_is(tiny, tmp_path, place):
    pytest.importorskip("onnxruntime")
    before, load = PLACES[place]
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(before=before, load=load, path=str(tiny.path)))
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["started", "loaded"], done.stderr


def test_threads_may_try_at_once(tiny):
    pytest.importorskip("onnxruntime")
    failures = []

    def load():
        try:
            Network(tiny.path, backend="onnxruntime", threads=1)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize(
    ("numbers", "code"),
    [
        (1e30, "MMREG_E_SELFTEST_LIMIT"),
        (np.inf, "MMREG_E_SELFTEST_NOT_FINITE"),
        (-1e7, "MMREG_E_SELFTEST_LIMIT"),
    ],
)
def test_a_network_that_gives_what_cannot_be_is_at_fault(tmp_path, numbers, code):
    pytest.importorskip("onnxruntime")
    weight = ox.tensor("more", np.full(1, numbers, np.float32))
    node = ox.node("Mul", ["both", "more"], ["huge"])
    data = ox.net(nodes=[node], more_initialisers=[weight])
    data = _with_output_of(data)
    made = write_bundle(tmp_path / "huge.mmreg", parts.manifest(), parts.files(**{"net.onnx": data}))
    with pytest.raises(BundleError) as caught:
        Network(made.path, backend="onnxruntime")
    assert caught.value.code == code
    assert "network" in str(caught.value)


def _with_output_of(data):
    """The convolution takes what was multiplied."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(data)
    nodes = list(model.graph.node)
    del model.graph.node[:]
    nodes[1].input[0] = "huge"
    model.graph.node.extend([nodes[0], nodes[2], nodes[1]])
    return model.SerializeToString()
