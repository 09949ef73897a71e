"""The report: one page of HTML that needs nothing else, neither files nor scripts nor a network."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from . import panels
from .input import Case, TruthScore, versions
from .markup import Html, join, tag
from .quality import NOTE, Figure, change, figures, known, verdict
from .summary import error_summary
from .tables import map_in_words, pair_facts, setting_facts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..results import Registration

VERDICTS = {
    "pass": ("Pass", "all figures within their limits"),
    "review": ("Review", "look before you use it"),
    "fail": ("Fail", "do not use it as it is"),
    "error": ("Failed", "there is no result"),
}
INTRODUCTIONS = {
    "The scans": "Planes through the middle of each scan along its own axes, all at one scale; "
    "the patient's right is on the left.",
    "Before and after": "The same planes of the fixed scan. Structures must run on across the tiles, "
    "and outlines must lie on borders.",
    "Look closer": "Fixed and warped in one place. What jumps does not match.",
    "Deformation": "What the map does to space. Thin lines are outlines of the fixed scan.",
    "Quality": "Each figure with its limits; the verdict is the worst of them. Limits say when to look, "
    "not that a result is right.",
    "Time": "Wall clock of each stage.",
}
# stages, in the order of the pipeline; muted, distinct, in the order of a rainbow
STAGE_COLOURS = ("#8c9aa8", "#6b8fb3", "#3f7fa6", "#2f8f8f", "#5aa469", "#c9a227", "#c97b45", "#a8577e")


def result_page(case: Case, result: Registration) -> str:
    """The page of a finished registration."""
    judged, look = figures(result), panels.Look(case, result)
    return _document(
        case,
        verdict(judged),
        _lead(result),
        _tiles(case, result),
        _warnings(result),
        _section("The scans", panels.scans(case, look)),
        _section("Before and after", panels.comparison(look)),
        _section("Look closer", panels.flicker(look)),
        _section("Deformation", panels.deformation(look)),
        _truth(case.truth, look),
        _section("Quality", _quality(judged)),
        _section("Time", _times(result.seconds)),
        _section("The map in words", map_in_words(result)),
        _section("Scans and settings", pair_facts(case), setting_facts(case, result)),
    )


def failure_page(
    case: Case,
    error: BaseException,
    seconds: Mapping[str, float] | None = None,
    message: str | None = None,
) -> str:
    """The page of a registration that ended in an error: what happened, and what was given.

    Args:
        case: What was given.
        error: What happened.
        seconds: Of the stages that were reached.
        message: In place of the words of the error.
    """
    seen = case.fixed is not None or case.moving is not None
    said = error_summary(error, message)
    return _document(
        case,
        "error",
        "The registration ended without a result.",
        tag(
            "section",
            tag("h2", "What went wrong"),
            tag("p", said["message"] or said["kind"], class_="what"),
            tag("p", tag("code", said["code"])),
            class_="error",
        ),
        _section("The scans", panels.scans(case, None)) if seen else None,
        _section("Time", _times(seconds)) if seconds else None,
        _section("Scans and settings", pair_facts(case), setting_facts(case, None)),
    )


def _document(case: Case, state: str, lead: str, *sections: Html | None) -> str:
    style = files(__package__).joinpath("page.css").read_text("utf-8")
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{case.moving_name} onto {case.fixed_name}: {state}"),
        tag("style", Html(style)),
    )
    body = tag("body", _head(case, state, lead), *sections, _footer())
    return "<!doctype html>\n" + tag("html", head, body, lang="en")


def _head(case: Case, state: str, lead: str) -> Html:
    name, meaning = VERDICTS[state]
    title = tag("h1", case.moving_name, tag("span", " → ", class_="arrow"), case.fixed_name)
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
        parts.append(f"aligned by an {'affine' if result.affine else 'rigid'} map that turns {turn:.1f}°")
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


def _tiles(case: Case, result: Registration) -> Html:
    q = known(result.quality)
    shown = [
        (f"{sum(result.seconds.values()):.1f} s", "total time"),
        (change(result.quality.similarity_before, q.similarity_after, 2), "mutual information"),
        (f"{q.folded_voxels + q.inverse_folded_voxels:,}", "folded voxels, both ways"),
        (f"{q.inverse_consistency_p95_mm:.2f} mm", "inverse consistency p95"),
        (f"{q.displacement_p95_mm:.1f} mm", "deformation p95"),
    ]
    shown = [(value, name) for value, name in shown if "nan" not in value]  # there was no time to measure it
    if case.truth is not None:
        truth = f"{case.truth.start_error_mm:.1f} → {case.truth.mean_error_mm:.2f} mm"
        shown.insert(0, (truth, "mean error to the truth"))
    return tag(
        "div",
        *(tag("div", tag("b", value), tag("span", name), class_="tile") for value, name in shown),
        class_="tiles",
    )


def _warnings(result: Registration) -> Html | None:
    if not result.warnings:
        return None
    return tag("section", tag("h2", "Warnings"), *(tag("p", line, class_="warn") for line in result.warnings))


def _section(title: str, *content: Html | None, intro: str | None = None) -> Html:
    words = intro or INTRODUCTIONS.get(title)
    return tag("section", tag("h2", title), tag("p", words) if words else None, *content)


def _truth(score: TruthScore | None, look: panels.Look) -> Html | None:
    if score is None:
        return None
    intro = (
        f"The phantom's transform is known. Over the head the map errs by {score.mean_error_mm:.2f} mm "
        f"on average, {score.p95_error_mm:.2f} mm at the 95th percentile and {score.max_error_mm:.1f} mm "
        f"at most; it was {score.start_error_mm:.1f} mm before."
    )
    return _section("Against the truth", panels.truth(score, look), intro=intro)


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
    made = " · ".join(f"{name} {value}" for name, value in versions().items())
    return tag(
        "footer",
        "Brightness is equalised per scan for display; files keep their values. "
        "Research software, not a medical device. ",
        made,
    )
