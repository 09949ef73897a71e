"""Whole runs of the program under conditions of real machines: disks, mounts, signals, logs, rights."""

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest

ALWAYS = {"affine.tfm", "inverse.nii.gz", "report.html", "result.json", "transform.nii.gz", "warped.nii.gz"}
TESTS = str(Path(__file__).resolve().parents[1])
# the program with the stand-in for its registrar and small pictures: what it writes matters here
QUICK = f"""
import os, signal, sys, time
sys.path.insert(0, {TESTS!r})
from fixtures import pretend
from functools import partial
from mmreg_rt.report import panels
from mmreg_rt.report.planes import planes
panels.planes = partial(planes, across_px=16)
module = sys.modules["mmreg_rt.registrar"] = pretend.registrar_module()
from mmreg_rt.cli import main
"""
CLI = [sys.executable, "-c", QUICK + "main()"]
REGISTER = ["register", "fixed.nii.gz", "moving.nii.gz", "--align", "none", "--no-deform", "-o"]
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for mounts or another user")
PATIENCE_S = 240  # never reached by a program that does not hang

# in the middle of its work, until somebody ends it
WAITING = """
def register(self, fixed, moving, **_):
    print("working", flush=True)
    while True: time.sleep(0.05)
module.Registrar.register = register
main()
"""
# killed right after a number of renames of results
KILLED = """
left, rename = int(sys.argv.pop(1)), os.rename
def counted(source, target):
    global left
    rename(source, target)
    left -= ".mmreg-partial/" in f"{source} {target}/"
    if left == 0: os.kill(os.getpid(), signal.SIGKILL)
os.rename = counted
main()
"""


def scan(path, shift=0.0, n=16):
    grid = np.indices((n, n, n), np.float32) - (n - 1) / 2
    grid[2] -= shift
    image = 100 * np.exp(-((grid * 3 / n) ** 2).sum(axis=0))
    image += np.random.default_rng(0).normal(0, 1, image.shape)
    nibabel.Nifti1Image(image.astype(np.float32).T, np.eye(4)).to_filename(path)


@pytest.fixture
def here(tmp_path):
    scan(tmp_path / "fixed.nii.gz")
    scan(tmp_path / "moving.nii.gz", 1.0)
    return tmp_path


def run(here, *words, code=0, **options):
    done = subprocess.run([*CLI, *words], cwd=here, capture_output=True, timeout=PATIENCE_S, **options)
    assert done.returncode == code, done.stderr.decode(errors="replace")
    return done


def names(path):
    return {entry.name for entry in Path(path).iterdir()}


def contents(path):
    return {name: (path / name).read_bytes() for name in names(path)}


@contextlib.contextmanager
def mounted(folder, size="64m", *options):
    """A small file system in memory at ``folder``."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *options]), "tmpfs", folder]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("cannot mount here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextlib.contextmanager
def read_only(folder):
    """What lies in the file system of ``folder`` cannot be changed; what is mounted in it can."""
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@AS_ROOT
def test_the_folder_may_be_a_mount_under_a_folder_that_is_read_only(here):
    parent = here / "parent"
    (parent / "out").mkdir(parents=True)
    with read_only(parent), mounted(parent / "out"):
        for _ in range(2):
            run(here, *REGISTER, "parent/out")
            assert names(parent / "out") == ALWAYS


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="no second file system here")
@pytest.mark.parametrize("way", ["to a folder", "to nothing yet", "above"])
def test_the_folder_may_be_a_link_to_another_disk(here, way):
    target = Path("/dev/shm") / f"mmreg-test-{os.getpid()}"
    target.mkdir()
    try:
        where = {"to a folder": target, "to nothing yet": target / "new", "above": target}[way]
        (here / "link").symlink_to(where)
        out = "link/deeper" if way == "above" else "link"
        run(here, *REGISTER, out)
        assert names(here / out) == ALWAYS
        assert (here / "link").is_symlink()
    finally:
        shutil.rmtree(target)


@AS_ROOT
@pytest.mark.parametrize("size", ["4k", "24k"])
def test_on_a_full_disk_earlier_results_stand_and_the_reason_is_told(here, size):
    with mounted(here / "out", "8m"):
        run(here, *REGISTER, "out")
        before = contents(here / "out")
        used = sum((here / "out" / name).stat().st_blocks * 512 for name in before)
        room = used + int(size[:-1]) * 1024
        subprocess.run(["mount", "-o", f"remount,size={room}", here / "out"], check=True)
        done = run(here, *REGISTER, "out", code=3)
        assert b"No space left on device" in done.stderr
        assert b".mmreg-partial" not in done.stderr
        after = contents(here / "out")
        assert {name: after[name] for name in before} == before
        assert {*after} - {*before} <= {"failure.html", "failure.json"}


@AS_ROOT
def test_a_folder_without_room_or_right_is_refused_before_the_work(here):
    with mounted(here / "full", "4k"):
        (here / "full" / "all").write_bytes(bytes(4096))
        done = run(here, *REGISTER, "full", code=3)
        assert b"MMREG_E_OUTPUT" in done.stderr
        assert b"Reading" not in done.stderr
        assert names(here / "full") == {"all"}


@AS_ROOT
def test_a_folder_of_somebody_else_is_refused_before_the_work(here):
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv, to give up root's right to write everywhere")
    (here / "out").mkdir()
    os.chown(here / "out", 65534, 65534)
    for where in ("out", "out/new"):
        words = ["setpriv", "--bounding-set=-dac_override", *CLI, *REGISTER, where]
        done = subprocess.run(words, cwd=here, capture_output=True, timeout=PATIENCE_S)
        assert done.returncode == 3
        assert b"Permission denied" in done.stderr
        assert b"Reading" not in done.stderr
        assert not names(here / "out")


def heeded():
    """Signals end the program, also where those who started the tests ignore them."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def started(here, *words, preexec_fn=heeded):
    """The program, once it works."""
    words = [sys.executable, "-c", QUICK + WAITING, *words]
    child = subprocess.Popen(
        words, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=preexec_fn
    )
    assert child.stdout.readline() == b"working\n", child.stderr.read()
    return child


@pytest.mark.parametrize("which", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_it_clean_with_128_and_its_number(here, which):
    before = names(here)
    child = started(here, *REGISTER, "new/out")
    assert (here / "new" / "out" / ".mmreg-partial").is_dir()
    number = getattr(signal, which)
    child.send_signal(number)
    _, told = child.communicate(timeout=PATIENCE_S)
    assert child.returncode == 128 + number
    assert b"Traceback" not in told
    assert names(here) == before


def test_a_hang_up_is_nothing_to_a_run_that_ignores_it(here):
    ignore = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)  # noqa: E731  as nohup does
    child = started(here, *REGISTER, "out", preexec_fn=ignore)
    child.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert child.poll() is None
    child.terminate()
    child.communicate(timeout=PATIENCE_S)
    assert child.returncode == 143


def test_two_at_once_and_what_a_kill_leaves(here):
    child = started(here, *REGISTER, "out")
    done = run(here, *REGISTER, "out", code=3)
    assert b"MMREG_E_OUTPUT_BUSY" in done.stderr
    assert names(here / "out") == {".mmreg-partial"}  # of the first, which is alive
    child.kill()
    child.communicate(timeout=PATIENCE_S)
    assert names(here / "out") == {".mmreg-partial"}
    run(here, *REGISTER, "out")
    assert names(here / "out") == ALWAYS


@pytest.mark.parametrize("renames", [2, 7, 9, 13])  # 1 the claim, 6 go, 6 come
def test_a_kill_while_results_get_their_places_loses_neither(here, renames):
    out, environment = here / "out", os.environ | {"MMREG_DEBUG": "1"}
    run(here, *REGISTER, "out")
    before = contents(out)
    words = [sys.executable, "-c", QUICK + KILLED, str(renames), *REGISTER, "out"]
    killed = subprocess.run(words, cwd=here, capture_output=True, timeout=PATIENCE_S, env=environment)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    run(here, "register", "none.nii.gz", "moving.nii.gz", "-o", "out", code=1, env=environment)
    after = contents(out)  # the run that failed has put things in order
    assert {*after} == ALWAYS | {"failure.html", "failure.json"}
    record = json.loads(after["result.json"])
    assert all(len(after[name]) == facts["bytes"] for name, facts in record["files"].items())
    if renames < 13:
        assert {name: after[name] for name in ALWAYS} == before
    run(here, *REGISTER, "out")  # and nothing of it is taken for somebody else's
    assert names(out) == ALWAYS


@pytest.mark.parametrize(
    "streams", ["both full", "both closed", "pipe closed", "log closed", "terminal closed"]
)
def test_a_log_that_cannot_be_written_does_not_end_the_work(here, streams):
    words = [*CLI, *REGISTER, "out"]
    if streams == "both full":
        with open("/dev/full", "wb") as full:
            done = subprocess.run(words, cwd=here, stdout=full, stderr=full, timeout=PATIENCE_S)
    elif streams == "both closed":
        shell = ["sh", "-c", 'exec "$@" >&- 2>&- <&-', "sh", *words]
        done = subprocess.run(shell, cwd=here, timeout=PATIENCE_S)
    elif streams == "terminal closed":
        ours, theirs = pty.openpty()
        child = subprocess.Popen(words, cwd=here, stdout=theirs, stderr=theirs, stdin=subprocess.DEVNULL)
        os.close(theirs)
        os.close(ours)
        child.wait(timeout=PATIENCE_S)
        done = child
    else:
        ours, theirs = os.pipe()
        os.close(ours)
        both = {"stdout": theirs, "stderr": theirs if streams == "pipe closed" else None}
        done = subprocess.run(words, cwd=here, timeout=PATIENCE_S, **both)
        os.close(theirs)
    assert done.returncode == 0
    assert names(here / "out") == ALWAYS
    assert json.loads((here / "out" / "result.json").read_text())["status"] == "ok"


def test_what_was_asked_for_is_not_lost_in_silence(here):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*CLI, "inspect", "fixed.nii.gz", "--json"],
            cwd=here, stdout=full, stderr=subprocess.PIPE, timeout=PATIENCE_S,
        )  # fmt: skip
    assert done.returncode == 3
    assert b"No space left on device" in done.stderr
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        [*CLI, "inspect", "fixed.nii.gz"], cwd=here, stdout=theirs, stderr=subprocess.PIPE, timeout=PATIENCE_S
    )
    os.close(theirs)
    assert (done.returncode, done.stderr) == (0, b"")  # the reader has seen what it wanted


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_the_terminals_encoding_does_not_matter(here, encoding):
    name = "schädel→\u202e.nii.gz"
    os.rename(here / "moving.nii.gz", here / name)
    words = [*REGISTER, "aus→"]
    words[2] = name
    run(here, *words, env=os.environ | {"PYTHONIOENCODING": encoding})
    assert names(here / "aus→") == ALWAYS
