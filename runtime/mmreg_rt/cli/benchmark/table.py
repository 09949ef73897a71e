"""The results of a benchmark as text: what ran, then a table for each size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .measure import FIGURES, PERCENTILES, runs_for
from .plot import blocks

if TYPE_CHECKING:
    from .measure import Timings

NAME = 20  # width of the first column
WAYS = {"plan": "planned", "network": "network only", "registration": "whole registrations"}


def table(results: Mapping[str, Any], samples: Sequence[Timings]) -> Iterator[str]:
    """Yield the lines of the table."""
    machine = results["machine"]
    yield what_ran(results)
    device = f"; {machine['device']}" if machine["device"] else ""
    yield f"{machine['cpu']}, {machine['processors']} processors, load before {machine['load']}{device}"
    yield f"import of the library, and first load: {results['import_and_first_load_ms']:.0f} ms"
    yield from (f"not {name}: {reason}" for name, reason in results["passed_over"].items())
    for case, timings in zip(results["cases"], samples, strict=True):
        yield ""
        yield from _case(case, results["idle_s"], timings)


def what_ran(results: Mapping[str, Any]) -> str:
    """Return model, library, device and precision."""
    ran = results["cases"][0]["ran"]
    return (
        f"{results['model']}, {WAYS[results['timed']]}: {ran['backend']} {ran['version']} on "
        f"{ran['device']}, {ran['precision']} ({ran['arithmetic']}), {ran['threads']} threads"
    )


def title(case: Mapping[str, Any]) -> str:
    """Return size and spacing."""
    size = "x".join(map(str, case["size_voxels"]))
    return f"{size} of {case['spacing_mm']:.3g} mm" if "spacing_mm" in case else size


def _case(case: Mapping[str, Any], idle_s: float, timings: Timings) -> Iterator[str]:
    size = case.get("network_size_voxels", case["size_voxels"])
    grid = "" if size == case["size_voxels"] else f" (the network sees {'x'.join(map(str, size))})"
    yield f"{title(case)}{grid}: {case['runs']} runs, {case['pairs_per_s']:.3g} pairs/s"
    yield f"{'ms':<{NAME}}" + "".join(f"{name:>10}" for name in FIGURES)
    for stage, values in case["stages_ms"].items():
        yield _row(stage, values)
    yield _row("total", case["total_ms"])
    contention = case["contention"]
    if contention:
        yield _row("total, contended", contention["total_ms"])
    yield from _notes(case)
    yield "cold start: " + ", ".join(f"{stage} {ms:.1f} ms" for stage, ms in case["cold_start_ms"].items())
    if case["after_idle_ms"]:
        after = ", ".join(f"{value:.2f}" for value in case["after_idle_ms"])
        yield f"after {idle_s:g} s idle: {after} ms"
    yield f"total:     {blocks(timings.whole)}"
    if contention:
        yield f"contended: {blocks(timings.contended)}"


def _row(name: str, values: Mapping[str, float | None]) -> str:
    cells = (f"{values[figure]:10.2f}" if values[figure] is not None else f"{'-':>10}" for figure in FIGURES)
    return f"{name:<{NAME}}" + "".join(cells)


def _notes(case: Mapping[str, Any]) -> Iterator[str]:
    """Yield remarks on the figures."""
    contention, folds = case["contention"], case.get("folds_removed")
    waits = ", with a wait after every stage" if "graphs" in case["ran"] else ""
    yield f"stages: from {case['stage_runs']} separate runs{waits}"
    if contention:
        busy = contention["busy_processes"]
        filters = " and filters on the device" if contention["filters_on_device"] else ""
        yield f"contended: {contention['runs']} runs beside {busy} busy processes{filters}"
    if folds:
        yield f"the field folded in {folds} voxels and was smoothed, as part of integrate and warp"
    figures = [
        case["total_ms"],
        *case["stages_ms"].values(),
        *([contention["total_ms"]] if contention else []),
    ]
    for name, percent in PERCENTILES.items():
        if any(values[name] is None for values in figures):
            yield f"{name}: needs at least {runs_for(percent)} runs"
