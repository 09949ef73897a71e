"""The bundles that come with the package: small, credited, proven on each backend, and better than none."""

import os
from pathlib import Path

import numpy as np
import pytest

from mmreg_rt import Registrar, Volume, read_image
from mmreg_rt.backends import ON_CPU, by_name
from mmreg_rt.bundle import open_bundle
from mmreg_rt.errors import InputError
from mmreg_rt.metrics import dice
from mmreg_rt.network import Network
from mmreg_rt.network.trust import built_in, find_bundle
from mmreg_rt.phantom import phantom
from mmreg_rt.phantom.scans import score

EXPECTED = ("masr", "synth")
DATA = Path(os.environ.get("MMREG_DATA", "nowhere"))


@pytest.fixture(scope="module")
def head():
    return phantom(seed=0, scale=2)


def test_these_come_with_the_package():
    assert built_in() == list(EXPECTED)
    with pytest.raises(InputError, match="masr, synth"):
        find_bundle("no such network")


@pytest.mark.parametrize("name", EXPECTED)
def test_is_small_and_says_where_it_comes_from(name):
    path = find_bundle(name)
    assert path.stat().st_size <= 2_000_000
    bundle = open_bundle(path)
    card = bundle.file(bundle.manifest.card).decode()
    assert bundle.manifest.licence == "Apache-2.0"
    assert "fp32" in bundle.manifest.precisions
    assert "SynthSeg" in card
    assert "Command: `mmreg train" in card
    assert "/work" not in card
    assert "/home" not in card
    for measured in (bundle.manifest.parity["onnxruntime"], bundle.manifest.parity["openvino"]):
        assert set(bundle.manifest.precisions) <= set(measured)


@pytest.mark.parametrize("backend", ON_CPU)
@pytest.mark.parametrize(("name", "precision"), [("synth", "fp32"), ("masr", "fp32"), ("masr", "fp16")])
def test_passes_its_own_test(name, backend, precision):
    if reason := by_name(backend).unavailable_reason("cpu", precision):
        pytest.skip(reason)
    assert Network(name, backend=backend, precision=precision).runtime_info["precision"] == precision


@pytest.mark.parametrize("name", EXPECTED)
def test_a_head_in_two_contrasts_is_registered_without_folds(name, head):
    usable = [backend for backend in ON_CPU if by_name(backend).unavailable_reason("cpu", "fp32") is None]
    if not usable:
        pytest.skip("no backend is installed")
    aligned = score(head, Registrar(deform=False).register(head.fixed, head.moving).transform)
    found = Registrar(name).register(head.fixed, head.moving)
    assert found.finished == "deform"
    assert found.quality.folded_voxels == found.quality.inverse_folded_voxels == 0
    assert score(head, found.transform)["mean_error_mm"] < 0.7 * aligned["mean_error_mm"]


def test_synth_alone_brings_real_brains_closer():
    """T1 of two people; the network has seen no scan at all."""
    folder = DATA / "brain_t1_labelled"
    if not folder.is_dir():
        pytest.skip("no brain_t1_labelled in MMREG_DATA")
    if all(by_name(backend).unavailable_reason("cpu", "fp32") for backend in ON_CPU):
        pytest.skip("no backend is installed")
    scans = [read_image(folder / f"{person}_t1.nii.gz") for person in (1003, 1000)]
    labels = [read_image(folder / f"{person}_label.nii.gz") for person in (1003, 1000)]
    inverted = Volume(scans[1].data.max() - scans[1].data, scans[1].grid)
    inverted.data[scans[1].data == 0] = 0
    dices = {}
    for way, settings in (("affine", {"deform": False}), ("synth", {"model": "synth", "refine": False})):
        found = Registrar(**settings).register(scans[0], inverted)
        assert found.quality.folded_voxels == found.quality.inverse_folded_voxels == 0
        carried = found.transform.warp_labels(labels[1], labels[0])
        dices[way] = np.mean(list(dice(labels[0], carried).values()))
    assert dices["synth"] > dices["affine"] + 0.02
