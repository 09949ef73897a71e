"""Hearts that beat, and contrasts of one head, without any special option; found through MMREG_DATA."""

import os
from pathlib import Path

import numpy as np
import pytest

from mmreg_rt import Registrar, Volume, read_image
from mmreg_rt.geometry import Grid
from mmreg_rt.report import figures, verdict

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
    labels = [read_image(folder / f"patient002_{phase}_label.nii.gz") for phase in ("ED", "ES")]
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


def half(path):
    """Every other voxel."""
    scan = read_image(path)
    affine = scan.grid.affine @ np.diag([2.0, 2, 2, 1])
    data = np.ascontiguousarray(scan.as_float32()[::2, ::2, ::2])
    return Volume(data, Grid(data.shape, affine))


@pytest.mark.parametrize(
    ("fixed", "moving"),
    [
        ("brain_t1_t2_flair/ms07_t1", "brain_t1_t2_flair/ms07_t2"),
        ("brain_t1_t2_flair/ms19_flair", "brain_t1_t2_flair/ms19_t1"),
        ("brain_mni_multicontrast/avg152T1", "brain_mni_multicontrast/avg152T2"),
    ],
)
def test_contrasts_of_one_head_stay_where_they_are_and_pass(fixed, moving):
    paths = [DATA / f"{name}.nii.gz" for name in (fixed, moving)]
    if not all(path.is_file() for path in paths):
        pytest.skip("no co-registered heads in MMREG_DATA")
    scans = [half(path) for path in paths]
    found = Registrar().register(*scans)
    moved = np.linalg.norm(found.transform.displacement_mm, axis=0)
    assert moved.mean() < 0.5 * min(scans[0].grid.spacing_mm)
    assert verdict(figures(found)) == "pass"


@pytest.mark.parametrize("plane", [31, 43, 49])
def test_slices_of_two_contrasts_stay_where_they_are(plane):
    """Edges of PD and T2 appear in slightly different places, which is no motion."""
    paths = [DATA / "brain_mni_multicontrast" / f"avg152{contrast}.nii.gz" for contrast in ("PD", "T2")]
    if not all(path.is_file() for path in paths):
        pytest.skip("no brain_mni_multicontrast in MMREG_DATA")
    affine = np.array([[0.0, 2, 0, 0], [0, 0, 2, 0], [2, 0, 0, 0], [0, 0, 0, 1]])
    fixed, moving = (
        Volume.from_array(np.ascontiguousarray(read_image(path).as_float32()[plane])[None], affine)
        for path in paths
    )
    found = Registrar().register(fixed, moving)
    assert found.deformation is None
    assert np.linalg.norm(found.displacement_mm, axis=0).mean() < 0.1  # mm, a twentieth of a pixel
