"""Plot benchmark results: one column per method, a dot per person or slice, a line for the mean.

    python -m benchmarks.accuracy.spread_picture RESULTS.json [RESULTS.json ...] PICTURE.png

Results are those of ``cardiac.py`` (Dice, higher is better), ``known_warps.py`` (endpoint error in pixels),
``rigid_learned.py`` (surface error in mm) and ``llm_ablation.py`` (Dice of every run). Scans are not shown:
most must not be redistributed.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Result = dict[str, Any]
Columns = dict[str, list[float]]
JITTER = 0.16
ACROSS = 10  # maximum number of columns side by side


@dataclass(frozen=True)
class Panel:
    """One plot: values by method, in the order of the columns."""

    title: str
    unit: str
    columns: Columns


def cardiac(report: Result) -> list[Panel]:
    columns = {
        method["name"]: [person["dice"] for person in method["per_person"]] for method in report["methods"]
    }
    people = report["methods"][0]["people"]
    return [Panel(f"{report['set'].upper()}, {people} held-out people", "Dice", columns)]


def known_warps(report: Result) -> list[Panel]:
    columns = {
        name.replace(".mmreg", ""): [pair["endpoint_px"] for pair in method["pairs"]]
        for name, method in report["methods"].items()
    }
    people = len({pair["person"] for pair in report["pairs"]})
    title = f"{report['data']}:\n{len(report['pairs'])} slices, {people} held-out people"
    return [Panel(title, "endpoint error, px", columns)]


def rigid_learned(report: Result) -> list[Panel]:
    people = len(report["people"])
    return [
        Panel(
            f"starts {error} mm off, {people} held-out people",
            "surface error, mm",
            {name: method["errors_mm"] for name, method in methods.items()},
        )
        for error, methods in report["errors"].items()
    ]


def llm_ablation(report: Result) -> list[Panel]:
    by_task: dict[str, Columns] = defaultdict(lambda: defaultdict(list))
    for run in report["runs"]:
        columns = by_task[run["task"]]
        for when, name in (("start", "affine"), ("found", run["backbone"])):
            dices = [value for pair in run["pairs"] for value in pair[f"dice_{when}"].values()]
            columns[name].append(float(np.mean(dices)))
    return [Panel(task, "Dice of a run", columns) for task, columns in by_task.items()]


KINDS = {
    "cardiac": cardiac,
    "known_warps": known_warps,
    "rigid_learned": rigid_learned,
    "llm_ablation": llm_ablation,
}


def draw(panels: list[Panel], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    widths = [max(3, len(panel.columns)) for panel in panels]
    if sum(widths) <= ACROSS:
        size, layout = (1.3 * sum(widths) + 1, 3.6), {"ncols": len(panels), "width_ratios": widths}
    else:  # stacked
        size, layout = (1.3 * max(widths) + 1, 3.6 * len(panels)), {"nrows": len(panels)}
    figure, axes = plt.subplots(figsize=size, squeeze=False, **layout)
    for axis, panel in zip(axes.flat, panels):
        for place, values in enumerate(panel.columns.values()):
            aside = np.random.default_rng(place).uniform(-JITTER, JITTER, len(values))
            axis.plot(place + aside, values, ".", color="0.6", markersize=4)
            mean = float(np.mean(values))
            axis.plot([place - 0.3, place + 0.3], [mean, mean], color="#c03020", linewidth=2)
            axis.annotate(f"{mean:#.3g}", (place + 0.32, mean), va="center", fontsize=8, color="#c03020")
        names = [name.replace("_", " ").replace("+", "\n+ ") for name in panel.columns]
        axis.set_xticks(range(len(names)), names, fontsize=8)
        axis.set_xlim(-0.5, len(panel.columns) - 0.2)
        axis.set_ylabel(panel.unit, fontsize=8)
        axis.set_title(panel.title, fontsize=8)
        axis.tick_params(axis="y", labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "results", type=Path, nargs="+", help="results of one benchmark; each file has its own panels"
    )
    parser.add_argument("picture", type=Path, help="PNG to write")
    args = parser.parse_args()
    reports = [json.loads(path.read_text()) for path in args.results]
    draw([panel for report in reports for panel in KINDS[report["benchmark"]](report)], args.picture)


if __name__ == "__main__":
    main()
