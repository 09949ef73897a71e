"""The whole way: train for 20 steps, export, register through the bundle. On generated scans always, on real
ones where MMREG_DATA has them."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from fixtures import scene

from mmreg_rt import read_transform, write_image
from mmreg_rt.cli import main

for name in ("torch", "lightning", "onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(name)

DATA = Path(os.environ.get("MMREG_DATA", "nowhere"))
CONFIG = """
method = "voxelmorph"
[settings]
encoder = [8, 8, 8, 8]
decoder = [8, 8, 8, 8, 8]
image = "none"
dice = 1.0
[preprocess]
spacing_mm = 4.0
[data]
size = [32, 32, 32]
[training]
steps = 20
learning_rate = 1e-3
validate_every = 20
"""


def mmreg(*words):
    outcome = CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output
    return outcome


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arrow")
    (folder / "tiny.toml").write_text(CONFIG)
    run, path = folder / "run", folder / "tiny.mmreg"
    mmreg("train", "voxelmorph", "--synth", "--config", folder / "tiny.toml", "-o", run, "--threads", 2)
    assert (run / "curves.csv").exists()
    mmreg("export", run, "-o", path, "--precision", "fp32,fp16")
    return path


def assert_served(out, fixed):
    found = json.loads((out / "result.json").read_text())
    assert found["status"] == "ok"
    assert found["settings"]["network"]["method"] == "voxelmorph"
    assert found["seconds"]["network"] > 0
    assert found["quality"]["folded_voxels"] == found["quality"]["inverse_folded_voxels"] == 0
    assert read_transform(out / "transform.nii.gz").grid.shape == fixed.grid.shape


def test_generated_scans_go_all_the_way(bundle, tmp_path):
    pair = scene.pair()
    for side, volume in zip(("fixed", "moving"), pair, strict=True):
        write_image(volume, tmp_path / f"{side}.nii.gz")
    scans = tmp_path / "fixed.nii.gz", tmp_path / "moving.nii.gz"
    mmreg("register", *scans, "-o", tmp_path / "out", "--model", bundle)
    assert_served(tmp_path / "out", pair[0])
    reached = read_transform(tmp_path / "out" / "transform.nii.gz").map_points(scene.INSIDE)
    truth = scene.moved(scene.INSIDE)
    assert scene.distance_mm(reached, truth) < scene.distance_mm(scene.INSIDE, truth) / 2


def test_real_scans_go_all_the_way(bundle, tmp_path):
    folder = DATA / "brain_t1_t2_flair"
    if not folder.is_dir():
        pytest.skip("MMREG_DATA has no brain_t1_t2_flair")
    from mmreg_rt import read_image

    t1, t2 = (next(folder.glob(f"*07_{contrast}.nii.gz")) for contrast in ("t1", "t2"))
    mmreg("register", t1, t2, "-o", tmp_path / "out", "--model", bundle)
    assert_served(tmp_path / "out", read_image(t1))
