"""Limits that a process is given: address space, processes, files, the time of a container."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy as np
import pytest

import mmreg_rt._native as _native
from mmreg_rt.errors import OutOfMemoryError, RegistrationError
from mmreg_rt.process import libraries, memory, threads

MB = 1 << 20
OTHER_USER = 64999  # limits of processes do not bind root
QUIET = {key: value for key, value in os.environ.items() if key != "OPENBLAS_NUM_THREADS"}
REGISTER = ("-m", "mmreg_rt", "register", "--align", "none", "--no-deform")
PROGRAM = """
from mmreg_rt import Registrar
import numpy
f = numpy.sin(numpy.indices((24, 24, 24), numpy.float32) / 3).sum(0)
m, eye = f * 2, numpy.eye(4)
print(Registrar().register((f, eye), (m, eye)).finished)
"""


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 24, 24, 24))
    ball = np.linalg.norm(np.indices((24,) * 3) - 12, axis=0) < 8
    for name, data in (("f", ball + noise[0]), ("m", noise[1] - 2 * ball)):
        nibabel.save(nibabel.Nifti1Image(np.float32(data), np.eye(4)), folder / f"{name}.nii.gz")
    return folder


def limited(limits, *command, timeout=300, **options):
    """A program under limits by their names in ``resource``, ended if it hangs."""
    code = (
        "import os, resource, sys\n"
        f"for name, value in {list(limits.items())!r}: "
        "resource.setrlimit(getattr(resource, name), (value, value))\n"
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, command)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**QUIET, **options.pop("env", {})},
        **options,
    )


# NumPy's OpenBLAS never comes back where its memory is denied: below, between and above what it needs
@pytest.mark.parametrize("megabytes", [30, 80, 110, 120, 130, 140, 150, 400])
def test_the_shell_under_a_limit_of_the_address_space_registers_or_says_what_is_missing(
    megabytes, scans, tmp_path
):
    out = tmp_path / "out"
    register = (*REGISTER, scans / "f.nii.gz", scans / "m.nii.gz", "-o", out)
    found = limited({"RLIMIT_AS": megabytes * MB}, *register)
    if found.returncode == 0:
        assert megabytes > 180
        assert (out / "warped.nii.gz").exists()
        return
    assert megabytes < 400
    assert found.returncode == 3
    assert "MMREG_E_MEMORY" in found.stderr
    assert "(ulimit -v)" in found.stderr
    assert not out.exists() or "warped.nii.gz" not in os.listdir(out)


@pytest.mark.parametrize("megabytes", [60, 100, 120, 140, 1000])
def test_python_under_a_limit_of_the_address_space_registers_or_says_what_is_missing(megabytes):
    env = {"OPENBLAS_NUM_THREADS": "1"}
    found = limited({"RLIMIT_AS": megabytes * MB}, "-c", PROGRAM, env=env)
    assert found.stdout == "" if megabytes < 1000 else "deform" in found.stdout
    assert found.returncode == 0 or "OutOfMemoryError: " in found.stderr


def test_a_limit_set_after_the_import_leaves_the_linear_algebra_its_memory():
    """It takes it in the first determinant, and would ask for it for ever."""
    code = (
        "import resource\nfrom mmreg_rt import Registrar\nimport numpy\n"
        "f, m = numpy.random.default_rng(0).random((2, 24, 24, 24), numpy.float32)\n"
        "registrar = Registrar(threads=1)\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (8 << 20),) * 2)\n"
        "registrar.register((f, numpy.eye(4)), (m, numpy.eye(4)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert "OutOfMemoryError: NumPy needs about 34 MB of address space" in found.stderr


def as_another_user(limits, *command):
    """The same as a user whom the limit of processes binds, and who may read what root may."""
    if os.getuid() != 0 or shutil.which("setpriv") is None or shutil.which("prlimit") is None:
        pytest.skip("needs root and setpriv, to become a user without processes")
    rights = "+dac_override,+dac_read_search"
    user = f"--reuid={OTHER_USER}", f"--regid={OTHER_USER}", "--clear-groups"
    able = f"--inh-caps={rights}", f"--ambient-caps={rights}"
    set_limits = ["prlimit", *(f"--{name}={value}" for name, value in limits.items())]
    return subprocess.run(
        ["setpriv", *user, *able, *set_limits, sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=QUIET,
    )


@pytest.fixture
def public(scans):
    """Copies of the scans in a folder of everybody."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o777)
        for scan in scans.iterdir():
            shutil.copy(scan, name)
        yield Path(name)


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_the_shell_registers_where_no_thread_can_start(processes, public):
    register = (*REGISTER, public / "f.nii.gz", public / "m.nii.gz", "-o", public / "out")
    found = as_another_user({"nproc": processes}, *register, "--threads", "3")
    assert found.returncode == 0, found.stderr
    used = "3 threads were used" in found.stderr + found.stdout
    assert used == (processes < 3)


def test_python_says_why_numpy_cannot_start_its_threads():
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one processor: NumPy starts no thread")
    found = as_another_user({"nproc": 1}, "-c", PROGRAM)
    assert "BackendUnavailableError: NumPy would start" in found.stderr
    assert "OPENBLAS_NUM_THREADS=1" in found.stderr


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("std::bad_alloc", "MMREG_E_MODEL_MEMORY"),
        ("Exception from plugin.cpp:54: can't alloc", "MMREG_E_MODEL_MEMORY"),
        ("pthread_create failed, error code: 11", "MMREG_E_MODEL_THREADS"),
        ("Exception from plugin.cpp:54: Resource temporarily unavailable", "MMREG_E_MODEL_THREADS"),
    ],
)
def test_a_library_that_gets_no_memory_or_thread_is_told_from_a_bad_network(text, code):
    from mmreg_rt.backends.session import translate_backend_errors, unreadable

    assert unreadable(RuntimeError(text), "openvino").code == code
    with pytest.raises(RegistrationError) as caught, translate_backend_errors("run the network"):
        raise RuntimeError(text)
    assert caught.value.code == code


@pytest.mark.parametrize("size", [20_000, 1 << 20])  # of a field, of the report
def test_a_result_beyond_the_largest_file_leaves_nothing_and_says_where(size, scans, tmp_path):
    out = tmp_path / "out"
    found = limited({"RLIMIT_FSIZE": size}, *REGISTER, scans / "f.nii.gz", scans / "m.nii.gz", "-o", out)
    assert found.returncode == 3
    assert str(out) in found.stderr
    assert "File too large" in found.stderr
    assert not out.exists() or not {"warped.nii.gz", "transform.nii.gz"} & set(os.listdir(out))


def test_few_open_files_suffice(scans, tmp_path):
    register = (*REGISTER, scans / "f.nii.gz", scans / "m.nii.gz", "-o", tmp_path / "out")
    assert limited({"RLIMIT_NOFILE": 12}, *register).returncode == 0


def test_no_home_and_no_place_for_temporary_files(scans, tmp_path):
    register = (*REGISTER, scans / "f.nii.gz", scans / "m.nii.gz", "-o", tmp_path / "out")
    found = subprocess.run(
        [sys.executable, *map(str, register)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={key: value for key, value in QUIET.items() if key != "HOME"} | {"TMPDIR": "/proc/nowhere"},
    )
    assert found.returncode == 0, found.stderr


def groups(root, **limits):
    """A tree as in /sys/fs/cgroup: ``{"a/b": "cpu.max or quota, period"}``."""
    for path, text in limits.items():
        folder = root / path.replace("_", "/").strip("/")
        folder.mkdir(parents=True, exist_ok=True)
        if "," in text:
            for name, value in zip(("cpu.cfs_quota_us", "cpu.cfs_period_us"), text.split(","), strict=True):
                (folder / name).write_text(value)
        else:
            (folder / "cpu.max").write_text(text)


@pytest.mark.parametrize(
    ("membership", "limits", "expected"),
    [
        ("0::/\n", {"": "max 100000"}, 0),
        ("0::/\n", {"": "100000 100000"}, 1),
        ("0::/\n", {"": "150000 100000"}, 1.5),
        ("0::/a/b\n", {"a_b": "400000 100000", "a": "250000 100000"}, 2.5),  # the least on the way up
        ("0::/a/b\n", {"a_b": "50000 100000", "a": "max 100000"}, 0.5),
        ("0::/docker/of/the/host\n", {"": "200000 100000"}, 2),  # the path of the host, seen from inside
        ("4:memory:/m\n1:cpu,cpuacct:/x\n", {"cpu_x": "300000,100000"}, 3),
        ("1:cpuacct,cpu:/x\n0::/\n", {"cpu": "100000,50000", "cpu_x": "-1,100000"}, 2),
        ("3:cpuset:/x\n", {"cpu_x": "300000,100000"}, 0),
        ("", {}, 0),
    ],
)
def test_the_time_that_control_groups_grant(membership, limits, expected, tmp_path):
    (tmp_path / "membership").write_text(membership)
    groups(tmp_path / "root", **limits)
    found = _native.processor_quota(str(tmp_path / "membership"), str(tmp_path / "root"))
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(("quota", "expected"), [(50_000, 1), (100_000, 1), (110_000, 2)])
def test_threads_follow_the_quota_of_a_container(quota, expected):
    group = Path("/sys/fs/cgroup/cpu/mmreg-test")
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one processor: no quota is below it")
    try:
        group.mkdir()
        (group / "cpu.cfs_quota_us").write_text(str(quota))
    except OSError:
        pytest.skip("no control group can be made here")
    code = (
        f"import os; open('{group}/cgroup.procs', 'w').write(str(os.getpid()))\n"
        "from mmreg_rt.process import threads; print(threads.usable())"
    )
    try:
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    finally:
        group.rmdir()
    assert int(found.stdout) == expected


def test_threads_that_can_start_are_counted(monkeypatch):
    assert threads.startable(3) == 3
    monkeypatch.setattr(memory, "mappable", lambda: 1 << 40)
    assert threads.startable(3) == 3  # and not one is tried, under a limit of the address space


def test_what_is_left_is_told_where_a_library_runs_out(monkeypatch):
    monkeypatch.setattr(memory, "rooms", lambda: [(7 << 20, "here")])
    causes = MemoryError(), OSError(12, "Cannot allocate memory"), ImportError("x.so: failed to map segment")
    for cause in causes:
        with pytest.raises(OutOfMemoryError, match="7 MB are left here"), memory.translate_shortage():
            raise cause
    with pytest.raises(ImportError, match="no module"), memory.translate_shortage():
        raise ImportError("no module")


def test_a_machine_that_promises_no_more_than_it_has_is_asked(monkeypatch):
    strict = "/proc/sys/vm/overcommit_memory"
    facts = {
        "/proc/meminfo": "CommitLimit: 3000 kB\nCommitted_AS: 1000 kB\n",
        strict: "2\n",
    }
    monkeypatch.setattr(memory, "_text", lambda path: facts.get(str(path), ""))
    assert memory._promised()[0][0] == 2000 << 10
    facts[strict] = "0\n"
    assert memory._promised() == []


@pytest.mark.parametrize(
    ("variables", "expected"),
    [({}, 4), ({"OMP_NUM_THREADS": "3"}, 3), ({"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "3"}, 1)],
)
def test_threads_of_the_linear_algebra_by_its_own_rules(variables, expected, monkeypatch):
    for name in ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(libraries, "_processors", lambda: 4)
    assert libraries._threads() == expected
