"""Write the tables of the README from the committed results.

    python -m benchmarks.readme_table [--check]

Each ``benchmarks/results/NAME.json`` has a place in README.md, between ``<!-- results NAME -->`` and
``<!-- end -->``. ``--check`` changes nothing and fails if a table is not the one its results give.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from benchmarks.backends import table as backend_table
from benchmarks.harness.machine import ROOT
from benchmarks.kernels import table as kernel_table
from benchmarks.registration import table as registration_table


def section(results: Path) -> str:
    """The text of one results file, by the benchmark that wrote it."""
    report = json.loads(results.read_text())
    if report.get("benchmark") == "registration":
        return registration_table.section(report)
    if report.get("benchmark") == "backends":
        return backend_table.section(report)
    return kernel_table.section(report)


def filled(readme: str, name: str, text: str) -> str:
    """The README with the place of one table filled; an error if it has no such place."""
    start, end = f"<!-- results {name} -->", "<!-- end -->"
    place = re.compile(re.escape(start) + r"\n.*?" + re.escape(end), re.DOTALL)
    if not place.search(readme):
        raise SystemExit(f"README.md has no lines {start} ... {end}")
    return place.sub(lambda _: f"{start}\n{text}\n{end}", readme, count=1)


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    path = ROOT / "README.md"
    before = after = path.read_text()
    for results in sorted((ROOT / "benchmarks" / "results").glob("*.json")):
        after = filled(after, results.stem, section(results))
    if check and after != before:
        raise SystemExit("README.md is not what the results give: run python -m benchmarks.readme_table")
    if not check:
        path.write_text(after)


if __name__ == "__main__":
    main()
