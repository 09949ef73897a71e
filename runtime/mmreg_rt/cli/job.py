"""One registration from files to files: what ``register`` and ``demo`` share."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import io, report
from .exits import DEADLINE, LOW_CONFIDENCE, OK, describe
from .folder import complete
from .progress import Progress

if TYPE_CHECKING:
    from ..geometry import Float64, Volume
    from ..registration import Registration

Score = Callable[["Registration"], report.TruthScore]


@dataclass(frozen=True)
class Job:
    """What to register, and how."""

    fixed: Path
    moving: Path
    model: str | None = None
    device: str = "cpu"
    align: str = "affine"
    same_space: bool = True
    deform: bool = True
    refine: bool | None = None
    backend: str | None = None
    precision: str = "fp32"
    labels: Path | None = None  # of the moving scan
    points: Path | None = None  # of the moving scan
    fixed_mask: Path | None = None
    moving_mask: Path | None = None
    deadline_ms: float | None = None
    threads: int | None = None

    @property
    def options(self) -> dict[str, Any]:
        """What was asked for, without paths: they may name a patient."""
        given = asdict(self) | {"model": self.model and Path(self.model).name}
        return {
            k: v.name if isinstance(v, Path) else v for k, v in given.items() if k not in ("fixed", "moving")
        }


class Failed(Exception):
    """The registration failed; the folder holds the reason. Carries what ``--json`` prints."""

    def __init__(self, error: Exception, summary: dict[str, Any]) -> None:
        super().__init__(describe(error))
        self.error, self.summary = error, summary


def carry_out(job: Job, folder: Path, progress: Progress, score: Score | None = None) -> dict[str, Any]:
    """Register, write everything into ``folder``, and return what ``result.json`` says.

    Raises:
        Failed: There is no result; ``folder`` holds ``result.json`` and ``report.html`` with the reason
        alone.
    """
    case = report.Case(None, None, job.fixed.name, job.moving.name, job.options)
    try:
        with complete(folder) as partial:  # before the work: is there a place for it?
            progress("read", 0.0)
            case = replace(case, fixed=io.read(job.fixed))  # one by one: a failure shows what was read
            case = replace(case, moving=io.read(job.moving))
            extras = _read_extras(job)
            result = _register(job, case, extras, progress)
            if score is not None:
                progress("score", 0.0)
                case = replace(case, truth=score(result))
            summary = _write(case, extras, result, partial, progress)
    except Exception as error:
        progress.close()
        raise Failed(error, _write_failure(case, error, folder, progress.seconds)) from error
    progress.close()
    return summary


def exit_of(summary: dict[str, Any]) -> int:
    """The exit code of a finished registration."""
    if summary["verdict"] == "fail":
        return LOW_CONFIDENCE
    return DEADLINE if summary["degraded"] else OK


@dataclass(frozen=True, eq=False)
class _Extras:
    """What may come with the scans. It is read before the work, so that a bad file is told at once."""

    masks: dict[str, Volume]
    labels: Volume | None
    points: Float64 | None


def _read_extras(job: Job) -> _Extras:
    masks = {"fixed_mask": job.fixed_mask, "moving_mask": job.moving_mask}
    return _Extras(
        {name: io.read(path) for name, path in masks.items() if path is not None},
        None if job.labels is None else io.read(job.labels),
        None if job.points is None else io.read_points(job.points),
    )


def _register(job: Job, case: report.Case, extras: _Extras, progress: Progress) -> Registration:
    from ..checks import check_points
    from ..registrar import Registrar

    assert case.fixed is not None
    assert case.moving is not None
    odd = [] if extras.points is None else check_points(extras.points, case.moving.grid, "moving")
    registrar = Registrar(
        job.model,
        device=job.device,
        align=job.align,
        same_space=job.same_space,
        deform=job.deform,
        refine=job.refine,
        backend=job.backend,
        precision=job.precision,
        threads=job.threads,
        progress=progress,
    )
    reading = progress.running("read")
    result = registrar.register(case.fixed, case.moving, **extras.masks, deadline_ms=job.deadline_ms)
    seconds = {"read": 0.0, **result.seconds}  # reading is this program's part, and comes first
    seconds["read"] += reading
    return replace(result, seconds=seconds, warnings=type(result.warnings)([*result.warnings, *odd]))


def _write(
    case: report.Case, extras: _Extras, result: Registration, folder: Path, progress: Progress
) -> dict[str, Any]:
    from ..transform import Rigid

    assert case.fixed is not None
    assert case.moving is not None
    flat = io.is_planar(case.fixed) and io.is_planar(case.moving)  # ITK and ANTs want two components then
    progress("write", 0.0)
    io.write(result.warped, folder / "warped.nii.gz")
    io.write_transform(result.transform, folder / "transform.nii.gz", planar=flat)
    progress("write", 0.4)
    io.write_transform(result.inverse, folder / "inverse.nii.gz", planar=flat)
    io.write_transform(result.affine or result.rigid or Rigid(_identity()), folder / "affine.tfm")
    progress("write", 0.8)
    if extras.labels is not None:
        io.write(result.transform.warp_labels(extras.labels, case.fixed), folder / "labels.nii.gz")
    if extras.points is not None:
        io.write_points(result.inverse.map_points(extras.points), folder / "points.csv")
    summary = report.result_summary(case, result)
    (folder / "report.html").write_text(report.result_page(case, result), "utf-8")
    _write_json(summary, folder)
    return summary


def _write_failure(
    case: report.Case, error: Exception, folder: Path, seconds: dict[str, float]
) -> dict[str, Any]:
    """Leave the reason, and nothing else of this run, in the folder; never hide the error behind another."""
    summary = report.failure_summary(case, error)
    try:
        with complete(folder) as partial:
            _write_json(summary, partial)
            (partial / "report.html").write_text(report.failure_page(case, error, seconds), "utf-8")
    except OSError as unwritable:
        summary["report"] = f"could not be written: {describe(unwritable)}"
    return summary


def _write_json(summary: dict[str, Any], folder: Path) -> None:
    (folder / "result.json").write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n", "utf-8")


def _identity() -> Any:
    import numpy as np

    return np.eye(4)


def tell(summary: dict[str, Any], folder: Path) -> list[str]:
    """The outcome in a few lines for people."""
    quality = summary["quality"]
    known = quality["similarity_before"] is not None
    before = f"{quality['similarity_before']:.3f} -> " if known else ""
    folds = f"{quality['folded_voxels']} forward, {quality['inverse_folded_voxels']} inverse"
    lines = [
        f"Verdict: {summary['verdict']}" + (" (stopped at the deadline)" if summary["degraded"] else ""),
        f"  time                 {summary['seconds']['total']:.2f} s",
        f"  mutual information   {before}{quality['similarity_after']:.3f}",
        f"  folded voxels        {folds}",
        f"  inverse consistency  {quality['inverse_consistency_p95_mm']:.3f} mm (95 %)",
    ]
    if "mean_error_mm" in summary:
        lines.append(
            f"  error to the truth   {summary['start_error_mm']:.1f} mm -> {summary['mean_error_mm']:.2f} mm"
            f" (95 %: {summary['p95_error_mm']:.2f} mm)"
        )
    lines += [f"Warning: {warning}" for warning in summary["warnings"]]
    lines += [f"  {key}: {state}" for key, state in summary["judged"].items() if state in ("review", "fail")]
    return [*lines, f"Look at {folder / 'report.html'}"]
