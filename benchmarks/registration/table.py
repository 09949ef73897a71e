"""The tables of whole registrations, from the results of ``registration/compare.py``."""

from __future__ import annotations

from typing import Any

import numpy as np

OURS, START = "mmreg_rt", "start"
NAMES = {"start": "no deformation", "greedy": "greedy NMI", "convexadam": "convexAdam MIND"}
NAMES |= {"ants": "ANTs SyN Mattes", "elastix": "elastix MI", "mmreg_rt": "**mmreg_rt**"}
Result = dict[str, Any]


def cell(result: Result | None, best: bool) -> str:
    """Format one method on one pair: Dice (or TRE), CPU seconds, and folds if there are any; bold if best."""
    if result is None:
        return "-"
    if "failed" in result:
        return "not installed" if result.get("missing") else "fails"
    text = f"{result['dice']:.3f}" if "dice" in result else f"{result['tre_mm']:.2f} mm"
    if "cpu_s" in result:
        text += f", {result['cpu_s']:.1f} s"
    if best:
        text = f"**{text}**"
    return text + (
        f", {result['folded_percent']:.2g} % folded" if result.get("folded_percent", 0) > 0 else ""
    )


def rank(result: Result) -> float:
    """Return a score where higher is better: Dice, or minus the landmark error; a failure is last."""
    return float(result["dice"]) if "dice" in result else -float(result.get("tre_mm", np.inf))


def cells(results: dict[str, Result], order: list[str]) -> list[str]:
    """Format the cells of one pair; the best of the displayed values are bold."""
    rounded = {name: round(rank(result), 3 if "dice" in result else 2) for name, result in results.items()}
    return [cell(results.get(name), rounded.get(name) == max(rounded.values())) for name in order]


def methods(tasks: list[Result]) -> list[str]:
    present = {name for task in tasks for name in task["results"]}
    return [name for name in (START, *sorted(present - {OURS, START}), OURS) if name in present]


def table(report: Result) -> list[str]:
    order = methods(report["tasks"])
    rows = [["pair", *(NAMES.get(name, name) for name in order)]]
    for task in report["tasks"]:
        rows.append([task["name"], *cells(task["results"], order)])
    return markdown(rows)


def markdown(rows: list[list[str]]) -> list[str]:
    """Format a table whose first row is its head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return [lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]]


def differences(report: Result) -> list[str]:
    """Format the mean paired Dice difference to each other method as list items."""
    text = "- Dice minus {}: {mean:+.3f} (95 % interval {low:+.3f} to {high:+.3f}; "
    text += "{pairs} pairs, {won} won, {lost} lost)"
    return [text.format(NAMES.get(other, other), **d) for other, d in report["dice_difference"].items()]


def folds(report: Result) -> str:
    counts = [
        task["results"][OURS]["folds"] for task in report["tasks"] if "folds" in task["results"].get(OURS, {})
    ]
    total = sum(way["total"] for count in counts for way in count.values())
    return (
        f"Folded voxels of mmreg_rt in its {2 * len(counts)} written fields (forward and inverse, whole "
        f"grid): {total}."
    )


def bundle_cell(tasks: list[Result], method: str, difference: Result | None) -> str:
    """Format mean Dice and wall seconds of a method on a group, and its gain over the solver alone."""
    results = [task["results"][method] for task in tasks]
    if any("failed" in result for result in results):
        return "fails"
    text = f"{sum(result['dice'] for result in results) / len(results):.3f}"
    if difference is not None:  # stored as solver minus method; shown as method minus solver
        text += " ({:+.3f} [{:+.3f}, {:+.3f}])".format(*(-difference[key] for key in ("mean", "high", "low")))
    if "wall_s" in results[0]:
        text += f", {sum(result['wall_s'] for result in results) / len(results):.2f} s"
    return text


def bundle_section(report: Result) -> str:
    """Format groups of pairs, with networks: a row for each group."""
    order = [
        START,
        OURS,
        *sorted({name for task in report["tasks"] for name in task["results"]} - {OURS, START}),
    ]
    rows = [["pairs", *(NAMES.get(name, name.removeprefix(f"{OURS}+")) for name in order)]]
    folded = 0
    for group, differences in report["groups"].items():
        tasks = [task for task in report["tasks"] if task["name"].startswith(group)]
        cells = [bundle_cell(tasks, name, differences.get(name) if name != START else None) for name in order]
        rows.append([f"{len(tasks)} {group}", *cells])
        results = [result for task in tasks for result in task["results"].values() if "folds" in result]
        folded += sum(way["total"] for result in results for way in result["folds"].values())
    return "\n".join(
        [
            "Mean Dice, in brackets the paired difference to the solver alone with its 95 % interval, and "
            "wall seconds of the first registration after loading the network. `:alone` is one pass of the "
            "network without the solver. Folded voxels in all written fields, forward and inverse: "
            f"{folded}.",
            "",
            *markdown(rows),
            "",
            f"{measured(report)}.",
        ]
    )


def measured(report: Result) -> str:
    machine, repeats = report["machine"], report["repeats"]
    runs = "a single run" if repeats == 1 else f"least of {repeats} interleaved runs"
    return (
        f"{machine['cores']} cores of {machine['cpu']}, {report['threads']} threads; "
        f"commit {report['commit']}, {report['date']}, {runs}"
    )


def section(report: Result) -> str:
    if report.get("groups"):
        return bundle_section(report)
    caption = (
        "Cells: mean Dice over the labels (or mean landmark error in mm), CPU seconds of the registration "
        "alone. The best of each row is bold."
    )
    end = " ".join([f"{measured(report)}.", *([report["remark"]] if "remark" in report else [])])
    return "\n".join([f"{caption} {folds(report)}", "", *table(report), "", *differences(report), "", end])
