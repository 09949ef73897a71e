"""Names of files are bytes: whatever they hold works, is shown harmlessly, and stays out of what is kept."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from fixtures import pretend, shell

from mmreg_rt import io
from mmreg_rt.cli import main
from mmreg_rt.cli.privacy import PathRedactor
from mmreg_rt.errors import InputError, RegistrationError
from mmreg_rt.text.printable import printable, valid_unicode

pytestmark = pytest.mark.usefixtures("registrar")

NAMES = {
    "not UTF-8": b"sch\xe4del_\xff\xfe",
    "a line break": b"two\nlines\r",
    "an escape sequence": b"\x1b[31mred\x1b[2J\x1b]0;title\x07",
    "a turned direction": "scan\u202egpj.ii\u2066n\u200f".encode(),
    "spaces and quotes": b' "it\'s" & <b>$HOME ',
    "a dash first": b"-o",
    "a c1 control": "a\u009b31mb\u2028c".encode(),
    "other scripts": "頭部 рентген ראש".encode(),
}
OBEYED = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


@pytest.fixture(params=NAMES)
def name(request):
    return os.fsdecode(NAMES[request.param])


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    patient = tmp_path / "Doe_Jane_1970" / "study of last May"
    patient.mkdir(parents=True)
    monkeypatch.chdir(patient)
    return patient


def run(*words, code=0):
    done = shell.run(list(words), code=code)
    for text in (done.stdout, done.stderr):
        assert not OBEYED.search(text)
    return done


def scans(name):
    """Three files of that name, in a folder of that name."""
    fixed, moving = pretend.scans()
    folder = f"./in {name}"
    os.mkdir(folder)
    paths = [f"{folder}/{name}{end}" for end in (".f.nii.gz", ".m.nii.gz", ".l.nii.gz")]
    labels = moving.with_data((moving.data == 100).astype(np.uint8))
    for path, volume in zip(paths, (fixed, moving, labels), strict=True):
        io.write_image(volume, path)
    return paths


def kept(folder):
    """What is in the two files that are kept and passed on, as strict readers take it."""
    texts = {}
    for name in ("result.json", "report.html"):
        texts[name] = Path(folder, name).read_bytes().decode("utf-8", "strict")
        assert not OBEYED.search(texts[name])
    found = json.loads(texts["result.json"])
    json.dumps(found, ensure_ascii=False).encode("utf-8", "strict")  # no lone surrogates behind escapes
    return found, texts


def test_every_name_works_from_the_scans_to_the_folder(name):
    fixed, moving, labels = scans(name)
    out = f"./out {name}"
    done = run("register", fixed, moving, "-o", out, "--labels", labels)
    assert printable(name) in done.output
    found, texts = kept(out)
    assert found["fixed"]["name"] == valid_unicode(f"{name}.f.nii.gz")
    assert found["options"]["labels"] == valid_unicode(f"{name}.l.nii.gz")
    for text in texts.values():
        assert "Doe_Jane" not in text
        assert "in " + name not in text
    shown = run("register", fixed, moving, "-o", out, "--json")
    assert json.loads(shown.stdout) == json.loads(Path(out, "result.json").read_text())


def test_every_name_works_in_the_other_commands(name):
    fixed, moving, _ = scans(name)
    out = f"./out {name}.nii.gz"
    io.write_transform(pretend.registration(*pretend.scans()).transform, f"./{name}.nii.gz")
    assert printable(name) in run("warp", moving, "-t", f"./{name}.nii.gz", "-o", out).stdout
    assert os.path.exists(out)
    shown = json.loads(run("warp", moving, "-t", f"./{name}.nii.gz", "-o", out, "--json").stdout)
    assert shown["written"] == valid_unicode(f"out {name}.nii.gz")
    assert printable(name) in run("inspect", fixed).stdout
    run("evaluate", "--transform", f"./{name}.nii.gz")


@pytest.mark.parametrize("command", ["register", "warp", "inspect", "evaluate", "benchmark"])
def test_a_refusal_shows_every_name_harmlessly_on_one_line(name, command):
    path = f"./{name}"
    words = {
        "register": ("register", path, path, "-o", "out"),
        "warp": ("warp", path, "-t", path, "-o", f"{path}.nii.gz"),
        "inspect": ("inspect", path),
        "evaluate": ("evaluate", "--transform", path),
        "benchmark": ("benchmark", path),
    }[command]
    done = CliRunner().invoke(main, [*words])
    assert done.exit_code == (4 if command == "benchmark" else 3)  # there it is a model
    assert not OBEYED.search(done.stderr)
    assert printable(name) in done.stderr or command == "benchmark"  # which quotes it
    assert len(done.stderr.strip().splitlines()) == 1 + (command == "register")  # "Reading ..."


def test_a_usage_error_shows_every_name_harmlessly(name):
    done = CliRunner().invoke(main, ["inspect", "--", "a", f"x{name}"])
    assert done.exit_code == 2
    assert not OBEYED.search(done.stderr)


def test_a_terminal_gets_only_what_it_can_show(here, name):
    os.makedirs(f"./{name}")
    words = [sys.executable, "-m", "mmreg_rt", "inspect", f"./{name}/none.nii.gz"]
    for encoding in ("utf-8", "ascii"):
        environment = os.environ | {"PYTHONIOENCODING": encoding}
        done = subprocess.run(words, capture_output=True, env=environment, cwd=here)
        assert done.returncode == 3
        assert not OBEYED.search(done.stderr.decode(encoding, "strict"))


FAILURES = {
    "a missing scan": ("none.nii.gz", None),
    "a folder": ("folder.nii.gz", None),
    "a damaged scan": ("bad.nii.gz", None),
    "an error with a path": (
        None,
        lambda path: InputError("MMREG_E_X", f"{path} is bad, and so is {path!r}."),
    ),
    "an error of the system": (None, lambda path: FileNotFoundError(2, "No such file", path)),
    "a bug": (None, lambda path: KeyError(path)),
    "another path": (
        None,
        lambda _: RegistrationError("MMREG_E_X", "No room in /home/jane/.cache/mmreg/engine.plan."),
    ),
}


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("kind", FAILURES)
def test_folders_of_people_are_not_in_what_a_failure_leaves(here, registrar, kind, absolute):
    given, error = FAILURES[kind]
    fixed, moving, _ = scans("x")
    (here / "folder.nii.gz").mkdir()
    (here / "bad.nii.gz").write_bytes(b"no gzip at all")
    path = (
        str(here / (given or "secret.nii.gz"))
        if absolute
        else (given or "../study of last May/secret.nii.gz")
    )
    if error is not None:
        registrar(error=error(str(here / "secret.nii.gz")))
    run("register", path if given else fixed, moving, "-o", "out", code=1 if kind == "a bug" else
        7 if kind == "another path" else 3)  # fmt: skip
    found, texts = kept("out")
    for text in texts.values():
        for private in ("Doe_Jane", "study of last May", "in x", "home/jane", str(here.parent)):
            assert private not in text
    assert found["error"]["message"]


def test_folders_of_people_are_not_in_warnings_and_settings(here, registrar):
    fixed, moving, _ = scans("x")
    where = f"{here}/in x"
    registrar(
        warnings=(f"the cache {where}/y.plan is old",), settings={"network": {"ran": f"{where}/y.plan"}}
    )
    done = run("register", fixed, moving, "-o", "out", "--model", f"{where}/model.mmreg")
    _, texts = kept("out")
    for text in (*texts.values(), done.stdout):
        assert "Doe_Jane" not in text
    assert "y.plan is old" in texts["result.json"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("There is no file /data/jane/a.nii.gz. Check", "There is no file a.nii.gz. Check"),
        ("/data/jane/a.nii.gz: bad", "a.nii.gz: bad"),
        ("'/data/jane/b.nii' is bad", "'b.nii' is bad"),
        ("see https://example.org/a/b or 3/4/5", "see https://example.org/a/b or 3/4/5"),
        ("choose 1/2 or and/or", "choose 1/2 or and/or"),
    ],
)
def test_paths_become_names(text, expected, monkeypatch):
    monkeypatch.chdir("/")
    names = PathRedactor([Path("/data/jane/a.nii.gz")])
    assert names.text(text) == expected


def test_printable_escapes_what_is_obeyed_and_keeps_what_is_read():
    assert printable("Schädel 頭部 (1)") == "Schädel 頭部 (1)"
    assert printable("a\nb\x1b\u202e\x9b" + os.fsdecode(b"\xff")) == r"a\nb\x1b\u202e\x9b\xff"
    assert valid_unicode("a\nb\u202e" + os.fsdecode(b"\xff")) == "a\nb\u202e\\xff"
