"""The README's table of whole registrations, from what ``registration.py`` wrote."""

from __future__ import annotations

from typing import Any

OURS, START = "mmreg_rt", "start"
NAMES = {"start": "no deformation", "greedy": "greedy NMI", "convexadam": "convexAdam MIND"}
NAMES |= {"ants": "ANTs SyN Mattes", "elastix": "elastix MI", "mmreg_rt": "**mmreg_rt**"}
Result = dict[str, Any]


def cell(result: Result | None, ours: bool) -> str:
    """One method on one pair: Dice (or TRE), CPU seconds, and folds where the field has any."""
    if result is None:
        return "-"
    if "failed" in result:
        return "fails"
    text = f"{result['dice']:.3f}" if "dice" in result else f"{result['tre_mm']:.2f} mm"
    if "cpu_s" in result:
        text += f", {result['cpu_s']:.1f} s"
    if ours:
        return f"**{text}**"
    return text + (f", {result['folded_percent']:.2g} % folded" if result["folded_percent"] > 0 else "")


def methods(tasks: list[Result]) -> list[str]:
    present = {name for task in tasks for name in task["results"]}
    return [name for name in (START, *sorted(present - {OURS, START}), OURS) if name in present]


def table(report: Result) -> list[str]:
    order = methods(report["tasks"])
    rows = [["pair", *(NAMES.get(name, name) for name in order)]]
    for task in report["tasks"]:
        rows.append([task["name"], *(cell(task["results"].get(name), name == OURS) for name in order)])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return [lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]]


def differences(report: Result) -> list[str]:
    """The mean paired Dice difference to each other method, as sentences in a list."""
    text = "- Dice minus {}: {mean:+.3f} (95 % interval {low:+.3f} to {high:+.3f}; "
    text += "{pairs} pairs, {won} won, {lost} lost)"
    return [text.format(NAMES.get(other, other), **d) for other, d in report["dice_difference"].items()]


def folds(report: Result) -> str:
    found = [
        task["results"][OURS]["folds"] for task in report["tasks"] if "folds" in task["results"].get(OURS, {})
    ]
    total = sum(way["total"] for both in found for way in both.values())
    return (
        f"Folded voxels of mmreg_rt in its {2 * len(found)} written fields, both ways, whole grid: {total}."
    )


def section(report: Result) -> str:
    machine = report["machine"]
    where = f"{machine['cores']} cores of {machine['cpu']}, {report['threads']} threads"
    when = f"commit {report['commit']}, {report['date']}, least of {report['repeats']} interleaved runs"
    cells = (
        "Cells: mean Dice over the labels (mm: mean landmark error), CPU seconds of the registration alone."
    )
    return "\n".join(
        [f"{cells} {folds(report)}", "", *table(report), "", *differences(report), "", f"{where}; {when}."]
    )
