"""Writes docs/bad_inputs.md from what the tests declare.

Run it as ``PYTHONPATH=tests python -m bad_inputs.write_table``.
"""

import importlib
from pathlib import Path

from bad_inputs.declared import CASES, Case

TABLE = Path(__file__).parents[2] / "docs" / "bad_inputs.md"
HEADING = """# Bad inputs and what they end in

Written by `PYTHONPATH=tests python -m bad_inputs.write_table` from the declarations of the tests; a test
keeps it current. Each number has at least one test of its own, `test_NN_...`. A code never changes its
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
