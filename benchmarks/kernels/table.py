"""The table of native operations, from the results of ``kernels/measure.py``."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]
# Operations that have been renamed since a row was measured; stored results keep the names of their time.
RENAMED = {"reach": "max_displacement"}


def current(name: str) -> str:
    """Return the name of a row (``operation`` or ``operation/variant``), with the present operation."""
    operation, slash, variant = name.partition("/")
    return RENAMED.get(operation, operation) + slash + variant


def operation_of(name: str) -> str:
    """Return the operation that a row measures, by its present name."""
    return current(name).partition("/")[0]


def fastest(rows: list[Row]) -> Row:
    return min(rows, key=lambda row: float(row["ns_per_voxel"]))


def line(operation: str, rows: list[Row], targets: list[str]) -> str:
    """Format one operation: all targets on one thread, the best library, the ratio, the share of the copy."""
    native = {row["contender"]: row for row in rows if row["native"] and row["threads"] == 1}
    best, library = fastest(list(native.values())), [row for row in rows if not row["native"]]
    single = [row for row in library if row["threads"] == 1]
    cells = [f"{native[t]['ns_per_voxel']:.2f}" if t in native else "-" for t in targets]
    cells.append(f"{fastest(single)['contender']} {fastest(single)['ns_per_voxel']:.1f}" if single else "-")
    cells.append(f"{best['times_best_library']:.1f}x" if best["times_best_library"] else "-")
    cells.append(f"{1 / best['fraction_of_copy']:.1f}x")
    return f"| {current(operation)} | " + " | ".join(cells) + " |"


def section(report: dict[str, Any]) -> str:
    rows: list[Row] = [row for row in report["rows"] if "missing" not in row]
    absent = dict.fromkeys(row["contender"] for row in report["rows"] if "missing" in row)
    targets = list(dict.fromkeys(row["contender"] for row in rows if row["native"]))
    head = ["operation", *targets, "best library", "faster by", "copy bound times"]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for operation in dict.fromkeys(row["operation"] for row in rows):
        lines.append(line(operation, [row for row in rows if row["operation"] == operation], targets))
    size, machine = " x ".join(str(n) for n in report["shape"]), report["machine"]
    where = f"{machine['cpu']}; commit {report['commit']}, {report['date']}"
    where += f". Not installed there: {', '.join(absent)}" if absent else ""
    return "\n".join(
        [f"ns per voxel, {size}, one thread, median of interleaved rounds; {where}.", "", *lines]
    )
