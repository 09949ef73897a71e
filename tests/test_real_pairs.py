"""Hearts that beat, without any special option; found through MMREG_DATA."""

import os
from pathlib import Path

import numpy as np
import pytest

from mmreg_rt import Registrar, Volume, read

DATA = Path(os.environ.get("MMREG_DATA", "nowhere"))
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="MMREG_DATA names no folder of real scans")


def dice(one, other, label):
    one, other = one == label, other == label
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def assert_brought_together(found, fixed_labels, moving_labels):
    """Without folds, and each structure overlaps more than before."""
    quality = found.quality
    assert not found.degraded
    assert quality.folded_voxels == quality.inverse_folded_voxels == 0
    assert quality.min_jacobian > 0
    carried = found.transform.warp_labels(moving_labels, fixed_labels)
    for label in (1, 2):
        before = dice(fixed_labels.data, moving_labels.data, label)
        assert dice(fixed_labels.data, carried.data, label) > before


def test_a_heart_in_ten_slices_registers():
    folder = DATA / "cardiac_acdc"
    if not folder.is_dir():
        pytest.skip("no cardiac_acdc in MMREG_DATA")
    fixed, moving = (folder / f"patient002_{phase}_image.nii.gz" for phase in ("ED", "ES"))
    labels = [read(folder / f"patient002_{phase}_label.nii.gz") for phase in ("ED", "ES")]
    assert_brought_together(Registrar().register(fixed, moving), *labels)


def test_a_slice_of_echo_registers():
    path = DATA / "cardiac_2d_pairs" / "camus_4ch.npz"
    if not path.is_file():
        pytest.skip("no cardiac_2d_pairs in MMREG_DATA")
    with np.load(path) as data:
        images = [data[name][0] for name in ("ed_image", "es_image", "ed_label", "es_label")]
        affine = np.eye(4)[:, [2, 1, 0, 3]] * [1, *data["spacing_mm"][0], 1]
    fixed, moving, *labels = (Volume.from_array(image, affine) for image in images)
    assert_brought_together(Registrar().register(fixed, moving), *labels)
