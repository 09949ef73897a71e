"""The table of backends, from the results of ``backends/measure.py``."""

from __future__ import annotations

from typing import Any

HEAD = (
    "size",
    "backend",
    "precision",
    "median s (quartiles apart)",
    "faster by",
    "peak MiB",
    "largest difference",
)


def line(row: dict[str, Any]) -> str:
    cells = [
        " x ".join(str(n) for n in row["size"]),
        row["backend"],
        row["precision"],
        f"{row['median_s']:.2f} ({row['iqr_s']:.2f})",
        f"{row['times_onnxruntime']:.1f}x",
        f"{row['peak_mib']:.0f}",
        f"{row['difference']:.1g}",
    ]
    return "| " + " | ".join(cells) + " |"


def section(report: dict[str, Any]) -> str:
    """Format the table, followed by the contenders that could not run."""
    lines = ["| " + " | ".join(HEAD) + " |", "|" + " --- |" * len(HEAD), *map(line, report["rows"])]
    lines += [f"\nNot run: {name}: {reason}" for name, reason in report["skipped"].items()]
    rounds, threads = report["rows"][0]["rounds"], report["rows"][0]["threads"]
    where = f"{report['machine']['cpu']}; commit {report['commit']}, {report['date']}"
    about = (
        f"{threads} threads, {rounds} interleaved rounds; speed relative to ONNX Runtime in fp32; {where}."
    )
    return "\n".join([about, "", *lines])
