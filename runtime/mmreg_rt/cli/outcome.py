"""The end of a command that registers: what it prints, and its exit code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from ..text.printable import printable
from .exit_codes import DEADLINE, LOW_CONFIDENCE, OK, CommandError
from .job import JobFailedError
from .terminal import print_json, print_message

if TYPE_CHECKING:
    from ..report.summary import Summary


def finish_command(
    ctx: click.Context, as_json: bool, folder: Path, register: Callable[[], Summary]
) -> NoReturn:
    """Register, print the outcome, and exit.

    Raises:
        CommandError: The registration failed.
    """
    try:
        summary = register()
    except JobFailedError as failed:
        if ctx.find_root().params["debug"]:
            raise
        raise CommandError(failed.error, as_json, failed.summary) from failed
    if as_json:
        print_json(summary)
    else:
        print_message("\n".join(_lines(summary, folder)))
    ctx.exit(_exit_code(summary))


def _exit_code(summary: Summary) -> int:
    """Return the exit code of a finished registration."""
    if summary["verdict"] == "fail":
        return LOW_CONFIDENCE
    return DEADLINE if summary["degraded"] else OK


def _number(figure: float | None, form: str = ".3f", unit: str = "") -> str:
    return "not measured" if figure is None else f"{figure:{form}}{unit}"


def _lines(summary: Summary, folder: Path) -> list[str]:
    """Summarise the result in a few lines."""
    q = summary["quality"]
    folds = f"{_number(q['folded_voxels'], 'd')} forward, {_number(q['inverse_folded_voxels'], 'd')} inverse"
    before = "" if q["nmi_before"] is None else f"{q['nmi_before']:.3f} -> "
    lines = [
        f"Verdict: {summary['verdict']}" + (" (stopped at the deadline)" if summary["degraded"] else ""),
        f"  time                 {summary['seconds']['total']:.2f} s",
        f"  NMI                  {before}{_number(q['nmi_after'])}",
        f"  folded voxels        {folds}",
        f"  inverse consistency  {_number(q['inverse_consistency_p95_mm'], '.3f', ' mm (95 %)')}",
    ]
    if "mean_error_mm" in summary:
        lines.append(
            f"  error to the truth   {summary['start_error_mm']:.1f} mm -> {summary['mean_error_mm']:.2f} mm"
            f" (95 %: {summary['p95_error_mm']:.2f} mm)"
        )
    lines += [f"Warning: {printable(warning)}" for warning in summary["warnings"]]
    lines += [f"  {key}: {state}" for key, state in summary["judged"].items() if state in ("review", "fail")]
    return [*lines, f"Report: {printable(str(folder / 'report.html'))}"]
