"""Numbers 76 to 82 and 84: models and bundles. Nothing of a bundle that is refused is run."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from bad_inputs.declared import case, refused
from fixtures import bundle_parts as parts
from fixtures import onnx_bytes as ox

from mmreg_rt.bundle import golden_bytes, open_bundle, self_test, write_bundle
from mmreg_rt.onnx_model.validation import check_model

KEY = bytes(range(32))


@pytest.fixture
def folder(tmp_path):
    return write_bundle(tmp_path / "tiny.mmreg", parts.manifest(), parts.files(), zip=False).path


def rewritten(folder, change):
    """The manifest of a bundle, changed after it was written."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    return folder


@case(
    76,
    "missing or surplus file in a bundle",
    "MMREG_E_BUNDLE_FILE_MISSING",
    "MMREG_E_BUNDLE_FILE_UNDECLARED",
    "MMREG_E_BUNDLE_MISSING",
    "MMREG_E_BUNDLE_KIND",
)
def test_76_a_missing_or_surplus_file(folder, tmp_path):
    (folder / "extra.txt").write_text("surplus")
    with refused("MMREG_E_BUNDLE_FILE_UNDECLARED", "extra.txt"):
        open_bundle(folder, verify=False)
    (folder / "extra.txt").unlink()
    (folder / "net.onnx").rename(folder / "renamed.onnx")
    with refused("MMREG_E_BUNDLE_FILE_MISSING", "net.onnx"):
        open_bundle(folder, verify=False)
    (folder / "manifest.json").unlink()
    with refused("MMREG_E_BUNDLE_FILE_MISSING", "manifest.json"):
        open_bundle(folder, verify=False)
    with refused("MMREG_E_BUNDLE_MISSING", "nowhere"):
        open_bundle(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    with refused("MMREG_E_BUNDLE_KIND", "pipe"):
        open_bundle(tmp_path / "pipe")


@pytest.mark.parametrize("name", ["net.onnx", "golden.npz", "card.md"])
@case(77, "wrong checksum or size", "MMREG_E_BUNDLE_HASH", "MMREG_E_BUNDLE_SIZE")
def test_77_a_file_other_than_declared(name, folder):
    opened = open_bundle(folder)
    path = folder / name
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with refused("MMREG_E_BUNDLE_HASH", name):
        open_bundle(folder)
    with refused("MMREG_E_BUNDLE_HASH", name):  # changed after it was opened
        opened.file(name)
    path.write_bytes(good + b"\0")
    with refused("MMREG_E_BUNDLE_SIZE", len(good), len(good) + 1):
        open_bundle(folder, verify=False)
    with refused("MMREG_E_BUNDLE_SIZE", len(good), len(good) + 1):
        opened.file(name)


@case(77, "wrong checksum or size", "MMREG_E_BUNDLE_TOO_LARGE")
def test_77_a_size_beyond_the_limits_is_refused_before_anything_is_read(folder):
    rewritten(folder, lambda m: m["files"]["golden.npz"].update(bytes=1 << 30))
    with refused("MMREG_E_BUNDLE_TOO_LARGE", "golden.npz", 1 << 30):
        open_bundle(folder)
    with open(folder / "net.onnx", "wb") as stream:
        stream.truncate(1 << 32)  # takes no room on the disk
    with refused("MMREG_E_BUNDLE_TOO_LARGE"):
        open_bundle(folder)


@case(
    78,
    "bad or missing signature",
    "MMREG_E_SIGNATURE_MISSING",
    "MMREG_E_SIGNATURE_WRONG",
    "MMREG_E_SIGNATURE_KEY",
    handled="Without a key no signature is required.",
)
def test_78_a_bad_or_missing_signature(folder, tmp_path):
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    public, other = (
        ed25519.Ed25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw()
        for key in (KEY, KEY[::-1])
    )
    with refused("MMREG_E_SIGNATURE_MISSING", "manifest.sig"):
        open_bundle(folder, public_key=public)
    path = tmp_path / "signed.mmreg"
    assert not write_bundle(path, parts.manifest(), parts.files(), zip=False, private_key=KEY).signed
    assert open_bundle(path, public_key=public).signed
    with refused("MMREG_E_SIGNATURE_WRONG"):
        open_bundle(path, public_key=other)
    with refused("MMREG_E_SIGNATURE_KEY"):
        open_bundle(path, public_key=b"short")
    with refused("MMREG_E_SIGNATURE_KEY"):
        open_bundle(path, public_key=b"-----BEGIN PUBLIC KEY-----\nnone\n")
    rewritten(path, lambda m: m.update(licence="other"))
    with refused("MMREG_E_SIGNATURE_WRONG"):
        open_bundle(path, public_key=public)
    (path / "manifest.sig").write_bytes(b"short")
    with refused("MMREG_E_SIGNATURE_WRONG"):
        open_bundle(path, public_key=public)


@case(78, "bad or missing signature", "MMREG_E_SIGNATURE_LIBRARY")
def test_78_a_signature_without_the_library_to_check_it(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cryptography", None)
    (folder / "manifest.sig").write_bytes(bytes(64))
    with refused("MMREG_E_SIGNATURE_LIBRARY", "mmreg-rt[signing]"):
        open_bundle(folder, public_key=KEY)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff\xfe{}",
        b"[" * 100_000,
        b'{"name": "a", "name": "b"}',
        b'{"name": NaN}',
        b"1" * 5000,
    ],
)
@case(79, "manifest that is damaged, has unknown keys, or has a newer format", "MMREG_E_MANIFEST_JSON")
def test_79_a_manifest_that_is_no_json(text, folder):
    (folder / "manifest.json").write_bytes(text)
    with refused("MMREG_E_MANIFEST_JSON"):
        open_bundle(folder)


MANIFEST_ERRORS = [
    (lambda m: m.update(surplus=1), "MMREG_E_MANIFEST_KEY", "surplus"),
    (lambda m: m.pop("licence"), "MMREG_E_MANIFEST_KEY", "licence"),
    (lambda m: m["output"].update(code="x"), "MMREG_E_MANIFEST_KEY", "code"),
    (lambda m: m["precisions"].update(fp4="net.onnx"), "MMREG_E_MANIFEST_KEY", "fp4"),
    (lambda m: m["precisions"].pop("fp32"), "MMREG_E_MANIFEST_KEY", "fp32"),
    (lambda m: m.update(dims="3"), "MMREG_E_MANIFEST_TYPE", "dims"),
    (lambda m: m.update(dims=True), "MMREG_E_MANIFEST_TYPE", "bool"),
    (lambda m: m.update(output=[]), "MMREG_E_MANIFEST_TYPE", "output"),
    (lambda m: m["files"].update({"net.onnx": "x"}), "MMREG_E_MANIFEST_TYPE", "net.onnx"),
    (lambda m: m["parity"].update(note="good"), "MMREG_E_MANIFEST_TYPE", "good"),
    (lambda m: m["parity"].update(a={"b": {"c": {"d": 1}}}), "MMREG_E_MANIFEST_TYPE", "parity.a.b"),
    (lambda m: m.update(dims=4), "MMREG_E_MANIFEST_VALUE", "4"),
    (lambda m: m.update(name="../up"), "MMREG_E_MANIFEST_VALUE", "../up"),
    (lambda m: m.update(licence="a\nb"), "MMREG_E_MANIFEST_VALUE", "licence"),
    (lambda m: m.update(card="other.md"), "MMREG_E_MANIFEST_VALUE", "other.md"),
    (lambda m: m["output"].update(kind="flow"), "MMREG_E_MANIFEST_VALUE", "flow"),
    (lambda m: m["output"].update(factor=3), "MMREG_E_MANIFEST_VALUE", "factor"),
    (lambda m: m["output"].update(channels=2), "MMREG_E_MANIFEST_VALUE", "channels"),
    (lambda m: m["output"].update(integration_steps=5), "MMREG_E_MANIFEST_VALUE", "integration_steps"),
    (lambda m: m["output"].update(refine="no"), "MMREG_E_MANIFEST_TYPE", "refine"),
    (lambda m: m.update(most_voxels=0), "MMREG_E_MANIFEST_VALUE", "most_voxels"),
    (lambda m: m.update(most_voxels=1.5), "MMREG_E_MANIFEST_TYPE", "most_voxels"),
    (lambda m: m["preprocess"].update(multiple=0), "MMREG_E_MANIFEST_VALUE", "multiple"),
    (lambda m: m["intended_use"].update(spacing_mm=[3, 1]), "MMREG_E_MANIFEST_VALUE", "spacing_mm"),
    (lambda m: m["intended_use"].update(modalities=["CT"]), "MMREG_E_MANIFEST_VALUE", "modalities"),
    (lambda m: m["precisions"].update(fp16="net.onnx"), "MMREG_E_MANIFEST_VALUE", "precisions"),
    (lambda m: m["golden"].update(limit_mm=0), "MMREG_E_MANIFEST_VALUE", "limit_mm"),
    (lambda m: m["golden"].update(limit_mm={"int8": 1}), "MMREG_E_MANIFEST_VALUE", "limit_mm"),
    (lambda m: m["files"]["net.onnx"].update(sha256="0"), "MMREG_E_MANIFEST_VALUE", "sha256"),
    (lambda m: m["files"]["net.onnx"].update(bytes=10**400), "MMREG_E_MANIFEST_VALUE", "bytes"),
    (lambda m: m["files"].update({"a/b": {}}), "MMREG_E_MANIFEST_VALUE", "a/b"),
    (lambda m: m.update(format="mmreg-bundle/2"), "MMREG_E_BUNDLE_FORMAT", "mmreg-bundle/2"),
]


@pytest.mark.parametrize(("change", "code", "mention"), MANIFEST_ERRORS)
@case(
    79,
    "manifest that is damaged, has unknown keys, or has a newer format",
    "MMREG_E_MANIFEST_KEY",
    "MMREG_E_MANIFEST_TYPE",
    "MMREG_E_MANIFEST_VALUE",
    "MMREG_E_BUNDLE_FORMAT",
)
def test_79_a_manifest_with_wrong_content(change, code, mention, folder):
    with refused(code, mention):
        open_bundle(rewritten(folder, change), verify=False)


RIGID_ERRORS = [
    (lambda m: m.pop("rigid"), "MMREG_E_MANIFEST_KEY", "rigid"),
    (lambda m: m["rigid"].update(code="x"), "MMREG_E_MANIFEST_KEY", "code"),
    (lambda m: m["rigid"].pop("stages"), "MMREG_E_MANIFEST_KEY", "stages"),
    (lambda m: m["rigid"].update(stages={}), "MMREG_E_MANIFEST_TYPE", "stages"),
    (lambda m: m["rigid"].update(stages=["net.onnx"]), "MMREG_E_MANIFEST_TYPE", "stages"),
    (lambda m: m["rigid"].update(size=[8, 12]), "MMREG_E_MANIFEST_VALUE", "size"),
    (lambda m: m["rigid"].update(size=[8, 12, True]), "MMREG_E_MANIFEST_VALUE", "size"),
    (lambda m: m["rigid"].update(size=[8, 12, 0]), "MMREG_E_MANIFEST_VALUE", "size"),
    (lambda m: m["rigid"].update(size=[1024, 1024, 1024]), "MMREG_E_MANIFEST_VALUE", "size"),
    (lambda m: m["rigid"].update(spacing_mm=[1, 1, "1"]), "MMREG_E_MANIFEST_VALUE", "spacing_mm"),
    (lambda m: m["rigid"].update(spacing_mm=[1, 1, 0]), "MMREG_E_MANIFEST_VALUE", "spacing_mm"),
    (lambda m: m["rigid"].update(stages=[{"fp32": "net.onnx"}]), "MMREG_E_MANIFEST_VALUE", "stages"),
    (lambda m: m["rigid"].update(stages=[{"fp32": "../a.onnx"}]), "MMREG_E_MANIFEST_VALUE", "a.onnx"),
    (lambda m: m["rigid"].update(stages=[{"fp32": "absent.onnx"}]), "MMREG_E_MANIFEST_VALUE", "absent.onnx"),
    (lambda m: m["rigid"].update(stages=8 * [{"fp32": "a.onnx"}]), "MMREG_E_MANIFEST_VALUE", "7"),
    (
        lambda m: m["rigid"].update(stages=[{"fp32": "a.onnx", "fp16": "b.onnx"}]),
        "MMREG_E_MANIFEST_VALUE",
        "precisions",
    ),
    (lambda m: m["output"].update(channels=3), "MMREG_E_MANIFEST_VALUE", "channels"),
    (lambda m: m["output"].update(factor=2), "MMREG_E_MANIFEST_VALUE", "factor"),
    (lambda m: m["output"].update(refine=False), "MMREG_E_MANIFEST_VALUE", "refine"),
    (lambda m: m.update(dims=2), "MMREG_E_MANIFEST_VALUE", "2-D"),
    (lambda m: m["output"].update(kind="affine"), "MMREG_E_MANIFEST_KEY", "rigid"),
]


@pytest.mark.parametrize(("change", "code", "mention"), RIGID_ERRORS)
@case(
    79,
    "manifest that is damaged, has unknown keys, or has a newer format",
    "MMREG_E_MANIFEST_KEY",
    "MMREG_E_MANIFEST_TYPE",
    "MMREG_E_MANIFEST_VALUE",
)
def test_79_a_manifest_of_rigid_networks_with_wrong_content(change, code, mention, tmp_path):
    made = write_bundle(tmp_path / "a.mmreg", parts.rigid_manifest(), parts.rigid_files(), zip=False)
    with refused(code, mention):
        open_bundle(rewritten(made.path, change), verify=False)


@pytest.mark.parametrize(
    ("name", "damage", "code"),
    [
        ("net.stage2.onnx", lambda data: data[:-1] + bytes([data[-1] ^ 1]), "MMREG_E_BUNDLE_HASH"),
        ("net.stage2.onnx", lambda data: data + b"\0", "MMREG_E_BUNDLE_SIZE"),
    ],
)
@case(77, "wrong checksum or size", "MMREG_E_BUNDLE_HASH", "MMREG_E_BUNDLE_SIZE")
def test_77_a_later_network_other_than_declared(name, damage, code, tmp_path):
    made = write_bundle(tmp_path / "a.mmreg", parts.rigid_manifest(), parts.rigid_files(), zip=False)
    path = made.path / name
    path.write_bytes(damage(path.read_bytes()))
    with refused(code, name):
        open_bundle(made.path)


@case(76, "missing or surplus file in a bundle", "MMREG_E_BUNDLE_FILE_MISSING")
def test_76_a_later_network_that_is_missing(tmp_path):
    made = write_bundle(tmp_path / "a.mmreg", parts.rigid_manifest(), parts.rigid_files(), zip=False)
    (made.path / "net.stage2.onnx").unlink()
    with refused("MMREG_E_BUNDLE_FILE_MISSING", "net.stage2.onnx"):
        open_bundle(made.path)


@pytest.mark.parametrize("name", ["net.onnx", "net.stage2.onnx"])
@case(80, "damaged ONNX file, or one with unsupported parts", "MMREG_E_ONNX_SUBGRAPH")
def test_80_any_of_several_networks_is_refused(name, tmp_path):
    loop = ox.net(nodes=[ox.node("Loop", ["both"], ["x"])])
    with refused("MMREG_E_ONNX_SUBGRAPH"):
        write_bundle(tmp_path / "a.mmreg", parts.rigid_manifest(), parts.rigid_files(**{name: loop}))


@pytest.mark.parametrize(
    ("data", "mention"),
    [
        (ox.rigid(parts.STEPS[1], (8, 12, 16)), "(1, 1, 8, 12, 12)"),
        (ox.rigid((1.0, 2, 3), parts.WINDOW, values=3), "(1, 6)"),
        (ox.net(), "(1, 6)"),
    ],
)
@pytest.mark.parametrize("name", ["net.onnx", "net.stage2.onnx"])
@case(81, "inputs or outputs of a network differ from its manifest", "MMREG_E_BUNDLE_MODEL")
def test_81_a_rigid_network_of_another_size(data, mention, name, tmp_path):
    with refused("MMREG_E_BUNDLE_MODEL", mention):
        write_bundle(tmp_path / "a.mmreg", parts.rigid_manifest(), parts.rigid_files(**{name: data}))


@pytest.mark.parametrize("shape", [(1, 6), (2, 5), (6,), (3, 6)])
@case(82, "network that outputs NaN, a constant or a wrong field", "MMREG_E_BUNDLE_GOLDEN")
def test_82_a_golden_pair_of_other_rigid_networks(shape, tmp_path):
    images = np.zeros((2, *parts.WINDOW), np.float32)
    golden = golden_bytes(*images, np.zeros(shape))
    with refused("MMREG_E_BUNDLE_GOLDEN"):
        files = parts.rigid_files(**{"golden.npz": golden})
        write_bundle(tmp_path / "a.mmreg", parts.rigid_manifest(), files)


@case(82, "network that outputs NaN, a constant or a wrong field", "MMREG_E_SELFTEST_LIMIT")
def test_82_a_rigid_network_is_compared_by_the_corners_of_its_window(tmp_path):
    made = write_bundle(tmp_path / "a.mmreg", parts.rigid_manifest(), parts.rigid_files())

    def turned(degrees):
        return lambda _: np.float32(parts.STEPS[1] + degrees * np.array([0, 0, 0, 0, 0, 1]))[None]

    radius_mm = np.hypot(5.5 * 4, 5.5 * 4)  # of the corners about z; the tilt before adds up to 4 %
    assert self_test(made, turned(0.01), "fp32", stage=1) == pytest.approx(
        np.radians(0.01) * radius_mm, rel=0.05
    )
    with refused("MMREG_E_SELFTEST_LIMIT", "0.01 mm"):
        self_test(made, turned(0.02), "fp32", stage=1)


def relu(*attributes, **named):
    return ox.net(nodes=[ox.node("Relu", ["both"], ["x"], *attributes, **named)])


AWAY = ox.tensor("away", np.zeros(2, np.float32), ox.number(14, 1))
MODELS = {
    "garbage": (b"\x0f no model", "MMREG_E_ONNX_MALFORMED"),
    "empty pickle": (b"\x80\x04N.", "MMREG_E_ONNX_FIELD"),
    "truncated": (ox.net()[:-1], "MMREG_E_ONNX_TRUNCATED"),
    "old opset": (ox.net(opset=11), "MMREG_E_ONNX_OPSET"),
    "version": (ox.model(b"", ir_version=99), "MMREG_E_ONNX_VERSION"),
    "external data": (ox.net(more_initialisers=[AWAY]), "MMREG_E_ONNX_EXTERNAL_DATA"),
    "unknown operator": (ox.net(nodes=[ox.node("RandomNormal", [], ["x"])]), "MMREG_E_ONNX_OPERATOR"),
    "unknown domain": (relu(domain="com.evil"), "MMREG_E_ONNX_DOMAIN"),
    "loop": (ox.net(nodes=[ox.node("Loop", ["both"], ["x"])]), "MMREG_E_ONNX_SUBGRAPH"),
    "if": (ox.net(nodes=[ox.node("If", ["both"], ["x"])]), "MMREG_E_ONNX_SUBGRAPH"),
    "graph in a graph": (relu(ox.part(6, b"")), "MMREG_E_ONNX_SUBGRAPH"),
    "function": (ox.net(extra=ox.part(25, b"")), "MMREG_E_ONNX_FUNCTION"),
    "many nodes": (ox.model(ox.part(1, b"") * 20_001), "MMREG_E_ONNX_TOO_LARGE"),
    "overflow": (
        ox.net(graph_extra=ox.part(13, ox.value("both", [1 << 40, 1 << 40]))),
        "MMREG_E_ONNX_TOO_LARGE",
    ),
    "less data": (
        ox.net(more_initialisers=[ox.number(1, 3) + ox.number(2, 1) + ox.part(8, "t")]),
        "MMREG_E_ONNX_TENSOR",
    ),
    "loose end": (ox.net(nodes=[ox.node("Relu", ["nothing"], ["x"])]), "MMREG_E_ONNX_GRAPH"),
}


@pytest.mark.parametrize(("data", "code"), MODELS.values(), ids=MODELS.keys())
@case(
    80,
    "damaged ONNX file, or one with unsupported parts",
    *dict.fromkeys(code for _, code in MODELS.values()),
)
def test_80_a_network_that_is_refused(data, code, tmp_path):
    with refused(code):
        check_model(data)
    path = tmp_path / "bad.mmreg"
    with refused(code):  # nor is it written into a bundle
        write_bundle(path, parts.manifest(), parts.files(**{"net.onnx": data}))
    assert list(tmp_path.iterdir()) == []


def interface(name="fixed", dims=(1, 1, "d", "h", "w"), code=1, output="output", channels=3):
    """A network of other inputs and outputs; the second input goes straight out."""
    out = (1, channels, "d", "h", "w")
    body = [ox.node("Identity", ["moving"], [output])]
    inputs = [ox.value(name, dims, code), ox.value("moving", (1, 1, "d", "h", "w"))]
    return ox.model(ox.graph(body, inputs, [ox.value(output, out)]))


@pytest.mark.parametrize(
    ("data", "mention"),
    [
        (interface(name="other"), "other"),
        (interface(dims=(1, 1, "h", "w")), "5 dimensions"),
        (interface(dims=(2, 1, "d", "h", "w")), "(1, 1, ...)"),
        (interface(dims=(1, 1, 6, "h", "w")), "multiples of 4"),
        (interface(code=10), "float16"),
        (interface(output="flow"), "flow"),
        (interface(channels=2), "3 output channels"),
        (ox.net(2), "5 dimensions"),
        (ox.descriptor(), "image"),
    ],
)
@case(81, "inputs or outputs of a network differ from its manifest", "MMREG_E_BUNDLE_MODEL")
def test_81_a_network_with_other_inputs_or_outputs(data, mention, tmp_path):
    with refused("MMREG_E_BUNDLE_MODEL", mention):
        write_bundle(tmp_path / "a.mmreg", parts.manifest(), parts.files(**{"net.onnx": data}))


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda out: out * np.where(out == out.max(), np.nan, 1), "MMREG_E_SELFTEST_NOT_FINITE"),
        (lambda out: out + np.inf, "MMREG_E_SELFTEST_NOT_FINITE"),
        (lambda out: out[:, :, 1:], "MMREG_E_SELFTEST_SHAPE"),
        (lambda out: out[0], "MMREG_E_SELFTEST_SHAPE"),
        (lambda out: out * 0, "MMREG_E_SELFTEST_LIMIT"),  # a constant field
        (lambda out: out[:, ::-1] + [[[[0]]], [[[0.1]]], [[[0]]]], "MMREG_E_SELFTEST_LIMIT"),
    ],
)
@case(
    82,
    "network that outputs NaN, a constant or a wrong field",
    "MMREG_E_SELFTEST_NOT_FINITE",
    "MMREG_E_SELFTEST_SHAPE",
    "MMREG_E_SELFTEST_LIMIT",
)
def test_82_a_network_that_gives_something_else_here(spoil, code, folder):
    with refused(code, "tiny"):
        self_test(open_bundle(folder), lambda inputs: spoil(ox.run_net(inputs)))


@case(84, "lower precision beyond its limit", "MMREG_E_SELFTEST_LIMIT", "MMREG_E_BUNDLE_PRECISION")
def test_84_a_lower_precision_beyond_its_limit(tmp_path):
    manifest = parts.manifest(
        precisions={"fp32": "net.onnx", "int8": "net.int8.onnx"},
        golden={"file": "golden.npz", "limit_mm": {"fp32": 0.001, "int8": 0.1}},
    )
    made = write_bundle(tmp_path / "a.mmreg", manifest, parts.files(**{"net.int8.onnx": ox.net()}))

    def coarse(step):
        return lambda inputs: np.round(ox.run_net(inputs) / step) * step

    # half a step along three axes, times the spacing, is 0.065 mm at most
    assert 0.001 < self_test(made, coarse(0.05), "int8") < 0.1
    with refused("MMREG_E_SELFTEST_LIMIT", "0.001 mm"):
        self_test(made, coarse(0.05), "fp32")
    with refused("MMREG_E_SELFTEST_LIMIT", "int8", "0.1 mm"):
        self_test(made, coarse(0.5), "int8")
    with refused("MMREG_E_BUNDLE_PRECISION", "fp16"):
        self_test(made, ox.run_net, "fp16")
    with refused("MMREG_E_BUNDLE_PRECISION", "fp16"):
        made.model("fp16")


FIXED, MOVING, OUTPUT = parts.golden_pair()
GOLDENS = {
    "other shapes": golden_bytes(FIXED, MOVING[1:], OUTPUT),
    "no multiple": golden_bytes(FIXED[:3], MOVING[:3], OUTPUT[:, :3]),
    "not finite": golden_bytes(FIXED * np.nan, MOVING, OUTPUT),
    "channels": golden_bytes(FIXED, MOVING, OUTPUT[:2]),
    "cut off": golden_bytes(FIXED, MOVING, OUTPUT)[:-1],
    "empty zip": b"PK\5\6" + bytes(18),
    "a long list": golden_bytes(FIXED, MOVING, OUTPUT)[:-12] + b"\xff\xff\xff\x7f" + bytes(8),
}


def object_golden():
    from io import BytesIO

    made = BytesIO()
    np.savez(made, fixed=np.array([Path]), moving=MOVING, output=OUTPUT)
    return made.getvalue()


@pytest.mark.parametrize("data", [*GOLDENS.values(), object_golden()], ids=[*GOLDENS, "pickle"])
@case(82, "network that outputs NaN, a constant or a wrong field", "MMREG_E_BUNDLE_GOLDEN")
def test_82_a_golden_pair_that_cannot_be_used(data, tmp_path):
    with refused("MMREG_E_BUNDLE_GOLDEN"):
        write_bundle(tmp_path / "a.mmreg", parts.manifest(), parts.files(**{"golden.npz": data}))
