"""Numbers 83 and 85 to 88: damaged containers, and networks that fit no standard, no memory or no use."""

import zipfile

import numpy as np
import pytest
from bad_inputs.declared import case, refused
from fixtures import bundle_parts as parts
from fixtures import onnx_bytes as ox
from fixtures import scene

from mmreg_rt import Registrar
from mmreg_rt.bundle import golden_bytes, open_bundle, write_bundle
from mmreg_rt.bundle.network_size import check_grid
from mmreg_rt.network import trial
from mmreg_rt.network.trial import Limits, Trial, prove
from mmreg_rt.onnx_model.validation import check_model
from mmreg_rt.preprocess import PreprocessSpec

CONTAINER = "bundle whose zip is damaged, or holds more than plain files"


def zipped(path, *members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, mode in members:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            file.writestr(entry, b"x" * 100, compression)
    return path


@pytest.mark.parametrize(
    ("members", "compression", "code"),
    [
        ([("../up", 0o100644)], zipfile.ZIP_STORED, "MMREG_E_BUNDLE_NAME"),
        ([("a.txt", 0o100644), ("A.txt", 0o100644)], zipfile.ZIP_STORED, "MMREG_E_BUNDLE_DUPLICATE"),
        ([("a.txt", 0o120777)], zipfile.ZIP_STORED, "MMREG_E_BUNDLE_LINK"),
        ([("a.txt", 0o100644)], zipfile.ZIP_DEFLATED, "MMREG_E_BUNDLE_COMPRESSED"),
    ],
)
@case(
    83,
    CONTAINER,
    "MMREG_E_BUNDLE_NAME",
    "MMREG_E_BUNDLE_DUPLICATE",
    "MMREG_E_BUNDLE_LINK",
    "MMREG_E_BUNDLE_COMPRESSED",
)
def test_83_a_zip_of_more_than_plain_files(members, compression, code, tmp_path):
    with refused(code, "a.mmreg"):
        open_bundle(zipped(tmp_path / "a.mmreg", *members, compression=compression))


@case(83, CONTAINER, "MMREG_E_BUNDLE_ZIP", "MMREG_E_BUNDLE_READ")
def test_83_a_zip_that_is_damaged_or_cannot_be_read(tmp_path):
    path = write_bundle(tmp_path / "a.mmreg", parts.manifest(), parts.files()).path
    path.write_bytes(path.read_bytes()[:-4])
    with refused("MMREG_E_BUNDLE_ZIP", "a.mmreg"):
        open_bundle(path)
    with refused("MMREG_E_BUNDLE_READ", "aaaa"):
        open_bundle(tmp_path / ("a" * 300))  # longer than names may be


def whole(name, values):
    return ox.tensor(name, np.array(values, np.int64))


NODES = {
    "an attribute that is none": ox.net(nodes=[ox.node("Relu", ["both"], ["x"], ox.ints("axes", [1]))]),
    "too many operands": ox.net(nodes=[ox.node("Relu", ["both", "both"], ["x"])]),
    "an axis that is not there": ox.net(
        nodes=[ox.node("Squeeze", ["both", "axes"], ["x"])], more_initialisers=[whole("axes", [9])]
    ),
    "shapes that do not fit": ox.net(
        nodes=[ox.node("MatMul", ["both", "two"], ["x"])],
        more_initialisers=[ox.tensor("two", np.zeros((999, 2), np.float32))],
    ),
}


@pytest.mark.parametrize("data", NODES.values(), ids=NODES.keys())
@case(85, "network with a node that violates the ONNX standard", "MMREG_E_ONNX_NODE")
def test_85_a_node_that_does_not_fit(data, tmp_path):
    with refused("MMREG_E_ONNX_NODE"):
        write_bundle(tmp_path / "a.mmreg", parts.manifest(), parts.files(**{"net.onnx": data}))
    assert list(tmp_path.iterdir()) == []


COSTS = "network that exceeds the limits of memory or work"


def filled(*extents, then=()):
    """A network that also makes a constant of these extents."""
    node = ox.node("ConstantOfShape", ["extents"], ["x"])
    return ox.net(nodes=[node, *then], more_initialisers=[whole("extents", extents)])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (filled(10_000, 10_000, 10), "MMREG_E_ONNX_MEMORY"),
        (
            filled(2000, 2000, then=[ox.node("MatMul", ["x", "x"], [f"y{n}"]) for n in range(70)]),
            "MMREG_E_ONNX_WORK",
        ),
    ],
)
@case(86, COSTS, "MMREG_E_ONNX_MEMORY", "MMREG_E_ONNX_WORK")
def test_86_a_network_too_large_for_its_golden_pair(data, code, tmp_path):
    with refused(code):
        write_bundle(tmp_path / "a.mmreg", parts.manifest(), parts.files(**{"net.onnx": data}))
    assert list(tmp_path.iterdir()) == []


def squared():
    """Every voxel times every other."""
    flat = [
        ox.node("Reshape", ["fixed", "column"], ["a"]),
        ox.node("Reshape", ["moving", "row"], ["b"]),
        ox.node("MatMul", ["a", "b"], ["x"]),
    ]
    return ox.net(nodes=flat, more_initialisers=[whole("column", [-1, 1]), whole("row", [1, -1])])


def laborious():
    """Convolutions of 64 channels, whose work and memory grow with the voxels."""
    weights = [ox.tensor("w0", np.zeros((64, 2, 1, 1, 1), np.float32))]
    weights.append(ox.tensor("w1", np.zeros((64, 64, 5, 5, 5), np.float32)))
    nodes = [ox.node("Conv", ["both", "w0"], ["x0"])]
    nodes += [ox.node("Conv", [f"x{n}", "w1"], [f"x{n + 1}"], ox.ints("pads", [2] * 6)) for n in range(4)]
    return ox.net(nodes=nodes, more_initialisers=weights)


@pytest.mark.parametrize(
    ("data", "extents", "code"),
    [
        (squared(), (64, 64, 64), "MMREG_E_MODEL_MEMORY"),  # 2^36 products of 4 bytes
        (laborious(), (1024, 1024, 1024), "MMREG_E_MODEL_WORK"),  # 4 * 64 * 64 * 125 * 2^30 = 2.2e15
        (ox.net(), (2048, 1024, 1024), "MMREG_E_MODEL_GRID"),
    ],
)
@case(86, COSTS, "MMREG_E_MODEL_MEMORY", "MMREG_E_MODEL_WORK", "MMREG_E_MODEL_GRID")
def test_86_a_network_too_large_for_the_grid_that_was_asked_for(data, extents, code, tmp_path):
    manifest = write_bundle(tmp_path / "a.mmreg", parts.manifest(), parts.files()).manifest
    facts = check_model(data)
    with refused(code, "tiny", " x ".join(map(str, extents))):
        check_grid(manifest, facts, extents, on_host=False)


TRIAL = "network that crashes, hangs or grows in its trial"
ENDS = {
    "MMREG_E_BUNDLE_CRASH": "import os, signal; path = {path!r}; os.kill(os.getpid(), signal.SIGSEGV)",
    "MMREG_E_BUNDLE_TIME": "import time; path = {path!r}; time.sleep(600)",
    "MMREG_E_BUNDLE_MEMORY": "import time; path = {path!r}; a = bytes(1) * (1 << 30); time.sleep(600)",
}


@pytest.mark.parametrize("code", ENDS)
@case(87, TRIAL, "MMREG_E_BUNDLE_CRASH", "MMREG_E_BUNDLE_TIME", "MMREG_E_BUNDLE_MEMORY")
def test_87_a_network_that_does_not_stand_its_trial(code, monkeypatch):
    monkeypatch.setattr(trial, "_proven", set())
    monkeypatch.setattr(trial, "_CHILD", ENDS[code])
    limits = Limits(1 << 28, 60, 1 if code == "MMREG_E_BUNDLE_TIME" else 300)
    with refused(code, "tiny", "onnxruntime"):
        prove(Trial("tiny", ox.net(), "onnxruntime", "1", "fp32", 1, "cpu"), limits)


@case(87, TRIAL, "MMREG_E_BUNDLE_TRIAL", handled="Bundles signed with the key of the caller skip the trial.")
def test_87_a_network_that_cannot_be_tried(monkeypatch):
    monkeypatch.setattr(trial, "_proven", set())
    monkeypatch.setattr(trial, "_python", lambda: "/no/such/python")
    with refused("MMREG_E_BUNDLE_TRIAL", "tiny", "/no/such/python"):
        prove(Trial("tiny", ox.net(), "onnxruntime", "1", "fp32", 1, "cpu"), Limits(1 << 28, 60, 300))


@pytest.mark.parametrize(
    ("weights", "mention"), [((1e30, -1e30), "at most 100000 voxels"), ((3e38, 3e38), "finite numbers")]
)
@case(
    88, "network whose field is right for its golden pair and impossible for a scan", "MMREG_E_MODEL_OUTPUT"
)
def test_88_a_network_that_gives_what_cannot_be(weights, mention, tmp_path):
    """Its golden pair is empty, and for that it gives 0."""
    pytest.importorskip("onnxruntime")
    image = np.zeros((4, 8, 4), np.float32)
    data = ox.net().replace(np.float32([1, -1]).tobytes(), np.float32(weights).tobytes())
    golden = golden_bytes(image, image, np.zeros((3, *image.shape)))
    manifest = parts.manifest(preprocess=PreprocessSpec(None, 4).as_dict(), intended_use=parts.WIDE)
    path = tmp_path / "a.mmreg"
    write_bundle(path, manifest, parts.files(**{"net.onnx": data, "golden.npz": golden}))
    registrar = Registrar(path, align="none", refine=False, backend="onnxruntime", threads=1)
    scans = scene.pair()
    with refused("MMREG_E_MODEL_OUTPUT", "tiny", "at fault", mention):
        registrar.register(*scans)
