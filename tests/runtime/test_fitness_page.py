"""The page on fitness for devices names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "fitness.md").read_text()
ROWS = [line.split("|") for line in PAGE.splitlines() if line.startswith("| ") and "---" not in line][1:]


def named_tests():
    """Yield each file with the names that the page gives after it."""
    for row in ROWS:
        for part in re.split(r"(?=`)(?<=[ ;,])|^(?=`)", row[3]):
            found = re.search(r"`([\w/.]+)`(?::([^`;]*))?", part)
            if found:
                yield found.group(1), re.findall(r"\w+", found.group(2) or "")


def test_each_row_has_a_control_and_a_test():
    assert len(ROWS) > 15
    for row in ROWS:
        assert row[2].strip()
        assert "`" in row[3]


def test_each_named_test_exists():
    names = list(named_tests())
    assert len(names) > 25
    for path, tests in names:
        text = (ROOT / path).read_text()
        for test in tests:
            assert re.search(rf"(def |, ){test}\b", text), f"{path} has no {test}"
