"""The report page: one HTML file without scripts, other files or network access, from ``page.html``."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from ..text.printable import printable
from . import panels, tables
from .input import ReportInput, versions
from .quality import change, figures, known, verdict
from .summary import error_summary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..results import Registration

VERDICTS = {
    "pass": ("Pass", "all figures within their limits"),
    "review": ("Review", "inspect before use"),
    "fail": ("Fail", "do not use as it is"),
    "error": ("Failed", "there is no result"),
}
# stages, in the order of the pipeline; muted, distinct, in the order of a rainbow
STAGE_COLOURS = ("#8c9aa8", "#6b8fb3", "#3f7fa6", "#2f8f8f", "#5aa469", "#c9a227", "#c97b45", "#a8577e")


@dataclass(frozen=True)
class Stage:
    """The time of a stage, and its share of the total."""

    name: str
    seconds: float
    percent: float
    colour: str

    @property
    def duration(self) -> str:
        """The time in s, or in ms below a second."""
        return f"{self.seconds:.2f} s" if self.seconds >= 1 else f"{1000 * self.seconds:.0f} ms"


def result_page(data: ReportInput, result: Registration) -> str:
    """Render the page of a finished registration."""
    judged, slices = figures(result), panels.SliceRenderer(data, result)
    return _render(
        data,
        verdict(judged),
        _lead(result),
        error=None,
        tiles=_tiles(data, result),
        warnings=result.warnings,
        scans=panels.scans(data, slices),
        comparison=panels.comparison(slices),
        flicker=panels.flicker(slices),
        deformation=panels.deformation(slices),
        truth=None if data.truth is None else panels.truth(data.truth, slices),
        figures=judged,
        stages=_stages(result.seconds),
        transform_sentence=tables.transform_sentence(result),
        alignment=tables.alignment_facts(result),
        setting_facts=tables.setting_facts(data, result),
    )


def failure_page(
    data: ReportInput,
    error: BaseException,
    seconds: Mapping[str, float] | None = None,
    message: str | None = None,
) -> str:
    """Render the page of a registration that failed.

    Args:
        data: The scans, as far as they were read, and the options.
        error: The reason.
        seconds: Time of each stage that was reached.
        message: Replaces the message of the error.
    """
    readable = data.fixed is not None or data.moving is not None
    return _render(
        data,
        "error",
        "The registration ended without a result.",
        error=error_summary(error, message),
        scans=panels.scans(data, None) if readable else None,
        stages=_stages(seconds or {}),
        setting_facts=tables.setting_facts(data, None),
    )


def _render(data: ReportInput, state: str, lead: str, **content: object) -> str:
    import jinja2

    folder = files(__package__)
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if hasattr(value, "__html__") else printable(str(value)),
    )
    template = environment.from_string(folder.joinpath("page.html").read_text("utf-8"))
    page: str = template.render(
        data=data,
        state=state,
        verdict=dict(zip(("name", "meaning"), VERDICTS[state], strict=True)),
        lead=lead,
        style=folder.joinpath("page.css").read_text("utf-8"),
        pair_facts=tables.pair_facts(data),
        versions=versions(),
        **content,
    )
    return page


def _lead(result: Registration) -> str:
    parts = []
    linear = result.affine or result.rigid
    if linear is not None:
        turn = tables.rotation_and_stretch(linear.matrix)[0]
        parts.append(
            f"aligned by {'an affine' if result.affine else 'a rigid'} map that rotates by {turn:.1f}°"
        )
    if result.deformation is not None:
        size = np.sqrt(
            (np.asarray(result.deformation.displacement_mm[:, ::2, ::2, ::2], np.float64) ** 2).sum(axis=0)
        )
        parts.append(f"deformed by up to {np.percentile(size, 95):.1f} mm in 95 % of the field")
    parts.append(f"in {sum(result.seconds.values()):.1f} s")
    sentence = ", ".join(parts)
    return "The moving scan was " + sentence + (", stopped at the deadline." if result.degraded else ".")


def _tiles(data: ReportInput, result: Registration) -> list[tuple[str, str]]:
    q = known(result.quality)
    tiles = [
        (f"{sum(result.seconds.values()):.1f} s", "total time"),
        (change(result.quality.nmi_before, q.nmi_after, 2), "NMI"),
        (f"{q.folded_voxels + q.inverse_folded_voxels:,}", "folded voxels, both ways"),
        (f"{q.inverse_consistency_p95_mm:.2f} mm", "inverse consistency p95"),
        (f"{q.displacement_p95_mm:.1f} mm", "deformation p95"),
    ]
    tiles = [(value, name) for value, name in tiles if "nan" not in value]  # not measured in time
    if data.truth is not None:
        truth = f"{data.truth.start_error_mm:.1f} → {data.truth.mean_error_mm:.2f} mm"
        tiles.insert(0, (truth, "mean error"))
    return tiles


def _stages(seconds: Mapping[str, float]) -> list[Stage]:
    total = max(sum(seconds.values()), 1e-9)
    return [
        Stage(name, time, 100 * time / total, colour)
        for (name, time), colour in zip(seconds.items(), STAGE_COLOURS * 3, strict=False)
    ]
