"""One registration from files to files, as ``register`` and ``demo`` run it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import io, report
from ..errors import InputError, TransformError
from ..io.images import Choice, as_stored, is_dicom, result_ending
from ..process.memory import translate_error
from .exit_codes import describe, message
from .options import read_key
from .output_folder import ALWAYS, RESULT, Output, output
from .outside_warnings import collected
from .privacy import PathRedactor
from .progress import Progress
from .scans import read_scan
from .words import for_shell

if TYPE_CHECKING:
    from ..geometry import Float64, Volume
    from ..report.summary import Summary
    from ..results import Registration
    from ..text.json_values import Json

DICOM = "dicom"
Score = Callable[["Registration"], report.TruthScore]


@dataclass(frozen=True)
class Job:
    """The scans to register, and the options."""

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
    key_file: Path | None = None  # public key that the signature of the model must match
    modalities: tuple[str, str] | None = None  # of the fixed and of the moving scan
    labels: Path | None = None  # of the moving scan
    points: Path | None = None  # of the moving scan
    fixed_mask: Path | None = None
    moving_mask: Path | None = None
    fixed_choice: Choice = Choice()  # for the fixed scan and its mask
    moving_choice: Choice = Choice()  # for the moving scan, its mask and labels
    deadline_ms: float | None = None
    threads: int | None = None
    format: str | None = None  # of the images written, as an ending without the first dot
    outside: float | None = None  # value of the warped scan outside the moving scan

    @property
    def inputs(self) -> list[Path]:
        """All files that are read."""
        model = [] if self.model is None else [Path(self.model)]
        return [path for path in asdict(self).values() if isinstance(path, Path)] + model

    @property
    def results(self) -> tuple[str, ...]:
        """Names of the files that are written."""
        others = [name for name in ALWAYS if name != "warped.nii.gz"]
        labels = [self.labels_name] * bool(self.labels)
        return (self.warped_name, *labels, *others, *["points.csv"] * bool(self.points))

    @property
    def chosen_format(self) -> str:
        """Format of the images that are written: by default that of the fixed scan."""
        if self.format is not None:
            return self.format
        both_dicom = is_dicom(self.fixed) and is_dicom(self.moving)
        return DICOM if both_dicom else result_ending(self.fixed)[1:]

    @property
    def warped_name(self) -> str:
        """Name of the warped scan: a file, or the folder of a DICOM series."""
        return "warped" if self.chosen_format == DICOM else f"warped.{self.chosen_format}"

    @property
    def labels_name(self) -> str:
        """Name of the warped labels; NIfTI beside a DICOM series."""
        return f"labels.{'nii.gz' if self.chosen_format == DICOM else self.chosen_format}"

    @property
    def options(self) -> dict[str, Json]:
        """The options without folders, which may name a patient."""
        options = asdict(self) | {"model": self.model and Path(self.model).name}
        options |= _reading(options.pop("fixed_choice"), options.pop("moving_choice"))
        if self.outside is not None and isnan(self.outside):
            options["outside"] = "nan"  # JSON has no such number
        return {
            k: v.name if isinstance(v, Path) else v
            for k, v in options.items()
            if k not in ("fixed", "moving")
        }


_EACH = ("frame", "spacing", "series")
READING = (*_EACH, "grey", "prefer", *(f"{scan}_{name}" for scan in ("fixed", "moving") for name in _EACH))


def _reading(fixed: dict[str, Json], moving: dict[str, Json]) -> dict[str, Json]:
    """Return what was chosen for each scan, by the names of the options."""
    chosen: dict[str, Json] = {"prefer": fixed["prefer"], "grey": fixed["grey"]}
    for scan, choice in (("fixed", fixed), ("moving", moving)):
        series = choice["series"]
        shown = series if series is None or str(series).isdigit() else "by UID"  # which identifies a study
        spacing = choice["spacing_mm"] and list(choice["spacing_mm"])  # type: ignore[arg-type]
        chosen |= {f"{scan}_frame": choice["frame"], f"{scan}_spacing": spacing, f"{scan}_series": shown}
    return chosen


class JobFailedError(Exception):
    """A failed registration, with the summary that ``--json`` prints."""

    def __init__(self, error: Exception, summary: Summary) -> None:
        super().__init__(describe(error))
        self.error, self.summary = error, summary


def run_job(job: Job, folder: Path, progress: Progress) -> Summary:
    """Register, write everything into ``folder``, and return the content of ``result.json``.

    Raises:
        JobFailedError: There is no result. Results of an earlier run are unchanged, and the reason is in the
            folder, unless the folder itself cannot be used.
    """
    try:
        with output(folder, job.results, job.inputs) as place:  # first: an unusable folder costs no work
            return register_into(place, job, progress)
    except InputError as error:
        reason = PathRedactor([*job.inputs, folder]).text(message(error))
        raise JobFailedError(error, report.failure_summary(_report_input(job), error, reason)) from error


def register_into(place: Output, job: Job, progress: Progress, score: Score | None = None) -> Summary:
    """Do the same as ``run_job`` in a folder that this run has already claimed."""
    redactor, runner = PathRedactor([*job.inputs, place.folder]), _Runner(_report_input(job))
    try:
        result, extras = runner.register(job, progress, score)
        summary = _write(job, runner.report_input, extras, _redacted(result, redactor), place, progress)
        place.commit(RESULT[1])
    except Exception as error:
        progress.close()
        reason = place.with_user_paths(translate_error(_with_place(error, place)))
        summary = _write_reason(runner.report_input, reason, place, redactor, progress)
        raise JobFailedError(reason, summary) from error
    progress.close()
    return summary


def _with_place(error: Exception, place: Output) -> Exception:
    """Name the folder where the system names no file, as for a full disk or a limit of file sizes."""
    if isinstance(error, OSError) and error.errno and error.filename is None:
        return OSError(error.errno, error.strerror, str(place.partial))
    return error


def _report_input(job: Job) -> report.ReportInput:
    return report.ReportInput(None, None, _shown(job.fixed), _shown(job.moving), job.options)


def _shown(path: Path) -> str:
    """Return the name of a scan for the report; folders of DICOM are often named after patients."""
    return "DICOM series" if path.is_dir() else path.name


class _Runner:
    """Reading and registering; ``report_input`` holds what has been read so far."""

    def __init__(self, report_input: report.ReportInput) -> None:
        self.report_input = report_input

    def register(self, job: Job, progress: Progress, score: Score | None) -> tuple[Registration, _Extras]:
        progress("read", 0.0)
        fixed = read_scan(job.fixed, job.fixed_choice)
        self.report_input = replace(self.report_input, fixed=fixed)  # a failure shows what was read
        moving = read_scan(job.moving, job.moving_choice)
        self.report_input = replace(self.report_input, moving=moving)
        extras = _read_extras(job)
        result = _register(job, self.report_input, extras, progress)
        if score is not None:
            progress("score", 0.0)
            self.report_input = replace(self.report_input, truth=score(result))
        return result, extras


@dataclass(frozen=True, eq=False)
class _Extras:
    """Optional files, read before the work, so that a bad file is reported at once."""

    fixed_mask: Volume | None
    moving_mask: Volume | None
    labels: Volume | None
    points: Float64 | None


def _read_extras(job: Job) -> _Extras:
    def read(path: Path | None, choice: Choice) -> Volume | None:
        return None if path is None else read_scan(path, choice)

    return _Extras(
        read(job.fixed_mask, job.fixed_choice),
        read(job.moving_mask, job.moving_choice),
        read(job.labels, job.moving_choice),
        None if job.points is None else io.read_points(job.points),
    )


def _register(job: Job, data: report.ReportInput, extras: _Extras, progress: Progress) -> Registration:
    from ..input_validation import check_points
    from ..registrar import Registrar

    assert data.fixed is not None
    assert data.moving is not None
    points_warnings = [] if extras.points is None else check_points(extras.points, data.moving.grid, "moving")
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
        public_key=read_key(job.key_file),
        modalities=job.modalities,
    )
    reading_s = progress.elapsed("read")
    result = registrar.register(
        data.fixed,
        data.moving,
        fixed_mask=extras.fixed_mask,
        moving_mask=extras.moving_mask,
        deadline_ms=_remaining_ms(job, reading_s),
        outside=job.outside,
    )
    seconds = {"read": 0.0, **result.seconds}  # reading is part of the command, and comes first
    seconds["read"] += reading_s
    return replace(result, seconds=seconds, warnings=(*result.warnings, *points_warnings))


def _remaining_ms(job: Job, reading_s: float) -> float | None:
    """Return the time left after reading; loading a model does not count."""
    return None if job.deadline_ms is None else max(job.deadline_ms - 1e3 * reading_s, 1e-6)


def _write(
    job: Job,
    data: report.ReportInput,
    extras: _Extras,
    result: Registration,
    place: Output,
    progress: Progress,
) -> Summary:
    from ..transform import Rigid

    folder = place.partial
    progress("write", 0.0)
    _write_warped(job, data, result.warped, folder / job.warped_name)
    result = _write_fields(data, result, folder)
    io.write_transform(result.affine or result.rigid or Rigid(np.eye(4)), folder / "affine.tfm")
    progress("write", 0.8)
    with collected() as outside:
        if extras.labels is not None:
            labels = result.transform.warp_labels(extras.labels, data.fixed)
            io.write_image(labels, folder / job.labels_name)
        if extras.points is not None:
            io.write_points(result.inverse.map_points(extras.points), folder / "points.csv")
    result = replace(result, warnings=(*result.warnings, *outside))
    (folder / "report.html").write_text(report.result_page(data, result), "utf-8")
    return place.write_record(report.result_summary(data, result), RESULT[1])


def _write_warped(job: Job, data: report.ReportInput, warped: Volume, path: Path) -> None:
    """Write the warped scan; as DICOM with references to the scans that it came from."""
    assert data.fixed is not None
    assert data.moving is not None
    if job.chosen_format == DICOM:
        from ..io.dicom import derived

        derived.write(warped, data.fixed, data.moving, path)
    else:
        io.write_image(as_stored(warped, data.moving, path.suffix), path)


def _write_fields(data: report.ReportInput, result: Registration, folder: Path) -> Registration:
    """Write both fields: with two components where both scans are 2-D for ITK and ANTs, and stay in plane."""
    assert data.fixed is not None
    assert data.moving is not None
    flat = io.is_planar(data.fixed) and io.is_planar(data.moving)
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
    return replace(result, warnings=(*result.warnings, tilted))


def _redacted(result: Registration, redactor: PathRedactor) -> Registration:
    """Translate warnings to the terms of the shell, and remove folders."""
    warnings = tuple(redactor.text(for_shell(warning)) for warning in result.warnings)
    settings = {name: redactor.nested(value) for name, value in result.settings.items()}
    return replace(result, warnings=warnings, settings=settings)


def _write_reason(
    data: report.ReportInput, error: Exception, place: Output, redactor: PathRedactor, progress: Progress
) -> Summary:
    """Write only the reason into the folder; never replace the error by another one."""
    reason, (page, record) = redactor.text(message(error)), place.failure_files
    summary = report.failure_summary(data, error, reason)
    try:
        place.clear()
        html = report.failure_page(data, error, progress.seconds, reason)
        (place.partial / page).write_text(html, "utf-8")
        written = place.write_record(summary, record)
        place.commit(record)
    except (OSError, InputError) as unwritable:
        return {**summary, "report": redactor.text(f"could not be written: {describe(unwritable)}")}
    return written
