"""Fit the weights of ``mmreg_rt.report.doubt`` to registrations with known error.

    python -m benchmarks.accuracy.verdict_fit cases.jsonl [...]

The cases are those of ``verdict_calibration.py run``. Prints the weights to copy. Logistic regression with
non-negative weights, as every measure increases with the error; right and wrong results have equal weight,
and a ridge limits the weights of redundant measures. Excluded are pairs whose truth is known only to some
voxels (Harvard's slices differ in scale), results located by an outline only, and results caught by other
figures: they would teach that mirror images look right.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from benchmarks.accuracy.verdict_rows import label, restored
from mmreg_rt.report import doubt
from mmreg_rt.report.quality import MIRRORED, TURNED
from mmreg_rt.results import quality_of

Array = NDArray[Any]
RIDGE = 1.0
VAGUE = ("harvard",)


def measured(row: dict[str, Any]) -> tuple[float, ...] | None:
    evidence = quality_of(restored(row)).evidence
    return evidence and doubt.measures(evidence, row["voxel_mm"], 2 if row["flat"] else 3)


def held_back(row: dict[str, Any]) -> bool:
    """Return whether another figure of the verdict detects the error."""
    pose = row["quality"]["pose"]
    mirrored = pose["mirrored"] > MIRRORED[0] and pose["mirrored_information"] > 1
    return bool(mirrored or pose["turned"] > TURNED[0])


def fitted(rows: list[dict[str, Any]], wrong: list[bool]) -> doubt.Weights:
    """Fit the weights that separate wrong from right results."""
    x = np.array([measured(row) for row in rows])
    y = np.array(wrong)
    count = np.where(y, 1 / max(1, y.sum()), 1 / max(1, (~y).sum())) * len(y) / 2

    def loss(weights: Array) -> tuple[float, Array]:
        z = x @ weights[1:] + weights[0]
        error = count * (1 / (1 + np.exp(-z)) - y)
        value = (count * np.logaddexp(0, np.where(y, -z, z))).sum() + RIDGE * (weights[1:] ** 2).sum()
        return float(value), np.r_[error.sum(), x.T @ error + 2 * RIDGE * weights[1:]]

    bounds = [(None, None), *[(0, None)] * x.shape[1]]
    weights = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, bounds=bounds, method="L-BFGS-B").x
    return doubt.Weights(round(float(weights[0]), 2), tuple(round(float(w), 2) for w in weights[1:]))


def is_used(row: dict[str, Any], label: str) -> bool:
    """Return whether a case is used for fitting."""
    return (
        label != "outline only"
        and not row["name"].startswith(VAGUE)
        and measured(row) is not None
        and not (label == "wrong" and held_back(row))
    )


def weights_of(rows: list[dict[str, Any]], labels: list[str], flat: bool) -> doubt.Weights:
    chosen = [
        (r, n == "wrong") for r, n in zip(rows, labels, strict=True) if r["flat"] == flat and is_used(r, n)
    ]
    return fitted([r for r, _ in chosen], [w for _, w in chosen])


if __name__ == "__main__":
    cases = [json.loads(line) for path in sys.argv[1:] for line in Path(path).read_text().splitlines()]
    for name, flat in (("SLICES", True), ("VOLUMES", False)):
        print(name, "=", weights_of(cases, [label(case) for case in cases], flat))
