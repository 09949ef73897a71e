"""The decision log: its chain, and what happens when a line cannot be written or was changed."""

import fcntl
import hashlib
import json
import multiprocessing
import os
import resource
import signal
from pathlib import Path

import pytest

from mmreg_rt.decisions import check_log
from mmreg_rt.decisions import log as log_module
from mmreg_rt.decisions.log import Log
from mmreg_rt.errors import DecisionLogError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "decisions.log"


def filled(path, count=5):
    log = Log(path)
    for value in range(count):
        log.append({"value": value})
    return log


def lines_of(path):
    return path.read_bytes().splitlines()


def refusal(path):
    with pytest.raises(DecisionLogError) as caught:
        check_log(path)
    return str(caught.value)


def test_each_line_carries_the_hash_of_the_line_before(path):
    filled(path)
    previous = "0" * 64
    for number, line in enumerate(lines_of(path), 1):
        content = json.loads(line)
        assert (content["sequence"], content["previous"], content["value"]) == (number, previous, number - 1)
        previous = hashlib.sha256(line).hexdigest()
    done = check_log(path)
    assert (done.lines, done.partial_lines, done.last_sha256) == (5, 0, previous)


def test_a_log_goes_on_where_it_ended(path):
    filled(path, 2)
    filled(path, 3)
    assert check_log(path).lines == 5


def test_an_empty_log_holds(path):
    Log(path)
    assert check_log(path).lines == 0


@pytest.mark.parametrize("number", (1, 3, 4))
def test_a_changed_line_is_found_at_the_next_one(path, number):
    filled(path)
    lines = lines_of(path)
    lines[number - 1] = lines[number - 1].replace(b'"value":', b'"value":1')
    path.write_bytes(b"\n".join(lines) + b"\n")
    assert f"breaks at line {number + 1}: it does not carry the hash" in refusal(path)


@pytest.mark.parametrize("number", (1, 3, 4))
def test_a_removed_line_is_found(path, number):
    filled(path)
    lines = lines_of(path)
    del lines[number - 1]
    path.write_bytes(b"\n".join(lines) + b"\n")
    assert f"breaks at line {number}: it does not carry the hash" in refusal(path)


def test_lines_in_another_order_and_foreign_lines_are_found(path):
    filled(path)
    one, two, three, four, five = lines_of(path)
    for lines, number in (
        ((one, three, two, four, five), 2),
        ((one, two, two, three), 3),
        ((one, two, b"{}", three), 3),
        ((one, two, b"", three), 3),
        ((b"text",), 1),
    ):
        path.write_bytes(b"\n".join(lines) + b"\n")
        assert f"breaks at line {number}" in refusal(path)


def test_a_line_of_another_number_is_found_even_if_its_hash_fits(path):
    filled(path, 1)
    (first,) = lines_of(path)
    second = json.loads(first) | {"sequence": 3, "previous": hashlib.sha256(first).hexdigest()}
    path.write_bytes(first + b"\n" + json.dumps(second, separators=(",", ":")).encode() + b"\n")
    assert "breaks at line 2: its sequence number is 3" in refusal(path)


@pytest.mark.parametrize("cut", (1, 20, 60, 100))
def test_after_a_partial_line_the_chain_goes_on(path, cut):
    filled(path, 3)
    data = path.read_bytes()
    left = len(data) - len(lines_of(path)[-1]) - 1 + cut
    path.write_bytes(data[:left])
    assert check_log(path).partial_lines == 1
    filled(path, 2)
    assert path.read_bytes().startswith(data[:left])  # what was there stays
    assert [json.loads(line).get("after_partial_line") for line in lines_of(path)[3:]] == [True, None]
    done = check_log(path)
    assert (done.lines, done.partial_lines) == (5, 1)


def test_partial_lines_that_follow_each_other_are_counted(path):
    filled(path, 2)
    for _ in range(2):
        path.write_bytes(path.read_bytes()[:-30])
        filled(path, 1)
    path.write_bytes(path.read_bytes()[:-30])
    assert (check_log(path).lines, check_log(path).partial_lines) == (4, 3)
    filled(path, 1)
    assert (check_log(path).lines, check_log(path).partial_lines) == (5, 3)


def test_a_line_without_its_end_is_whole(path):
    filled(path, 2)
    path.write_bytes(path.read_bytes()[:-1])
    filled(path, 1)
    assert (check_log(path).lines, check_log(path).partial_lines) == (3, 0)


def test_zeros_of_a_power_failure_are_a_partial_line(path):
    filled(path, 2)
    path.write_bytes(path.read_bytes() + bytes(512))
    filled(path, 1)
    assert (check_log(path).lines, check_log(path).partial_lines) == (4, 1)


def test_a_partial_line_that_is_not_marked_is_found(path):
    filled(path, 3)
    data = path.read_bytes()
    path.write_bytes(data[:-20])
    filled(path, 1)
    path.write_bytes(path.read_bytes().replace(b',"after_partial_line":true', b""))
    assert "breaks at line 4: the line before is not whole" in refusal(path)


def test_a_full_disk_is_an_error_and_leaves_no_part_of_a_line(path):
    log = filled(path, 3)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for room in (0, 1, 100):
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + room, limits[1]))
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            with pytest.raises(DecisionLogError, match="MMREG_E_LOG_WRITE"):
                log.append({"value": 3})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
        assert path.read_bytes() == before
    log.append({"value": 3})
    assert check_log(path).lines == 4


def append_many(path, count):
    log = Log(path)
    for value in range(count):
        log.append({"value": value})


def test_processes_share_a_log(path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=append_many, args=(path, 100)) for _ in range(3)]
    for process in processes:
        process.start()
    append_many(path, 100)
    for process in processes:
        process.join()
        assert process.exitcode == 0
    done = check_log(path)
    assert (done.lines, done.partial_lines) == (400, 0)
    values = [json.loads(line)["value"] for line in lines_of(path)]
    assert sorted(values) == sorted([*range(100)] * 4)


def test_a_log_that_another_process_holds_is_an_error(path, monkeypatch):
    log = filled(path, 1)
    monkeypatch.setattr(log_module, "LOCK_S", 0.05)
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DecisionLogError, match="MMREG_E_LOG_LOCKED"):
            log.append({})
    log.append({})


def test_a_log_that_became_shorter_or_vanished_is_not_continued(path):
    log = filled(path, 3)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"\n") + 1])
    with pytest.raises(DecisionLogError, match="MMREG_E_LOG_SHORTER"):
        log.append({})
    path.unlink()
    with pytest.raises(DecisionLogError, match="No such file"):
        log.append({})
    assert not path.exists()


@pytest.mark.parametrize(
    "content", (b"text\n", b"text", b"{}\n", b'{"format":"mmreg-decision/2"}\n', b"\n" * 3, b"x" * 300_000)
)
def test_other_files_are_left_alone(path, content):
    path.write_bytes(content)
    with pytest.raises(DecisionLogError, match="MMREG_E_LOG_FORMAT"):
        Log(path)
    assert path.read_bytes() == content


def test_folders_pipes_and_missing_folders_are_errors(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/full"), tmp_path / "none" / "decisions.log"):
        with pytest.raises(DecisionLogError):
            Log(path)
    with pytest.raises(DecisionLogError, match="MMREG_E_LOG_READ"):
        check_log(tmp_path / "none")


@pytest.mark.parametrize("seed", range(50))
def test_no_changed_byte_passes(path, seed):
    """But in the last line, which only its hash kept elsewhere protects."""
    import random

    filled(path, 4)
    before, data = check_log(path), bytearray(path.read_bytes())
    random_ = random.Random(seed)
    at = random_.randrange(len(data))
    data[at] ^= 1 << random_.randrange(8)
    path.write_bytes(data)
    try:
        done = check_log(path)
    except DecisionLogError:
        return
    assert done.last_sha256 != before.last_sha256 or done.lines != before.lines
