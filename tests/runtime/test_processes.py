"""Threads that cannot start, forks, pools of processes, the end of the interpreter, memory that runs out."""

import copy
import multiprocessing
import pickle
import subprocess
import sys

import numpy as np
import pytest
from fixtures import scene
from fixtures.scene import FLAT

from mmreg_rt import Registrar
from mmreg_rt.errors import InputError, OutOfMemoryError
from mmreg_rt.process import libraries, memory

SCANS = """
from mmreg_rt import Registrar
f, m = np.random.default_rng(0).random((2, 24, 24, 24), np.float32)
pair = (f, np.eye(4)), (m, np.eye(4))
"""


def run(code, timeout=120):
    """A program of its own, ended if it hangs."""
    start = f"import os, resource, sys, threading, time\nimport numpy as np\n{SCANS}"
    return subprocess.run(
        [sys.executable, "-c", start + code], capture_output=True, text=True, timeout=timeout, check=False
    )


@pytest.fixture(scope="module")
def slices():
    return scene.pair(FLAT, FLAT, lambda p: scene.moved(p, plane=True))


def address_space(megabytes):
    """Code that leaves so much room to the process: stacks of threads take 8 MB each."""
    return (
        "used = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
        f"resource.setrlimit(resource.RLIMIT_AS, (used + ({megabytes} << 20),) * 2)"
    )


@pytest.mark.parametrize("megabytes", [200, 300, 1000])
def test_fewer_threads_than_asked_for_are_used_and_told(megabytes):
    found = run(
        "import mmreg_rt._native\n"
        + address_space(megabytes)
        + "\nfound = Registrar(threads=512).register(*pair)\n"
        "print([w for w in found.warnings if 'threads were used' in w])"
    )
    assert found.returncode == 0, found.stderr
    assert "of 512 threads were used" in found.stdout


def test_the_result_does_not_depend_on_the_threads_that_started():
    found = run(
        "wanted = Registrar(threads=1).register(*pair).transform.displacement_mm\n"
        + address_space(300)
        + "\n"
        "print(np.array_equal(Registrar(threads=512).register(*pair).transform.displacement_mm, wanted))"
    )
    assert found.stdout.strip() == "True", found.stderr


@pytest.mark.parametrize("seconds", [0.05, 0.2, 0.5, 0.8])
@pytest.mark.parametrize(
    "what", ["Registrar(threads=2).register(*pair)", "Registrar().register(*pair).transform.inverse()"]
)
def test_a_daemon_thread_does_not_abort_the_end_of_the_program(seconds, what):
    found = run(
        f"def go():\n    while True: {what}\n"
        f"threading.Thread(target=go, daemon=True).start()\ntime.sleep({seconds})"
    )
    assert found.returncode == 0, found.stderr


def test_a_daemon_thread_in_a_callback_does_not_abort_either():
    found = run(
        "def slow(stage, share):\n    for _ in range(2000): pass\n"
        "def go():\n    while True: Registrar(threads=2, progress=slow).register(*pair)\n"
        "threading.Thread(target=go, daemon=True).start()\ntime.sleep(0.5)"
    )
    assert found.returncode == 0, found.stderr


def test_a_fork_after_use_registers_and_ends():
    found = run(
        "registrar = Registrar(threads=2)\nwanted = registrar.register(*pair).transform.displacement_mm\n"
        "child = os.fork()\n"
        "same = np.array_equal(registrar.register(*pair).transform.displacement_mm, wanted)\n"
        "if child: same &= os.waitpid(child, 0)[1] == 0\n"
        "sys.exit(not same)"
    )
    assert found.returncode == 0, found.stderr


def test_a_fork_after_use_of_a_model_registers():
    pytest.importorskip("onnxruntime")
    found = run(
        "pair = [(scan, np.diag([5.0, 5, 5, 1])) for scan, _ in pair]\n"
        "registrar = Registrar('synth', backend='onnxruntime', threads=2)\n"
        "wanted = registrar.register(*pair).transform.displacement_mm\nchild = os.fork()\n"
        "same = np.array_equal(registrar.register(*pair).transform.displacement_mm, wanted)\n"
        "if child == 0: os._exit(not same)\n"  # as multiprocessing does: ONNX Runtime survives no other end
        "sys.exit(os.waitpid(child, 0)[1] != 0 or not same)"
    )
    if "MMREG_E_MODEL]" in found.stderr:
        pytest.skip("this build has no built-in bundle")
    assert found.returncode == 0, found.stderr


def registered(registrar):
    """In another process: the transform of the scene."""
    return registrar.register(
        *scene.pair(FLAT, FLAT, lambda p: scene.moved(p, plane=True))
    ).transform.displacement_mm


@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_a_registrar_goes_to_a_pool_of_processes(slices, way):
    registrar = Registrar(align="rigid", threads=1)
    expected = registrar.register(*slices).transform.displacement_mm
    with multiprocessing.get_context(way).Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(registered, (registrar,)), expected)


def test_copies_are_of_the_same_arguments(slices):
    registrar = Registrar(align="rigid", deform=False, threads=1, progress=lambda *_: None)
    for made in (copy.copy(registrar), copy.deepcopy(registrar)):
        assert (made.model, made.options) == (registrar.model, registrar.options)
        assert made.register(*slices).deformation is None


def test_results_and_volumes_pickle(slices):
    found = Registrar(deform=False).register(*slices)
    again = pickle.loads(pickle.dumps((found, slices)))
    np.testing.assert_array_equal(again[0].warped.data, found.warped.data)
    assert again[0].quality == found.quality
    assert again[1][0].grid == slices[0].grid


def test_what_cannot_be_pickled_says_so():
    with pytest.raises(InputError) as caught:
        pickle.dumps(Registrar(progress=lambda *_: None))
    assert caught.value.code == "MMREG_E_PICKLE"
    assert "progress" in str(caught.value)


@pytest.mark.parametrize("room", ["_address_space", "_container", "_machine"])
def test_a_pair_that_cannot_fit_is_refused_before_the_work(slices, monkeypatch, room):
    monkeypatch.setattr(memory, room, lambda: [(1 << 10, "here")])
    monkeypatch.setattr(libraries, "_held", True)  # the linear algebra has what it needs
    with pytest.raises(OutOfMemoryError, match=r"need about \d+ MB.*left here.*Crop.*deform=False") as caught:
        Registrar().register(*slices)
    assert caught.value.code == "MMREG_E_MEMORY"
    assert isinstance(caught.value, MemoryError)


def test_the_room_of_a_container_counts_what_can_be_given_back(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    monkeypatch.setattr(memory, "_swap_free", lambda: 0)
    for name, text in {
        "memory.max": "1000",
        "memory.current": "900",
        "memory.stat": "file 300\nanon 5",
    }.items():
        (tmp_path / name).write_text(text)
    assert memory._room_of(tmp_path) == 400
    (tmp_path / "memory.max").write_text("max")
    assert memory._room_of(tmp_path) is None


def test_memory_that_runs_out_in_the_work_is_told_and_the_registrar_still_works():
    found = run(
        "from mmreg_rt.process import memory\nfrom mmreg_rt.errors import OutOfMemoryError\n"
        "memory.rooms = lambda: []\n"
        "big = np.random.default_rng(0).random((200, 200, 200), np.float32)\n"
        "registrar = Registrar(threads=2, align='none'); registrar.register(*pair)\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
        "limit = resource.getrlimit(resource.RLIMIT_AS)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (300 << 20), limit[1]))\n"
        "try: registrar.register((big, np.eye(4)), (big, np.eye(4)))\n"
        "except OutOfMemoryError as error: print(error)\n"
        "print(registrar.register(*pair).finished)"
    )
    assert found.returncode == 0, found.stderr
    assert "MMREG_E_MEMORY" in found.stdout
    assert found.stdout.endswith("deform\n")
