"""One registration from files to files: what ``register`` and ``demo`` share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import io, report
from ..errors import InputError, TransformError
from ..process.memory import translate_error
from .exit_codes import describe, message
from .options import public_key
from .output_folder import ALWAYS, RESULT, Output, output
from .outside import heard
from .privacy import Names
from .progress import Progress
from .scans import read_scan
from .words import for_shell

if TYPE_CHECKING:
    from ..geometry import Float64, Volume
    from ..io.nifti import Form
    from ..results import Registration

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
    key_file: Path | None = None  # with the public key that the model must be signed for
    labels: Path | None = None  # of the moving scan
    points: Path | None = None  # of the moving scan
    fixed_mask: Path | None = None
    moving_mask: Path | None = None
    fixed_frame: int | None = None  # of the fixed scan and its mask, where they are series
    moving_frame: int | None = None  # of the moving scan, its mask and labels
    prefer: Form | None = None
    deadline_ms: float | None = None
    threads: int | None = None
    outside: float | None = None  # of the warped scan

    @property
    def inputs(self) -> list[Path]:
        """All that is read."""
        model = [] if self.model is None else [Path(self.model)]
        return [path for path in asdict(self).values() if isinstance(path, Path)] + model

    @property
    def results(self) -> tuple[str, ...]:
        """Names of the files that are written."""
        return (*ALWAYS, *["labels.nii.gz"] * bool(self.labels), *["points.csv"] * bool(self.points))

    @property
    def options(self) -> dict[str, Any]:
        """What was asked for, without paths: they may name a patient."""
        given = asdict(self) | {"model": self.model and Path(self.model).name}
        if self.outside is not None and isnan(self.outside):
            given["outside"] = "nan"  # JSON has no such number
        return {
            k: v.name if isinstance(v, Path) else v for k, v in given.items() if k not in ("fixed", "moving")
        }


class Failed(Exception):
    """The registration failed. Carries what ``--json`` prints."""

    def __init__(self, error: Exception, summary: dict[str, Any]) -> None:
        super().__init__(describe(error))
        self.error, self.summary = error, summary


def carry_out(job: Job, folder: Path, progress: Progress) -> dict[str, Any]:
    """Register, write everything into ``folder``, and return what ``result.json`` says.

    Raises:
        Failed: There is no result. Results of an earlier run are as they were, and the reason is in the
            folder, unless it is the folder that cannot be used.
    """
    try:
        with output(folder, job.results, job.inputs) as place:  # before the work: is there a place for it?
            return register_into(place, job, progress)
    except InputError as error:
        raise Failed(error, _failure(_case(job), error, Names([*job.inputs, folder]))) from error


def register_into(place: Output, job: Job, progress: Progress, score: Score | None = None) -> dict[str, Any]:
    """The same in a folder that is this run's already.

    Raises:
        Failed: As above.
    """
    names, work = Names([*job.inputs, place.folder]), _Work(_case(job))
    try:
        result, extras = work.register(job, progress, score)
        summary = _write(work.case, extras, _private(result, names), place, progress)
        place.commit(RESULT[1])
    except Exception as error:
        progress.close()
        shown = place.named(translate_error(_placed(error, place)))
        raise Failed(shown, _explain(work.case, shown, place, names, progress.seconds)) from error
    progress.close()
    return summary


def _placed(error: Exception, place: Output) -> Exception:
    """Name the folder where the system names no file: of a full disk, or of a limit of sizes."""
    if isinstance(error, OSError) and error.errno and error.filename is None:
        return OSError(error.errno, error.strerror, str(place.partial))
    return error


def _case(job: Job) -> report.Case:
    return report.Case(None, None, job.fixed.name, job.moving.name, job.options)


class _Work:
    """Reading and registering; ``case`` shows how far it came."""

    def __init__(self, case: report.Case) -> None:
        self.case = case

    def register(self, job: Job, progress: Progress, score: Score | None) -> tuple[Registration, _Extras]:
        progress("read", 0.0)
        fixed = read_scan(job.fixed, job.fixed_frame, job.prefer)
        self.case = replace(self.case, fixed=fixed)  # one by one: a failure shows what was read
        self.case = replace(self.case, moving=read_scan(job.moving, job.moving_frame, job.prefer))
        extras = _read_extras(job)
        result = _register(job, self.case, extras, progress)
        if score is not None:
            progress("score", 0.0)
            self.case = replace(self.case, truth=score(result))
        return result, extras


@dataclass(frozen=True, eq=False)
class _Extras:
    """What may come with the scans. It is read before the work, so that a bad file is told at once."""

    masks: dict[str, Volume]
    labels: Volume | None
    points: Float64 | None


def _read_extras(job: Job) -> _Extras:
    masks = {
        "fixed_mask": (job.fixed_mask, job.fixed_frame),
        "moving_mask": (job.moving_mask, job.moving_frame),
    }
    return _Extras(
        {
            name: read_scan(path, frame, job.prefer)
            for name, (path, frame) in masks.items()
            if path is not None
        },
        None if job.labels is None else read_scan(job.labels, job.moving_frame, job.prefer),
        None if job.points is None else io.read_points(job.points),
    )


def _register(job: Job, case: report.Case, extras: _Extras, progress: Progress) -> Registration:
    from ..input_validation import check_points
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
        public_key=public_key(job.key_file),
    )
    reading = progress.running("read")
    result = registrar.register(
        case.fixed,
        case.moving,
        **extras.masks,
        deadline_ms=_left_ms(job, reading),
        outside=job.outside,
    )
    seconds = {"read": 0.0, **result.seconds}  # reading is this program's part, and comes first
    seconds["read"] += reading
    return replace(result, seconds=seconds, warnings=type(result.warnings)([*result.warnings, *odd]))


def _left_ms(job: Job, reading_s: float) -> float | None:
    """The deadline counts from when the scans are read; to load a model is no part of it."""
    return None if job.deadline_ms is None else max(job.deadline_ms - 1e3 * reading_s, 1e-6)


def _write(
    case: report.Case, extras: _Extras, result: Registration, place: Output, progress: Progress
) -> dict[str, Any]:
    from ..transform import Rigid

    folder = place.partial
    progress("write", 0.0)
    io.write_image(result.warped, folder / "warped.nii.gz")
    result = _write_fields(case, result, folder)
    io.write_transform(result.affine or result.rigid or Rigid(_identity()), folder / "affine.tfm")
    progress("write", 0.8)
    with heard() as outside:
        if extras.labels is not None:
            io.write_image(result.transform.warp_labels(extras.labels, case.fixed), folder / "labels.nii.gz")
        if extras.points is not None:
            io.write_points(result.inverse.map_points(extras.points), folder / "points.csv")
    result = replace(result, warnings=type(result.warnings)([*result.warnings, *outside]))
    (folder / "report.html").write_text(report.result_page(case, result), "utf-8")
    return place.write_record(report.result_summary(case, result), RESULT[1])


def _write_fields(case: report.Case, result: Registration, folder: Path) -> Registration:
    """The fields, with two components where both scans are 2-D to ITK and ANTs, and stay in their plane."""
    assert case.fixed is not None
    assert case.moving is not None
    flat = io.is_planar(case.fixed) and io.is_planar(case.moving)
    fields = (("transform.nii.gz", result.transform), ("inverse.nii.gz", result.inverse))
    try:
        for name, field in fields:
            io.write_transform(field, folder / name, planar=flat)
        return result
    except TransformError as refusal:
        if refusal.code != "MMREG_E_FIELD_NOT_PLANAR":
            raise
    for name, field in fields:
        io.write_transform(field, folder / name)
    tilted = "the slices are tilted, so the fields have three components: ITK and ANTs cannot use them in 2-D"
    return replace(result, warnings=type(result.warnings)([*result.warnings, tilted]))


def _private(result: Registration, names: Names) -> Registration:
    """The warnings in words of the shell, and without folders."""
    warnings = [names.text(for_shell(warning)) for warning in result.warnings]
    return replace(result, warnings=type(result.warnings)(warnings), settings=names.all(result.settings))


def _failure(case: report.Case, error: Exception, names: Names) -> dict[str, Any]:
    return report.failure_summary(case, error, names.text(message(error)))


def _explain(
    case: report.Case, error: Exception, place: Output, names: Names, seconds: dict[str, float]
) -> dict[str, Any]:
    """Leave the reason, and nothing else of this run, in the folder; never hide the error behind another."""
    summary, (page, data) = _failure(case, error, names), place.explains_in
    try:
        place.clear()
        html = report.failure_page(case, error, seconds, names.text(message(error)))
        (place.partial / page).write_text(html, "utf-8")
        written = place.write_record(summary, data)
        place.commit(data)
    except (OSError, InputError) as unwritable:
        return {**summary, "report": names.text(f"could not be written: {describe(unwritable)}")}
    return written


def _identity() -> Any:
    import numpy as np

    return np.eye(4)
