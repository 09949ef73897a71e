"""What the registration benchmark makes of the runs of a method."""

import argparse
import json
from importlib.metadata import PackageNotFoundError

import nibabel as nib
import numpy as np
import pytest
from benchmarks.harness import peers
from benchmarks.registration import compare as registration
from benchmarks.registration import table as registration_table

RUN = {
    "cpu_s": 2.0,
    "wall_s": 1.0,
    "peak_mb": 300.0,
    "before_mb": 90.0,
    "sha256": "a",
    "scores": {"dice": 0.5},
}


def test_the_least_seconds_of_the_repeats_count_and_all_are_kept():
    found = registration.combined([RUN, RUN | {"cpu_s": 1.5}, RUN | {"cpu_s": 3.0}])
    assert found["cpu_s"] == 1.5
    assert found["cpu_s_all"] == [2.0, 1.5, 3.0]
    assert found["identical_runs"]


def test_repeats_that_give_different_fields_are_told_apart_and_their_scores_averaged():
    found = registration.combined([RUN, RUN | {"sha256": "b", "scores": {"dice": 0.75}}])
    assert not found["identical_runs"]
    assert found["dice"] == 0.625
    assert found["dice_all"] == [0.5, 0.75]


def test_one_failed_repeat_is_a_failure():
    assert registration.combined([RUN, {"failed": "out of memory"}]) == {"failed": "out of memory"}


def test_differences_use_the_pairs_that_both_methods_have():
    tasks = [
        {"results": {"mmreg_rt": {"dice": 0.8}, "greedy": {"dice": 0.7}, "start": {"dice": 0.5}}},
        {"results": {"mmreg_rt": {"dice": 0.6}, "greedy": {"failed": "too thin"}, "start": {"dice": 0.5}}},
        {"results": {"mmreg_rt": {"tre_mm": 2.0}, "greedy": {"tre_mm": 3.0}, "start": {"tre_mm": 9.0}}},
    ]
    found = registration.differences(tasks, resamples=100)
    assert found["greedy"]["pairs"] == 1
    assert found["start"]["pairs"] == 2
    assert round(found["start"]["mean"], 6) == 0.2


def test_groups_are_pairs_whose_names_begin_alike():
    tasks = [
        {"name": name, "results": {"mmreg_rt": {"dice": dice}, "greedy": {"dice": 0.5}}}
        for name, dice in (("t1_ct_a", 0.6), ("t1_ct_b", 0.8), ("abdomen_c", 0.1))
    ]
    found = registration.of_group("t1_ct", tasks, argparse.Namespace(bootstrap=100))
    assert found["greedy"]["pairs"] == 2
    assert round(found["greedy"]["mean"], 6) == 0.2


def test_results_of_an_earlier_run_are_scored_again_under_their_name(tmp_path):
    task, shape = tmp_path / "tasks" / "head", (6, 6, 6)
    task.mkdir(parents=True)
    scan = np.arange(216, dtype=np.float32).reshape(shape)
    nib.save(nib.Nifti1Image(scan, np.eye(4)), task / "fixed.nii.gz")
    for method in ("greedy_nmi", "identity", "cut_short"):
        folder = tmp_path / "earlier" / "head" / method
        folder.mkdir(parents=True)
        np.save(folder / "disp.npy", np.zeros((*shape, 3), np.float32))
        if method != "cut_short":
            (folder / "result.json").write_text(json.dumps({"cpu_s": 9.0, "dice": 0.99}))
    expected = {"cpu_s": 9.0, "folded_percent": 0.0, "sd_log_jacobian": 0.0, "earlier_run": True}
    assert registration.earlier(task, tmp_path / "earlier") == {"greedy": expected}


def test_a_peer_that_is_not_installed_is_a_row_that_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(registration, "why_missing", lambda peer: f"not installed: pip install {peer}")
    asked = argparse.Namespace(
        without_ours=True, bundles=[], peers=["greedy", "ants"], repeats=3, once=[], peer_results=None
    )
    found = registration.interleaved(tmp_path / "task", tmp_path, asked)
    assert list(found) == ["greedy", "ants"]
    words = registration.line("task", "greedy", found["greedy"])
    assert words.split(maxsplit=2)[2] == "not installed: pip install greedy"
    both = {"mmreg_rt": {"dice": 0.8}, **found}
    assert registration_table.cells(both, list(both)) == ["**0.800**", "not installed", "not installed"]
    assert registration.differences([{"results": both}], 100) == {}


@pytest.mark.parametrize("peer", sorted(peers.PEERS))
def test_a_peer_says_what_installs_it(monkeypatch, peer):
    def missing(_):
        raise PackageNotFoundError

    monkeypatch.setattr(peers, "version", missing)
    monkeypatch.setattr(peers.shutil, "which", lambda _: None)
    assert peers.why_missing(peer).startswith("not installed: ")
    monkeypatch.setattr(peers, "installed_version", lambda _: "1.0")
    assert peers.why_missing(peer) is None
