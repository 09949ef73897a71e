"""The content of ``result.json``: the facts of the report, for programs."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypedDict

from ..errors import MmregError
from ..text.json_values import plain
from .input import ReportInput, versions
from .planes import orientation
from .quality import figures, verdict

if TYPE_CHECKING:
    from ..geometry import Volume
    from ..results import Registration
    from ..text.json_values import Json

FORMAT = "mmreg-result/1"


class Summary(TypedDict, total=False):
    """The content of ``result.json``, of a registration or of one that failed."""

    format: str
    status: str  # ok, failed
    fixed: dict[str, Json]  # name, shape, spacing_mm, orientation
    moving: dict[str, Json]
    options: dict[str, Json]
    versions: dict[str, str]
    error: dict[str, str]  # code, kind, message
    report: str  # why the report of a failure could not be written
    verdict: str
    judged: dict[str, str]  # the state of each figure
    degraded: bool
    seconds: dict[str, float]
    quality: dict[str, Any]  # as ``Quality``
    rigid: list[list[float]] | None
    affine: list[list[float]] | None
    settings: dict[str, Json]
    warnings: list[str]
    start_error_mm: float  # as ``TruthScore``
    mean_error_mm: float
    p95_error_mm: float
    max_error_mm: float
    files: dict[str, dict[str, int | str]]  # of the run, with ``bytes`` and ``sha256``
    sha256: str  # of this record


def result_summary(data: ReportInput, result: Registration) -> Summary:
    """Summarise a registration."""
    judged = figures(result)
    facts: dict[str, object] = {
        **_input("ok", data),
        "verdict": verdict(judged),
        "judged": {figure.key: figure.state for figure in judged},
        "degraded": bool(result.degraded),
        "seconds": {**result.seconds, "total": sum(result.seconds.values())},
        "quality": dataclasses.asdict(result.quality),
        "rigid": None if result.rigid is None else result.rigid.matrix,
        "affine": None if result.affine is None else result.affine.matrix,
        "settings": result.settings,
        "warnings": list(result.warnings),
    }
    if data.truth is not None:
        facts |= {
            f.name: getattr(data.truth, f.name)
            for f in dataclasses.fields(data.truth)
            if f.name != "error_mm"
        }
    summary: Summary = plain(facts)
    return summary


def failure_summary(data: ReportInput, error: BaseException, message: str | None = None) -> Summary:
    """Summarise a registration that failed; ``message`` replaces that of the error."""
    summary: Summary = plain({**_input("failed", data), "error": error_summary(error, message)})
    return summary


def error_summary(error: BaseException, message: str | None = None) -> dict[str, str]:
    """Return code and message of an error; any other than an ``MmregError`` is a bug."""
    code = error.code if isinstance(error, MmregError) else "MMREG_E_INTERNAL"
    text = str(error.args[0]) if error.args else ""
    return {"code": code, "kind": type(error).__name__, "message": text if message is None else message}


def _input(status: str, data: ReportInput) -> dict[str, object]:
    return {
        "format": FORMAT,
        "status": status,
        "fixed": _scan(data.fixed_name, data.fixed),
        "moving": _scan(data.moving_name, data.moving),
        "options": dict(data.options),
        "versions": versions(),
    }


def _scan(name: str, volume: Volume | None) -> dict[str, object]:
    """Return facts of a scan, axis 0 first."""
    if volume is None:
        return {"name": name}
    grid = volume.grid
    return {
        "name": name,
        "shape": grid.shape,
        "spacing_mm": grid.spacing_mm,
        "orientation": orientation(grid),
    }
