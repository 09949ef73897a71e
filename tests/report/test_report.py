"""The report: complete, harmless whatever it is given, and there also when there is no result."""

import html
import json
import re
import struct
import zlib
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from fixtures import pretend

from mmreg_rt.errors import GeometryError
from mmreg_rt.geometry import Grid, Volume
from mmreg_rt.report import (
    ReportInput,
    TruthScore,
    failure_page,
    failure_summary,
    figures,
    panels,
    result_page,
    result_summary,
    verdict,
)
from mmreg_rt.report.pictures import Tone, edges, grid_lines
from mmreg_rt.report.planes import orientation, planes, sample
from mmreg_rt.report.png import encode, ramp

HOSTILE = '"><script>alert(1)</script><img src=http://evil/x onerror=x>.nii.gz'


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    """Pictures of single tests may be small, and so fast; the ``page`` that most tests read is whole."""
    monkeypatch.setattr(panels, "planes", partial(planes, across_px=48))


@pytest.fixture(scope="module")
def pair():
    return pretend.scans()


@pytest.fixture(scope="module")
def result(pair):
    return pretend.registration(*pair)


@pytest.fixture(scope="module")
def page(pair, result):
    error = np.ones(pair[0].grid.shape, np.float32)
    truth = TruthScore(15.0, 0.7, 1.4, 3.0, error)
    return result_page(
        ReportInput(*pair, "fixed.nii.gz", "moving.nii.gz", {"align": "affine"}, truth), result
    )


def test_it_has_every_section(page):
    titles = re.findall("<h2>(.*?)</h2>", page)
    assert titles == ["The scans", "Before and after", "Look closer", "Deformation", "Against the truth",
                      "Quality", "Time", "The transform in words", "Scans and settings"]  # fmt: skip
    for column in ("Fixed", "Moving, before", "Moving, warped onto fixed", "Checkerboard before",
                   "Checkerboard after", "Outlines before", "Outlines after", "Deformed grid",
                   "Jacobian determinant", "Displacement", "Inverse consistency"):  # fmt: skip
        assert f"<h3>{column}</h3>" in page


def test_it_shows_each_scan_in_three_planes_with_the_sides_of_the_patient(page):
    for name in ("axial", "coronal", "sagittal"):
        assert page.count(f'alt="{name} plane"') >= 3 + 4 + 1 + 4
    for letter in "RLAPSI":
        assert re.search(f'class="side [nesw]">{letter}<', page)


def test_it_names_stages_settings_versions_and_thresholds(page):
    for words in (
        "align",
        "search mm",
        "mind.radius",
        "numpy",
        "cpu target",
        "pass: 0",
        "half a voxel",
    ):
        assert words in page


def test_it_asks_the_network_for_nothing_and_runs_no_script(page):
    assert "default-src 'none'" in html.unescape(page)
    assert not re.search(r"(?i)<script|javascript:|\son\w+=|https?://|url\(|@import", page)
    assert all(source.startswith("data:image/png;base64,") for source in re.findall('src="([^"]*)"', page))


def test_hostile_names_and_settings_come_out_as_text(pair, result):
    hostile = replace(result, settings={HOSTILE: HOSTILE}, warnings=(HOSTILE,), seconds={HOSTILE: 1.0})
    page = result_page(ReportInput(*pair, HOSTILE, HOSTILE, {HOSTILE: HOSTILE}), hostile)
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert not re.search(r"<img[^>]*(evil|onerror)", page)


def test_a_failure_leaves_a_page_with_the_reason_and_what_could_be_read(pair):
    error = GeometryError("MMREG_E_X", "The <b>moving</b> scan has no voxel. Give another.")
    page = failure_page(ReportInput(pair[0], None, "fixed.nii.gz", HOSTILE), error, {"read": 0.2})
    assert "What went wrong" in page
    assert "MMREG_E_X" in page
    assert "&lt;b&gt;moving&lt;/b&gt; scan has no voxel" in page
    assert page.count("<img ") == 3  # the planes of the fixed scan
    assert "<script" not in page
    assert "What went wrong" in failure_page(ReportInput(None, None, "a", "b"), error)


@pytest.mark.parametrize(
    ("changes", "key", "state"),
    [
        ({}, "folds", "pass"),
        ({"folded_voxels": 1}, "folds", "fail"),
        ({"inverse_folded_voxels": 3}, "inverse_folds", "fail"),
        ({"min_jacobian": 0.03}, "min_jacobian", "review"),
        ({"min_jacobian": -0.01}, "min_jacobian", "fail"),
        ({"overlap_fraction": 0.1}, "overlap", "review"),
        ({"overlap_fraction": 0.04}, "overlap", "fail"),
        ({"nmi_after": 1.046}, "similarity", "pass"),
        ({"nmi_after": 1.03}, "similarity", "review"),
        ({"nmi_after": 1.0}, "similarity", "fail"),
        ({"mind_after": 0.12}, "mind", "review"),
        ({"mind_after": 0.15}, "mind", "fail"),
        ({"evidence": None}, "evidence", "review"),
        ({"mind_after": float("nan")}, "mind", "fail"),
        ({"inverse_consistency_p95_mm": 3.0}, "inverse_consistency", "review"),  # voxels of 4 mm
        ({"inverse_consistency_p95_mm": 9.0}, "inverse_consistency", "fail"),
    ],
)
def test_each_figure_is_judged_by_its_limits_and_the_worst_is_the_verdict(result, changes, key, state):
    judged = figures(replace(result, quality=replace(result.quality, **changes)))
    assert {figure.key: figure.state for figure in judged}[key] == state
    assert verdict(judged) == state


@pytest.mark.parametrize(
    ("changes", "key", "state"),
    [
        ({"drift_mm": 9.0}, "doubt", "pass"),  # one sign of three alone does not decide
        ({"drift_mm": 9.0, "agreement": 0.05, "agreement_moved": 0.05}, "doubt", "review"),
        ({"drift_mm": 30.0, "residual_mm": 20.0, "agreement": 0.0}, "doubt", "fail"),
        ({"drift_mm": float("nan")}, "doubt", "fail"),
        ({"turned": 0.95}, "turned", "review"),
        ({"turned": 1.2}, "turned", "fail"),
        ({"mirrored": 1.04, "mirrored_information": 1.1}, "mirrored", "pass"),
        ({"mirrored": 1.06, "mirrored_information": 1.1}, "mirrored", "review"),
        ({"mirrored": 1.3, "mirrored_information": 1.1}, "mirrored", "fail"),
        ({"mirrored": 1.3, "mirrored_information": 0.9}, "mirrored", "pass"),
        ({"mirrored": float("nan")}, "mirrored", "fail"),
    ],
)
def test_the_evidence_for_the_alignment_is_judged(result, changes, key, state):
    quality = result.quality
    judged = figures(replace(result, quality=replace(quality, evidence=replace(quality.evidence, **changes))))
    assert {figure.key: figure.state for figure in judged}[key] == state
    assert verdict(judged) == state


def test_without_a_before_the_figures_are_shown_and_not_judged(pair, result):
    """Headers that say nothing put the scans apart: there is nothing to compare with."""
    alone = replace(result, quality=replace(result.quality, nmi_before=None, mind_before=None))
    judged = {figure.key: figure for figure in figures(alone)}
    assert judged["similarity"].state == judged["mind"].state == "note"
    assert judged["similarity"].value == "1.210"
    assert verdict(list(judged.values())) == "pass"
    assert "1.21" in result_page(ReportInput(*pair), alone)
    assert result_summary(ReportInput(*pair), alone)["quality"]["nmi_before"] is None


def test_a_result_stopped_at_the_deadline_needs_a_review(result):
    assert verdict(figures(replace(result, degraded=True))) == "review"


def test_the_summary_is_strict_json(pair, result):
    odd = replace(
        result, quality=replace(result.quality, mind_after=float("nan")), settings={"n": np.int64(3)}
    )
    found = json.loads(json.dumps(result_summary(ReportInput(*pair), odd), allow_nan=False))
    assert found["status"] == "ok"
    assert found["quality"]["mind_after"] is None
    assert found["settings"] == {"n": 3}
    assert found["seconds"]["total"] == pytest.approx(1.0)
    assert np.array(found["affine"]).shape == (4, 4)
    failed = failure_summary(ReportInput(None, None, "a", "b"), pretend.NO_OVERLAP)
    assert failed["error"]["code"] == "MMREG_E_NO_OVERLAP"


def test_a_2d_pair_has_one_plane():
    image = Volume.from_array(np.add.outer(np.arange(30.0), np.arange(40.0)), np.diag([1.0, 1.0, 1.0]))
    (own,) = planes(image)
    assert [plane.name for plane in own] == ["axial"]
    result = pretend.registration(image, image, shift_mm=np.zeros(3))
    assert "Deformed grid" in result_page(ReportInput(image, image), result)


def test_a_result_without_deformation_or_alignment_is_shown_as_well(pair, result):
    assert "Quality" in result_page(
        ReportInput(*pair), replace(result, deformation=None, affine=None, rigid=None)
    )


def test_a_marker_appears_where_the_letters_say():
    """One bright voxel at the patient's right, front and head, on axes that run the other way round."""
    affine = np.array([[0, 0, -2.0, 40], [0, -3.0, 0, 50], [-4.0, 0, 0, 60], [0, 0, 0, 1]])
    grid = Grid((15, 17, 21), affine)
    data = np.zeros(grid.shape, np.float32)
    data[0, 0, 0] = 1  # x 40 (most right), y 50 (front), z 60 (head)
    (own,) = planes(Volume(data, grid))
    for plane in own:
        shown = sample(data, grid, plane.points)
        row, column = np.argwhere(shown == np.nanmax(shown))[0] if np.nanmax(shown) > 0 else (None, None)
        height, width = shown.shape
        assert plane.top == ("A" if plane.name == "axial" else "S")
        assert plane.left == ("A" if plane.name == "sagittal" else "R")
        assert row < height / 2
        assert column < width / 2  # top and left of each picture are front or head, and right or front


def test_axes_are_named_as_nifti_tools_do():
    assert orientation(Grid((4, 5, 6), np.eye(4)[[2, 1, 0, 3]])) == "RAS"
    assert orientation(Grid((4, 5, 6), np.diag([-1.0, 1, 1, 1])[[2, 1, 0, 3]])) == "RAI"


def test_planes_are_to_scale_in_millimetres(pair):
    for own in planes(*pair):
        for plane in own:
            across = np.linalg.norm(plane.points[0, 1] - plane.points[0, 0])
            down = np.linalg.norm(plane.points[1, 0] - plane.points[0, 0])
            np.testing.assert_allclose((across, down), plane.pixel_mm, rtol=1e-9)


def test_pictures_are_png_files_that_decode_to_their_pixels():
    indices = np.arange(12, dtype=np.uint8).reshape(3, 4)
    data = encode(indices, ramp(((0, 0, 0), (255, 255, 255)), 16))
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", data[16:24]) == (4, 3)
    body = data[data.index(b"IDAT") + 4 : data.index(b"IEND") - 8]
    rows = np.frombuffer(zlib.decompress(body), np.uint8).reshape(3, 5)
    np.testing.assert_array_equal(rows[:, 1:], indices)
    np.testing.assert_array_equal(rows[:, 0], 0)


def test_outlines_lie_on_borders_and_not_in_noise():
    rng = np.random.default_rng(3)
    image = np.zeros((60, 80))
    image[20:40, 30:60] = 0.8
    image += rng.normal(0, 0.02, image.shape)
    found = np.argwhere(edges(image) > 0)
    on_border = (np.minimum(abs(found[:, 0] - 19.5), abs(found[:, 0] - 39.5)) < 2.5) | (
        np.minimum(abs(found[:, 1] - 29.5), abs(found[:, 1] - 59.5)) < 2.5
    )
    assert len(found) > 60
    assert on_border.mean() > 0.95


def test_grid_lines_are_a_step_apart():
    across, up = np.meshgrid(np.arange(50.0), np.arange(40.0))
    line = grid_lines(across, up, 10)
    assert set(np.flatnonzero(line[5] == 1)) == {0, 10, 20, 30, 40}
    assert set(np.flatnonzero(line[:, 5] == 1)) == {0, 10, 20, 30}


def test_brightness_never_turns_around_and_shows_soft_tissue_beside_bone():
    values = np.r_[np.full(5000, -1000.0), np.linspace(20, 60, 4000), np.linspace(800, 1500, 1000)]
    tone = Tone(values)
    shown = tone(np.linspace(-1200, 2000, 500))
    assert (np.diff(shown) >= 0).all()
    assert tone(np.array(60.0)) - tone(np.array(20.0)) > 2 * 40 / 2500  # more than a plain window gives
    assert np.isnan(tone(np.array(np.nan)))


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_constant_and_unusable_images_are_shown_without_a_fuss(value):
    image = Volume(np.full((5, 6, 7), value, np.float32), Grid((5, 6, 7), np.eye(4)))
    assert "The scans" in failure_page(ReportInput(image, image), pretend.NO_OVERLAP)
