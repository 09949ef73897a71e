"""The held-out list: apart from the development list, and complete."""

import re
from pathlib import Path

import numpy as np
import pytest
from benchmarks.datasets import prepare_heldout

LISTS = Path(prepare_heldout.__file__).parent
PERSON = re.compile(
    r"(brain_t1_labelled/\d+|abdomen_mr_ct/\w\w\d+|cardiac_acdc/patient\d+|liver_4dmr_eth/dataset\d+)_"
)


def pairs(name):
    return prepare_heldout.tomllib.loads((LISTS / name).read_text())["pair"]


def people(name):
    return {person for pair in pairs(name) for person in PERSON.findall(str(pair))}


def test_no_person_is_in_both_lists():
    assert len(people("dev_pairs.toml")) == 8  # 3 brains, 2 CT, 2 MR, 1 heart
    assert len(people("heldout_pairs.toml")) == 18  # 5 brains, 3 CT, 3 MR, 5 hearts, 2 livers
    assert not people("dev_pairs.toml") & people("heldout_pairs.toml")


def test_the_held_out_list_has_not_lost_a_pair():
    names = [pair["name"] for pair in pairs("heldout_pairs.toml")]
    assert len(set(names)) == len(names) == 22


def test_an_inverted_contrast_turns_the_order_of_the_tissues():
    t1 = np.zeros((20, 20, 20))
    t1[3:17, 3:17, 3:17] = 30  # CSF
    t1[5:15, 5:15, 5:10] = 60  # grey
    t1[5:15, 5:15, 10:15] = 100  # white
    t2 = prepare_heldout.inverted(t1)
    csf, grey, white = (np.median(t2[(t1 == value) & (t2 > 0)]) for value in (30, 60, 100))
    assert csf > grey > white
    assert not t2[t1 == 0].any()


def test_points_of_a_vtk_file_are_turned_from_lps_to_ras(tmp_path):
    head = "# vtk DataFile Version 3.0\nvtk output\nASCII\nDATASET POLYDATA\n"
    (tmp_path / "a.vtk").write_text(head + "POINTS 2 float\n1 2 3 4 5 \n6 \nVERTICES 2 4\n1 0 \n1 1 \n")
    np.testing.assert_array_equal(prepare_heldout.points(tmp_path / "a.vtk"), [[-1, -2, 3], [-4, -5, 6]])


@pytest.mark.parametrize(("kind", "expected"), [("all", [1, 46]), ("regions", [1])])
def test_a_label_is_scored_if_it_is_large_enough_in_both_scans(kind, expected):
    fixed, moving = np.zeros((10, 10, 10)), np.zeros((10, 10, 10))
    fixed[:2], moving[:1] = 1, 1
    fixed[2:4], moving[2:3] = 46, 46  # an ill-defined region
    fixed[4:6], moving[4, :9] = 2, 2  # 90 voxels in the moving scan
    assert prepare_heldout.scored_labels({"labels": kind}, fixed, moving) == expected
