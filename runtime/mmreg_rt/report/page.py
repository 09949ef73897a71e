"""The report page: one HTML file without scripts, other files or network access."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from . import panels
from .input import ReportInput, TruthScore, versions
from .markup import Html, join, tag
from .quality import NOTE, Figure, change, figures, known, verdict
from .summary import error_summary
from .tables import pair_facts, setting_facts, transform_in_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..results import Registration

VERDICTS = {
    "pass": ("Pass", "all figures within their limits"),
    "review": ("Review", "inspect before use"),
    "fail": ("Fail", "do not use as it is"),
    "error": ("Failed", "there is no result"),
}
INTRODUCTIONS = {
    "The scans": "Planes through the middle of each scan along its own axes, all at one scale; "
    "the patient's right is on the left.",
    "Before and after": "The same planes of the fixed scan. Structures should continue across the tiles, "
    "and outlines should lie on borders.",
    "Look closer": "Fixed and warped in one place. Structures that move between the two are misaligned.",
    "Deformation": "How the transform deforms space. Thin lines are outlines of the fixed scan.",
    "Quality": "Each figure with its limits; the verdict is the worst of them. Limits say when to slices, "
    "not that a result is right.",
    "Time": "Wall-clock time of each stage.",
}
# stages, in the order of the pipeline; muted, distinct, in the order of a rainbow
STAGE_COLOURS = ("#8c9aa8", "#6b8fb3", "#3f7fa6", "#2f8f8f", "#5aa469", "#c9a227", "#c97b45", "#a8577e")


def result_page(data: ReportInput, result: Registration) -> str:
    """Render the page of a finished registration."""
    judged, slices = figures(result), panels.SliceRenderer(data, result)
    return _document(
        data,
        verdict(judged),
        _lead(result),
        _tiles(data, result),
        _warnings(result),
        _section("The scans", panels.scans(data, slices)),
        _section("Before and after", panels.comparison(slices)),
        _section("Look closer", panels.flicker(slices)),
        _section("Deformation", panels.deformation(slices)),
        _truth(data.truth, slices),
        _section("Quality", _quality(judged)),
        _section("Time", _times(result.seconds)),
        _section("The transform in words", transform_in_words(result)),
        _section("Scans and settings", pair_facts(data), setting_facts(data, result)),
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
    reason = error_summary(error, message)
    return _document(
        data,
        "error",
        "The registration ended without a result.",
        tag(
            "section",
            tag("h2", "What went wrong"),
            tag("p", reason["message"] or reason["kind"], class_="what"),
            tag("p", tag("code", reason["code"])),
            class_="error",
        ),
        _section("The scans", panels.scans(data, None)) if readable else None,
        _section("Time", _times(seconds)) if seconds else None,
        _section("Scans and settings", pair_facts(data), setting_facts(data, None)),
    )


def _document(data: ReportInput, state: str, lead: str, *sections: Html | None) -> str:
    style = files(__package__).joinpath("page.css").read_text("utf-8")
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{data.moving_name} onto {data.fixed_name}: {state}"),
        tag("style", Html(style)),
    )
    body = tag("body", _head(data, state, lead), *sections, _footer())
    return "<!doctype html>\n" + tag("html", head, body, lang="en")


def _head(data: ReportInput, state: str, lead: str) -> Html:
    name, meaning = VERDICTS[state]
    title = tag("h1", data.moving_name, tag("span", " → ", class_="arrow"), data.fixed_name)
    words = tag(
        "div", tag("div", "Registration report", class_="kicker"), title, tag("p", lead, class_="lead")
    )
    return tag(
        "div",
        words,
        tag(
            "div",
            tag("b", name),
            tag("span", meaning),
            class_=f"verdict {'fail' if state == 'error' else state}",
        ),
        class_="head",
    )


def _lead(result: Registration) -> str:
    parts = []
    linear = result.affine or result.rigid
    if linear is not None:
        turn = _rotation_degrees(linear.matrix)
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


def _rotation_degrees(matrix: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    left, _, right = np.linalg.svd(matrix[:3, :3])
    return float(np.degrees(np.arccos(np.clip((np.trace(left @ right) - 1) / 2, -1, 1))))


def _tiles(data: ReportInput, result: Registration) -> Html:
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
    return tag(
        "div",
        *(tag("div", tag("b", value), tag("span", name), class_="tile") for value, name in tiles),
        class_="tiles",
    )


def _warnings(result: Registration) -> Html | None:
    if not result.warnings:
        return None
    return tag("section", tag("h2", "Warnings"), *(tag("p", line, class_="warn") for line in result.warnings))


def _section(title: str, *content: Html | None, intro: str | None = None) -> Html:
    introduction = intro or INTRODUCTIONS.get(title)
    return tag("section", tag("h2", title), tag("p", introduction) if introduction else None, *content)


def _truth(score: TruthScore | None, slices: panels.SliceRenderer) -> Html | None:
    if score is None:
        return None
    intro = (
        f"The true transform of the phantom is known. Over the head the error is {score.mean_error_mm:.2f} "
        f"mm on average, {score.p95_error_mm:.2f} mm at the 95th percentile and {score.max_error_mm:.1f} mm "
        f"at most; before registration the mean was {score.start_error_mm:.1f} mm."
    )
    return _section("Against the truth", panels.truth(score, slices), intro=intro)


def _quality(judged: list[Figure]) -> Html:
    rows = [
        tag(
            "tr",
            tag("th", figure.label, tag("small", figure.meaning)),
            tag("td", figure.value, class_="num"),
            tag("td", figure.rule, class_="rule"),
            tag(
                "td",
                tag(
                    "span",
                    figure.state,
                    class_=f"chip {figure.state if figure.state != NOTE else 'note-state'}",
                ),
            ),
        )
        for figure in judged
    ]
    titles = tag(
        "tr", tag("th", "Figure"), tag("th", "Value"), tag("th", "Limits", class_="rule"), tag("th", "")
    )
    return tag("table", tag("thead", titles), tag("tbody", *rows))


def _times(seconds: Mapping[str, float]) -> Html:
    total = max(sum(seconds.values()), 1e-9)
    coloured = list(zip(seconds.items(), STAGE_COLOURS * 3, strict=False))
    bars = [
        tag(
            "div", title=f"{stage} {time:.3f} s", style=f"width:{100 * time / total:.3f}%;background:{colour}"
        )
        for (stage, time), colour in coloured
    ]
    legend = [
        tag(
            "span",
            tag("span", class_="dot", style=f"background:{colour}"),
            stage.replace("_", " ") + " ",
            tag("b", _duration(time)),
        )
        for (stage, time), colour in coloured
    ]
    return join(tag("div", *bars, class_="time"), tag("div", *legend, class_="legend"))


def _duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"


def _footer() -> Html:
    ran_on = " · ".join(f"{name} {value}" for name, value in versions().items())
    return tag(
        "footer",
        "Brightness is equalised per scan for display; files keep their values. "
        "Research software, not a medical device. ",
        ran_on,
    )
