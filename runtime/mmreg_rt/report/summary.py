"""The content of ``result.json``: the facts of the report, for programs."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from ..errors import MmregError
from ..text.json_values import plain
from .input import ReportInput, versions
from .planes import orientation
from .quality import figures, verdict

if TYPE_CHECKING:
    from ..geometry import Volume
    from ..results import Registration

FORMAT = "mmreg-result/1"


def result_summary(data: ReportInput, result: Registration) -> dict[str, Any]:
    """Summarise a registration; ``quality`` holds the figures, ``judged`` the state of each."""
    judged = figures(result)
    summary: dict[str, Any] = {
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
        summary |= {
            f.name: getattr(data.truth, f.name)
            for f in dataclasses.fields(data.truth)
            if f.name != "error_mm"
        }
    return plain(summary)  # type: ignore[no-any-return]


def failure_summary(data: ReportInput, error: BaseException, message: str | None = None) -> dict[str, Any]:
    """Summarise a registration that failed; ``message`` replaces that of the error."""
    return plain({**_input("failed", data), "error": error_summary(error, message)})  # type: ignore[no-any-return]


def error_summary(error: BaseException, message: str | None = None) -> dict[str, str]:
    """Return code and message of an error; any other than an ``MmregError`` is a bug."""
    code = error.code if isinstance(error, MmregError) else "MMREG_E_INTERNAL"
    text = str(error.args[0]) if error.args else ""
    return {"code": code, "kind": type(error).__name__, "message": text if message is None else message}


def _input(status: str, data: ReportInput) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "status": status,
        "fixed": _scan(data.fixed_name, data.fixed),
        "moving": _scan(data.moving_name, data.moving),
        "options": dict(data.options),
        "versions": versions(),
    }


def _scan(name: str, volume: Volume | None) -> dict[str, Any]:
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
