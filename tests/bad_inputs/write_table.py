"""Writes docs/bad_inputs.md from what the tests declare: ``python tests/bad_inputs/write_table.py``."""

import importlib
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "runtime")]

from bad_inputs.declared import CASES, Case  # noqa: E402 (where it is has just been said)

TABLE = ROOT / "docs" / "bad_inputs.md"
HEADING = """# Bad inputs and what they end in

Written by `tests/bad_inputs/write_table.py` from the declarations of the tests; a test keeps it current. Each
number has at least one test of its own, `test_NN_...`. A code is part of the interface: it never changes its
meaning, and each message says what was asked, what was found and what to do. A refusal allocates less than
8 MiB and leaves no file behind.

| no. | input | ends in | or is handled |
| --- | --- | --- | --- |
"""


def table() -> str:
    """The page as it should be."""
    for module in sorted(Path(__file__).parent.glob("test_bad_*.py")):
        importlib.import_module(f"bad_inputs.{module.stem}")
    return HEADING + "".join(_row(case) for _, case in sorted(CASES.items()))


def _row(case: Case) -> str:
    codes = "<br>".join(f"`{code}`" for code in case.codes)
    return f"| {case.number} | {case.title} | {codes} | {' '.join(case.handled)} |\n"


if __name__ == "__main__":
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text(table())
