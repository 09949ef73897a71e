"""``result.json``: the same facts as the report, for programs."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from ..errors import MmregError
from ..text.json_values import plain
from .input import Case, versions
from .planes import orientation
from .quality import figures, verdict

if TYPE_CHECKING:
    from ..geometry import Volume
    from ..results import Registration

FORMAT = "mmreg-result/1"


def result_summary(case: Case, result: Registration) -> dict[str, Any]:
    """A finished registration; ``quality`` holds the numbers, ``judged`` what is thought of them."""
    judged = figures(result)
    found: dict[str, Any] = {
        **_given("ok", case),
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
    if case.truth is not None:
        found |= {
            f.name: getattr(case.truth, f.name)
            for f in dataclasses.fields(case.truth)
            if f.name != "error_mm"
        }
    return plain(found)  # type: ignore[no-any-return]


def failure_summary(case: Case, error: BaseException, message: str | None = None) -> dict[str, Any]:
    """A registration that ended in an error; ``message`` in place of its own words."""
    return plain({**_given("error", case), "error": error_summary(error, message)})  # type: ignore[no-any-return]


def error_summary(error: BaseException, message: str | None = None) -> dict[str, str]:
    """Code and message of an error; any but ours is a bug and has the code of one."""
    code = error.code if isinstance(error, MmregError) else "MMREG_E_INTERNAL"
    words = str(error.args[0]) if error.args else ""
    return {"code": code, "kind": type(error).__name__, "message": words if message is None else message}


def _given(status: str, case: Case) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "status": status,
        "fixed": _scan(case.fixed_name, case.fixed),
        "moving": _scan(case.moving_name, case.moving),
        "options": dict(case.options),
        "versions": versions(),
    }


def _scan(name: str, volume: Volume | None) -> dict[str, Any]:
    """Facts in the axis order of this package, axis 0 first."""
    if volume is None:
        return {"name": name}
    grid = volume.grid
    return {
        "name": name,
        "shape": grid.shape,
        "spacing_mm": grid.spacing_mm,
        "orientation": orientation(grid),
    }
