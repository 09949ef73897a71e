"""A phantom as a task: its exact transform scores an error of zero."""

import numpy as np
import pytest
from benchmarks.datasets import prepare_phantoms
from benchmarks.harness import scoring
from benchmarks.harness.folding import read_field

import mmreg_rt
from mmreg_rt.phantom import phantom


def test_the_truth_scores_no_error_and_a_high_overlap(tmp_path):
    pair = phantom(1, scale=4)
    prepare_phantoms.write(pair, tmp_path)
    mmreg_rt.write_transform(pair.truth.to_field(pair.fixed.grid), tmp_path / "truth.nii.gz")
    u = read_field(tmp_path / "truth.nii.gz")[0]
    found, start = scoring.score(tmp_path, u), scoring.score(tmp_path, np.zeros_like(u))
    assert found["tre_mm"] < 1e-3  # float32 affine in the header, 5 digits in the landmarks
    assert found["folded_percent"] == 0
    assert start["tre_p95_mm"] > start["tre_mm"] > 12
    assert found["dice"] > start["dice"] + 0.3  # voxels of 4 mm and more: partial volume keeps it below 1


def test_landmarks_lie_in_the_head():
    pair = phantom(1, scale=4)
    fixed, _ = prepare_phantoms.landmarks(pair)
    indices = pair.fixed.grid.map_points(fixed)
    assert indices == pytest.approx(indices.round(), abs=1e-6)
    assert pair.head[tuple(indices.round().astype(int).T)].all()
