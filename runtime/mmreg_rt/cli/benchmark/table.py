"""The figures of a benchmark for people: what ran, then a table for each size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .measure import FIGURES, PERCENTILES, runs_for
from .plot import blocks

if TYPE_CHECKING:
    from .measure import Measured

NAME = 20  # width of the first column
WAYS = {"plan": "planned", "network": "the network alone", "registration": "whole registrations"}


def table(found: Mapping[str, Any], samples: Sequence[Measured]) -> Iterator[str]:
    """Line by line."""
    machine = found["machine"]
    yield what_ran(found)
    device = f"; {machine['device']}" if machine["device"] else ""
    yield f"{machine['cpu']}, {machine['processors']} processors, load before {machine['load']}{device}"
    yield f"import of the library, and first load: {found['import_and_first_load_ms']:.0f} ms"
    yield from (f"not {name}: {reason}" for name, reason in found["passed_over"].items())
    for case, measured in zip(found["cases"], samples, strict=True):
        yield ""
        yield from _case(case, found["idle_s"], measured)


def what_ran(found: Mapping[str, Any]) -> str:
    """Model, library, device and precision."""
    ran = found["cases"][0]["ran"]
    return (
        f"{found['model']}, {WAYS[found['timed']]}: {ran['backend']} {ran['version']} on {ran['device']}, "
        f"{ran['precision']} ({ran['arithmetic']}), {ran['threads']} threads"
    )


def titled(case: Mapping[str, Any]) -> str:
    """Size and spacing."""
    size = "x".join(map(str, case["size_voxels"]))
    return f"{size} of {case['spacing_mm']:.3g} mm" if "spacing_mm" in case else size


def _case(case: Mapping[str, Any], idle_s: float, measured: Measured) -> Iterator[str]:
    seen = case.get("network_size_voxels", case["size_voxels"])
    grid = "" if seen == case["size_voxels"] else f" (to the network {'x'.join(map(str, seen))})"
    yield f"{titled(case)}{grid}: {case['runs']} runs, {case['pairs_per_s']:.3g} pairs/s"
    yield f"{'ms':<{NAME}}" + "".join(f"{name:>10}" for name in FIGURES)
    for stage, values in case["stages_ms"].items():
        yield _row(stage, values)
    yield _row("total", case["total_ms"])
    crowd = case["contention"]
    if crowd:
        yield _row("total, contended", crowd["total_ms"])
    yield from _notes(case)
    yield "cold start: " + ", ".join(f"{stage} {ms:.1f} ms" for stage, ms in case["cold_start_ms"].items())
    if case["after_idle_ms"]:
        after = ", ".join(f"{value:.2f}" for value in case["after_idle_ms"])
        yield f"after {idle_s:g} s idle: {after} ms"
    yield f"total:     {blocks(measured.whole)}"
    if crowd:
        yield f"contended: {blocks(measured.contended)}"


def _row(name: str, values: Mapping[str, float | None]) -> str:
    shown = (f"{values[figure]:10.2f}" if values[figure] is not None else f"{'-':>10}" for figure in FIGURES)
    return f"{name:<{NAME}}" + "".join(shown)


def _notes(case: Mapping[str, Any]) -> Iterator[str]:
    """What the figures cannot say by themselves."""
    crowd, mended = case["contention"], case.get("mended_voxels")
    waits = ", waited for after every stage" if "graphs" in case["ran"] else ""
    yield f"stages: of {case['stage_runs']} other runs{waits}"
    if crowd:
        filters = " and filters on the device" if crowd["filters_on_device"] else ""
        yield f"contended: {crowd['runs']} runs beside {crowd['busy_processes']} busy processes{filters}"
    if mended:
        yield f"the network's field folded in {mended} voxels, and was smoothed: a part of integrate and warp"
    few = [case["total_ms"], *case["stages_ms"].values(), *([crowd["total_ms"]] if crowd else [])]
    for name, percent in PERCENTILES.items():
        if any(values[name] is None for values in few):
            yield f"{name}: not told of fewer than {runs_for(percent)} runs, none of which would lie above it"
