"""Scans as they come from scanners and tools, against nibabel and SimpleITK; found through MMREG_DATA."""

import os
from pathlib import Path

import nibabel
import numpy as np
import pytest

from mmreg_rt import read_image, read_transform

DATA = Path(os.environ.get("MMREG_DATA", "nowhere"))
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="MMREG_DATA names no folder of real scans")


def scans():
    """Two scans of each folder."""
    folders = sorted(p for p in DATA.iterdir() if p.is_dir()) if DATA.is_dir() else []
    found = [sorted(folder.rglob("*.nii*")) for folder in folders]
    return [path for paths in found for path in (paths[:1] + paths[1:][-1:])]


@pytest.mark.parametrize("path", scans(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_scan_is_read_as_nibabel_reads_it(path):
    image = nibabel.load(path)
    frame = 0 if image.ndim == 4 else None
    volume, stored = read_image(path, frame=frame), np.asanyarray(image.dataobj)
    np.testing.assert_array_equal(volume.data, (stored[..., 0] if image.ndim == 4 else stored).T)
    assert volume.data.dtype == stored.dtype
    np.testing.assert_allclose(
        volume.grid.affine[:, [2, 1, 0, 3]], image.affine, atol=1e-5
    )  # float32 at 100 mm


@pytest.mark.parametrize(
    "path", sorted(DATA.glob("brain_raw_rigid/*_to_FLAIR.txt")), ids=lambda path: path.name
)
def test_a_published_transform_maps_points_as_simpleitk_maps_them(path):
    sitk = pytest.importorskip("SimpleITK")
    theirs, ours = sitk.ReadTransform(str(path)), read_transform(path)
    points = np.random.default_rng(21).uniform(-100, 100, (20, 3))
    lps = np.array([-1.0, -1.0, 1.0])
    expected = np.array([theirs.TransformPoint((p * lps).tolist()) for p in points]) * lps
    np.testing.assert_allclose(ours.map_points(points), expected, atol=1e-10)
