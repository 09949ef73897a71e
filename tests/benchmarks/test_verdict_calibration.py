"""The calibration of the verdict, from registrations of phantoms to its report."""

import json
from types import SimpleNamespace

import numpy as np
from benchmarks.accuracy import verdict_calibration as calibration
from benchmarks.accuracy.verdict_rows import label
from fixtures.head import bright_between, bright_first, scan

KINDS = ("right", "near miss", "far start")


def pairs(flat):
    """One head of each of two people, and itself in another contrast."""
    rng = np.random.default_rng(2)
    for person in range(2):
        shape = (1, 48, 48) if flat else (24, 24, 24)
        affine = calibration.centred(shape, 100 / shape[-1])
        contrast = (bright_first, bright_between)[person]
        fixed = scan(shape, affine, contrast, seed=person)
        yield {
            "name": f"head {person}", "person": str(person), "organ": "head", "fixed": fixed,
            "moving": calibration.recoloured(fixed, rng), "affine": affine, "alive": False,
        }  # fmt: skip


def rows(flat):
    rng, people = np.random.default_rng(1), list(pairs(flat))
    for pair in people:
        for kind in KINDS:
            yield calibration.run_case({"kind": kind, **calibration.spoiled(kind, pair, people, rng)})


def test_rows_give_a_report(tmp_path):
    found = [*rows(True), *rows(False)]
    assert {label(row) for row in found} == {"right", "wrong"}
    stored, out = tmp_path / "cases.jsonl", tmp_path / "verdict.json"
    stored.write_text("".join(json.dumps(row, default=float) + "\n" for row in found))
    calibration.report(SimpleNamespace(cases=[stored], out=out))
    report = json.loads(out.read_text())
    assert report["registrations"] == len(found)
    assert sum(sum(column.values()) for column in report["both halves"]["confusion"].values()) == len(found)
    assert out.with_suffix(".png").exists()
