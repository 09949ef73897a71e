"""``mmreg log verify``."""

import json

import pytest
from click.testing import CliRunner

from mmreg_rt.cli import main
from mmreg_rt.decisions.log import Log


@pytest.fixture
def path(tmp_path):
    log = Log(tmp_path / "decisions.log")
    for value in range(3):
        log.append({"value": value})
    return tmp_path / "decisions.log"


def verify(*words):
    return CliRunner().invoke(main, ["log", "verify", *map(str, words)])


def test_a_log_that_holds(path):
    done = verify(path)
    assert done.exit_code == 0
    assert "3 lines; the chain holds" in done.output


def test_partial_lines_are_counted(path):
    path.write_bytes(path.read_bytes()[:-20])
    done = verify(path)
    assert done.exit_code == 0
    assert "3 lines, 1 of them not written to the end" in done.output


def test_a_broken_log_names_its_line(path):
    path.write_bytes(path.read_bytes().replace(b'"value":1', b'"value":7'))
    done = verify(path)
    assert done.exit_code == 3
    assert "breaks at line 3" in done.output


def test_json(path):
    done = json.loads(verify(path, "--json").output)
    assert (done["format"], done["status"], done["lines"], done["partial_lines"]) == (
        "mmreg-log/1",
        "ok",
        3,
        0,
    )
    path.write_bytes(b"text\n")
    failed = json.loads(verify(path, "--json").stdout)
    assert (failed["status"], failed["error"]["code"]) == ("failed", "MMREG_E_LOG_CHAIN")


def test_a_missing_log(tmp_path):
    done = verify(tmp_path / "none")
    assert done.exit_code == 3
    assert "MMREG_E_LOG_READ" in done.output
