"""One test for each rule of the format, with its code; docs/deployment_folder.md lists them in this order."""

import os

import pytest
from fixtures import deployments as made

from mmreg_rt.deployment import check_deployment, open_deployment
from mmreg_rt.deployment.cpu import cpu_word
from mmreg_rt.deployment.manifest import manifest_bytes, parse_manifest
from mmreg_rt.errors import BackendUnavailableError, BundleError

PREFIX = "MMREG_E_DEPLOYMENT"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("rules")
    made.tiny(folder)
    return folder / "tiny"


@pytest.fixture
def folder(source, tmp_path):
    """A deployment that the test may break."""
    return made.copied(source, tmp_path / "device")


def refused(folder, code, kind=BundleError, key=None):
    with pytest.raises(kind) as error:
        check_deployment(folder, key, runs=1)
    assert error.value.code == PREFIX + code
    return str(error.value)


def test_what_was_written_is_accepted(folder):
    assert check_deployment(folder, runs=1).worst_mm == 0


def test_a_manifest_is_written_as_it_is_read(folder):
    raw = (folder / "deployment.txt").read_bytes()
    assert manifest_bytes(parse_manifest(raw)) == raw


def test_the_order_of_keys_is_free(folder):
    made.with_lines(folder, lambda lines: lines[::-1])
    check_deployment(folder, runs=1)


def test_missing(folder):
    refused(folder / "nowhere", "_MISSING")
    refused(folder / "deployment.txt", "_MISSING")
    (folder / "deployment.txt").unlink()
    refused(folder, "_MISSING")


@pytest.mark.parametrize("name", ["deployment.txt", "deployment.sig", "network.onnx", "golden_fixed.f32"])
@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_links_folders_and_pipes(folder, name, kind):
    path = folder / name
    if path.exists():
        path.rename(folder.parent / name)
    {
        "link": lambda: path.symlink_to(folder.parent / name),
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
    }[kind]()
    refused(folder, "_FILE_LINK")


@pytest.mark.parametrize("extra", ["# " * 40_000, "\n" * 201])
def test_too_large(folder, extra):
    path = folder / "deployment.txt"
    path.write_text(path.read_text() + extra)
    refused(folder, "_TOO_LARGE")


def test_signature(folder, tmp_path):
    pytest.importorskip("cryptography")
    refused(folder, "_SIGNATURE_MISSING", key=made.public(made.KEY))
    (folder / "deployment.sig").write_bytes(bytes(63))
    refused(folder, "_SIGNATURE")
    (folder / "deployment.sig").write_bytes(bytes(64))
    check_deployment(folder, runs=1)  # without a key, nothing is promised
    refused(folder, "_SIGNATURE", key=made.public(made.KEY))
    made.tiny(tmp_path, name="signed", private_key=made.KEY)
    assert open_deployment(tmp_path / "signed", made.public(made.KEY)).signed
    assert not open_deployment(tmp_path / "signed").signed
    refused(tmp_path / "signed", "_SIGNATURE", key=made.public(made.OTHER_KEY))
    made.with_value(tmp_path / "signed", "expected_ms", "1.0")
    refused(tmp_path / "signed", "_SIGNATURE", key=made.public(made.KEY))


LINES = (
    *("", "name", "name=tiny", "name  = tiny", "name = ", "name = tiny ", "name = a  b", " name = tiny"),
    *("Name = tiny", "name = tiny\r", "name\t= tiny", "name = t\u00efny", "n\0me = tiny", "# a remark"),
    *("name = " + "x" * 1100, "n" * 41 + " = x"),
)


@pytest.mark.parametrize("line", LINES)
def test_lines(folder, line):
    made.with_lines(folder, lambda lines: [line if each.startswith("name =") else each for each in lines])
    refused(folder, "_LINE")


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw[:-1],
        lambda raw: raw + b"\n",
        lambda raw: raw + b"name = tiny\n",
        lambda raw: raw[: raw.rfind(b"checksum")],
        lambda raw: raw[:0],
    ],
)
def test_the_end_of_the_manifest(folder, change):
    path = folder / "deployment.txt"
    path.write_bytes(change(path.read_bytes()))
    refused(folder, "_LINE")


@pytest.mark.parametrize("value", ["mmreg-deployment/2", "mmreg-bundle/1", "x"])
def test_format(folder, value):
    made.with_value(folder, "format", value)
    refused(folder, "_FORMAT")


def test_unknown_keys(folder):
    made.with_lines(folder, lambda lines: [*lines, "colour = blue"])
    refused(folder, "_KEY_UNKNOWN")


@pytest.mark.parametrize("key", ["format", "name", "threads", "network_shape", "checksum"])
def test_keys_that_come_twice(folder, key):
    raw = (folder / "deployment.txt").read_text().splitlines()
    again = [line for line in raw if line.startswith(f"{key} =")]
    made.with_lines(folder, lambda lines: [*again, *lines])
    refused(folder, "_KEY_TWICE")


def test_every_key_is_needed(source, tmp_path):
    keys = [line.split(" = ")[0] for line in (source / "deployment.txt").read_text().splitlines()]
    for key in sorted({*keys} - {"checksum"}):
        folder = made.copied(source, tmp_path / key)
        made.with_lines(
            folder, lambda lines, key=key: [each for each in lines if not each.startswith(f"{key} =")]
        )
        refused(folder, "_KEY_MISSING")


VALUES = {
    "name": ("a/b", "x" * 101),
    "version": ("1,0",),
    "bundle_sha256": ("0" * 63, "A" * 64),
    "engine": ("tensorrt",),
    "precision": ("fp64", "bf16"),
    "threads": ("0", "1025", "01", "1.0", "+1", "99999999999"),
    "output": ("rigid", "displacement"),
    "dims": ("4",),
    "fixed_shape": ("1 12", "1 12 20 1", "1 0 20", "2 12 20", "1 65536 65536"),
    "largest_moving_shape": ("9 9 9",),
    "network_shape": ("1 12 24",),
    "fixed_linear": (
        "1 0 0 0 1 0 0 0",
        "1 0 0 0 1 0 0 0 0",
        "1 1 0 1 1 0 0 0 1",
        *(f"1 0 0 0 {odd} 0 0 0 1" for odd in ("nan", "1e400", "1e-400", "0x1", ".5", "1_0", "+1", "1.")),
    ),
    "network_to_fixed": ("1 0 0 0 1 0 0 0 1", "0 0 0 0 0 1 0 0 0 0 1 0"),
    "intensity": ("mean",),
    "intensity_low": ("-1", "99.9"),
    "intensity_high": ("101", "inf"),
    "factor": ("3", "2"),
    "integration_steps": ("0", "13"),
    "planes": ("1",),
    "stages": ("0", "2", "9"),
    "refine": ("2", "true"),
    "golden_limit_mm": ("0", "1001"),
    "expected_ms": ("0.0", "-1", "1 2"),
    "memory_mb": ("0", "1048577", "1.5"),
    "slack_ms": ("1e10", "1" * 33),
    "file": ("golden_fixed.f32 1 2", "other.bin 1 " + "0" * 64),
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key in VALUES for value in VALUES[key]])
def test_values(folder, key, value):
    made.with_value(folder, key, value)
    refused(folder, "_VALUE")


def test_a_checksum_of_another_form(folder):
    path = folder / "deployment.txt"
    path.write_bytes(path.read_bytes()[:-2] + b"\n")
    refused(folder, "_VALUE")


def test_a_wrong_checksum(folder):
    path = folder / "deployment.txt"
    path.write_bytes(path.read_bytes().replace(b"threads = 1\n", b"threads = 2\n"))
    assert "deployment.txt" in refused(folder, "_FILE_HASH")


def test_files_declared_twice_or_not_at_all(folder):
    made.with_lines(folder, lambda lines: [*lines, next(each for each in lines if each.startswith("file"))])
    refused(folder, "_KEY_TWICE")


def test_a_golden_file_of_another_size_than_its_shape(folder):
    made.with_file(folder, "golden_fixed.f32", bytes(4))
    refused(folder, "_VALUE")


@pytest.mark.parametrize("name", ["notes.txt", ".hidden", "network.xml", "Network.onnx"])
def test_files_that_are_not_declared(folder, name):
    (folder / name).write_text("x")
    refused(folder, "_FILE_UNDECLARED")


def test_files(folder):
    for name in ("network.onnx", "golden_output.f32"):
        data = (folder / name).read_bytes()
        (folder / name).unlink()
        refused(folder, "_FILE_MISSING")
        for other in (data[:-1], data + b"\0", b""):
            (folder / name).write_bytes(other)
            refused(folder, "_FILE_SIZE")
        (folder / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        assert name in refused(folder, "_FILE_HASH")
        (folder / name).write_bytes(data)
    check_deployment(folder, runs=1)


def test_another_version_of_the_engine(folder):
    made.with_value(folder, "engine_version", "1.0.0")
    assert "1.0.0" in refused(folder, "_ENGINE_VERSION", BackendUnavailableError)


def test_an_engine_file_of_tensorrt_is_read_and_not_run(folder):
    (folder / "network.onnx").rename(folder / "network.plan")
    made.with_lines(
        folder,
        lambda lines: [
            line.replace("network.onnx", "network.plan").replace("= onnxruntime", "= tensorrt")
            for line in lines
        ],
    )
    assert open_deployment(folder).manifest.engine == "tensorrt"
    assert "libmmreg" in refused(folder, "_ENGINE", BackendUnavailableError)


def test_another_cpu(folder):
    made.with_value(folder, "cpu", "vax+floating")
    refused(folder, "_CPU", BackendUnavailableError)
    made.with_value(folder, "cpu", "any")
    check_deployment(folder, runs=1)


def test_golden(folder):
    name = "golden_output.f32"
    changed = bytearray((folder / name).read_bytes())
    changed[2:4] = b"\x80\x3f"  # the first number is about 1
    made.with_file(folder, name, bytes(changed))
    assert "limit" in refused(folder, "_GOLDEN")
    changed[2:4] = b"\xc0\x7f"  # NaN
    made.with_file(folder, name, bytes(changed))
    assert "finite" in refused(folder, "_GOLDEN")


def test_the_word_for_a_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor : 0\nflags\t\t: fpu amx_int8 avx2 avx512_bf16x avx512f\nflags : avx_vnni\n")
    assert cpu_word(cpuinfo) == "x86_64+avx2+avx512f+amx_int8"
    assert cpu_word(tmp_path / "none") == "x86_64"
