"""Alignment of vessel trees from unrelated headers, as the benchmark measures it."""

from benchmarks.accuracy.wide_starts import CERTAINTY, GROUPS, SUCCESS_VOX, measure


def test_vessel_trees_are_found_and_described():
    report = measure(GROUPS["retina"](None, 2), threads=2)
    assert report["success"] == 1
    for row in report["rows"]:
        assert row["error_vox"] <= SUCCESS_VOX
        assert row["verdict"] in ("pass", "review", "fail")
        assert set(CERTAINTY) <= set(row)
