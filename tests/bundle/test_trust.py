"""No way from a file to a library passes by the trial: not of Python's, and of no command of the shell."""

import ast
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from fixtures import bundle_parts as parts
from fixtures import networks, scene
from fixtures import onnx_bytes as ox
from fixtures.bundle_parts import WIDE

import mmreg_rt
from mmreg_rt import io
from mmreg_rt.backends.tensorrt import builder
from mmreg_rt.bundle import golden_bytes, write_bundle
from mmreg_rt.cli import main
from mmreg_rt.network import trial as bundle_trial
from mmreg_rt.preprocess import PreprocessSpec

KEY = bytes(range(32))
QUICK = ["--runs", "2", "--idle", "0", "--threads", "1", "--no-contention", "--sizes", "16x16x16"]
RUNTIME = Path(mmreg_rt.__file__).parent


@pytest.fixture
def trials(monkeypatch):
    """What is tried; nothing is known of what was tried before."""
    monkeypatch.setattr(bundle_trial, "_proven", set())
    tried, start = [], bundle_trial._start
    monkeypatch.setattr(bundle_trial, "_start", lambda trial, sent: tried.append(trial) or start(trial, sent))
    return tried


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spec = PreprocessSpec(None, 4).as_dict()
    for kind in ("velocity", "descriptor"):
        fixed, moving, output = parts.golden_pair()
        files = parts.files()
        if kind == "descriptor":
            files |= {
                "net.onnx": ox.descriptor(),
                "golden.npz": golden_bytes(fixed, moving, fixed[None].repeat(2, 0)),
            }
        manifest = parts.manifest(3, kind, preprocess=spec, intended_use=WIDE)
        write_bundle(tmp_path / f"{kind}.mmreg", manifest, files, private_key=_key())
    for name, scan in zip(("fixed", "moving"), scene.pair(), strict=True):
        io.write_image(scan, tmp_path / f"{name}.nii.gz")
    return tmp_path


def _key():
    pytest.importorskip("cryptography")
    return KEY


@pytest.fixture
def key_file(folder):
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    (folder / "key").write_bytes(
        ed25519.Ed25519PrivateKey.from_private_bytes(KEY).public_key().public_bytes_raw()
    )
    (folder / "other").write_bytes(
        ed25519.Ed25519PrivateKey.from_private_bytes(KEY[::-1]).public_key().public_bytes_raw()
    )
    return "key"


def run(words, code):
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == code, done.output
    return done


REGISTER = ["register", "fixed.nii.gz", "moving.nii.gz", "-o", "out", "--threads", "1", "--align", "none",
            "--no-refine", "--backend", "onnxruntime", "--model", "velocity.mmreg"]  # fmt: skip
BENCHMARK = ["benchmark", "--backend", "onnxruntime", *QUICK]
COMPILE = ["compile", "--backend", "tensorrt-rtx", "--dry-run", "--sizes", "16x16x16", "velocity.mmreg"]
# every command that loads a bundle, and what its trial does
COMMANDS = {
    "register": (REGISTER, "golden"),
    "benchmark of a plan": ([*BENCHMARK, "velocity.mmreg"], "golden"),
    "benchmark of a network": ([*BENCHMARK, "descriptor.mmreg"], "golden"),
    "benchmark of scans": (
        [*BENCHMARK[:-2], "velocity.mmreg", "--pair", "fixed.nii.gz", "moving.nii.gz"],
        "golden",
    ),
    "compile": (COMPILE, "build"),
}


@pytest.fixture(params=COMMANDS)
def command(request):
    words, task = COMMANDS[request.param]
    pytest.importorskip("tensorrt_rtx" if task == "build" else "onnxruntime")
    return words, task


@pytest.mark.usefixtures("folder")
def test_every_command_tries_a_bundle_from_elsewhere_first(command, trials):
    words, task = command
    ended = CliRunner().invoke(main, words)
    assert ended.exit_code in (0, 7), (
        ended.output
    )  # scans and a network of the tests: the verdict may be fail
    assert [trial.task for trial in trials] == [task]


@pytest.mark.usefixtures("folder")
def test_a_crash_is_one_of_the_other_process_and_nothing_was_loaded_in_this_one(command, trials, monkeypatch):
    def loaded(*_args, **_options):
        raise AssertionError("a network was loaded here before it stood its trial")

    pytest.importorskip("onnxruntime")
    from mmreg_rt.backends.onnxruntime import OnnxRuntime

    monkeypatch.setattr(OnnxRuntime, "load", loaded)
    monkeypatch.setattr(builder, "build", loaded)
    monkeypatch.setattr(
        bundle_trial, "_CHILD", "import os, signal; path = {path!r}; os.kill(os.getpid(), signal.SIGSEGV)"
    )
    said = run(command[0], 4).stderr
    assert "MMREG_E_BUNDLE_CRASH" in said and "SIGSEGV" in said
    assert len(trials) == 1


def test_a_bundle_that_is_signed_as_asked_is_not_tried(command, key_file, trials):
    ended = CliRunner().invoke(main, [*command[0], "--public-key", key_file])
    assert ended.exit_code in (0, 7), ended.output
    assert not trials


@pytest.mark.parametrize(
    ("name", "code", "error"),
    [
        ("other", 4, "MMREG_E_SIGNATURE_WRONG"),
        ("no_key", 4, "MMREG_E_SIGNATURE_KEY"),
        ("missing", 3, "MMREG_E_FILE_MISSING"),
        (".", 3, "MMREG_E_FILE_IS_DIRECTORY"),
        ("much", 3, "MMREG_E_TEXT_TOO_LONG"),
    ],
)
@pytest.mark.usefixtures("key_file")
def test_a_bundle_that_is_not_signed_as_asked_is_refused(command, folder, trials, name, code, error):
    (folder / "no_key").write_bytes(b"no key")
    (folder / "much").write_bytes(bytes(1 << 20))
    assert error in run([*command[0], "--public-key", name], code).stderr
    assert not trials


def test_a_key_is_for_a_bundle(folder, key_file):
    words = [word for word in REGISTER if word not in ("--model", "velocity.mmreg", "--no-refine")]
    assert "--model" in run([*words, "--public-key", key_file], 2).stderr
    (folder / "net.onnx").write_bytes(ox.net())
    assert "not signed" in run([*BENCHMARK, "net.onnx", "--public-key", key_file], 2).stderr


def test_the_record_of_a_run_names_no_path_of_the_key(folder, key_file):
    pytest.importorskip("onnxruntime")
    CliRunner().invoke(main, [*REGISTER, "--public-key", str(folder / key_file)])
    record = (folder / "out" / "result.json").read_text()
    assert json.loads(record)["options"]["key_file"] == "key"
    assert str(folder) not in record


def test_an_onnx_file_is_checked_and_tried_too(folder, trials, monkeypatch):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    (folder / "net.onnx").write_bytes(networks.network(3))
    run([*BENCHMARK, "net.onnx"], 0)
    assert [(trial.task, trial.extents) for trial in trials] == [("run", (16, 16, 16))]
    (folder / "odd.onnx").write_bytes(ox.net(nodes=[ox.node("LSTM", ["both"], ["x"])]))
    assert "MMREG_E_ONNX_OPERATOR" in run([*BENCHMARK, "odd.onnx"], 4).stderr
    monkeypatch.setattr(bundle_trial, "_proven", set())
    monkeypatch.setattr(
        bundle_trial, "_CHILD", "import os, signal; path = {path!r}; os.kill(os.getpid(), signal.SIGBUS)"
    )
    assert "SIGBUS" in run([*BENCHMARK, "net.onnx"], 4).stderr


@pytest.mark.usefixtures("folder")
def test_an_engine_is_built_elsewhere_for_the_golden_pair_which_is_small(trials):
    pytest.importorskip("tensorrt_rtx")
    run(COMPILE, 0)
    assert [trial.extents for trial in trials] == [parts.golden_pair()[0].shape]


def callers_of(name):
    """Files of the runtime that call something of this name."""
    for path in sorted(RUNTIME.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            called = node.func if isinstance(node, ast.Call) else None
            if getattr(called, "attr", getattr(called, "id", None)) == name:
                yield path.relative_to(RUNTIME).as_posix(), {word.arg for word in node.keywords}


def readers_of(name):
    """Files of the runtime that read an attribute of this name."""
    for path in sorted(RUNTIME.rglob("*.py")):
        if any(
            isinstance(node, ast.Attribute) and node.attr == name
            for node in ast.walk(ast.parse(path.read_text()))
        ):
            yield path.relative_to(RUNTIME).as_posix()


def test_nothing_else_reads_networks_out_of_bundles():
    """``BundleModel.onnx`` holds their bytes."""
    assert {*readers_of("onnx")} == {"network/trust.py"}
    assert {path for path, _ in callers_of("open_bundle")} == {
        "bundle/format.py",
        "network/trust.py",
    }  # it looks at what it wrote


def test_nothing_else_loads_networks():
    """Those of the package's own bytes, and what was proven."""
    loading = {path for path, words in callers_of("load") if {"precision", "threads"} <= words}
    assert loading == {
        "network/network.py",
        "network/trial_child.py",
        "cli/benchmark/workloads.py",
        "backends/smoke_test.py",
        "deployment/write.py",  # proven ones, and below what it made of them
        "deployment/check.py",
    }


@pytest.mark.usefixtures("folder")
def test_no_engine_is_built_for_a_grid_that_no_network_may_have():
    pytest.importorskip("tensorrt_rtx")
    words = [*COMPILE[:-3], "--sizes", "20000x20000x20000", "velocity.mmreg"]
    assert "MMREG_E_MODEL_" in run(words, 4).stderr
