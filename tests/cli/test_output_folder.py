"""An output folder: nothing lost that the program did not write, complete or as it was."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from fixtures import pretend
from fixtures.shell import run

from mmreg_rt import io
from mmreg_rt.cli import main, record
from mmreg_rt.cli import output_folder as folders
from mmreg_rt.cli.partial import MARKER, partial_folder
from mmreg_rt.errors import RegistrationError

pytestmark = pytest.mark.usefixtures("registrar")

ALWAYS = {"affine.tfm", "inverse.nii.gz", "report.html", "result.json", "transform.nii.gz", "warped.nii.gz"}
REGISTER = ("register", "fixed.nii.gz", "moving.nii.gz", "-o")
EXTRAS = ("--labels", "labels_of_moving.nii.gz", "--points", "points_of_moving.csv")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fixed, moving = pretend.scans()
    io.write_image(fixed, tmp_path / "fixed.nii.gz")
    io.write_image(moving, tmp_path / "moving.nii.gz")
    io.write_image(
        moving.with_data((moving.data == 100).astype(np.uint8)), tmp_path / "labels_of_moving.nii.gz"
    )
    io.write_points([[0.0, 0, 0], [5, 5, 5]], tmp_path / "points_of_moving.csv")
    return tmp_path


def refused(name, *words):
    done = run(*words, code=3)
    assert name in done.stderr
    return done


def contents(path):
    """Every file under ``path`` by its name, hidden ones too, and every link."""
    found = {}
    for base, _, names in os.walk(path):
        for name in names:
            one = os.path.join(base, name)
            relative = os.path.relpath(one, path)
            found[relative] = os.readlink(one) if os.path.islink(one) else Path(one).read_bytes()
    return found


def names(path):
    return {entry.name for entry in path.iterdir()}


def test_result_json_lists_every_other_file_with_its_size_and_hash(folder):
    run(*REGISTER, "out", *EXTRAS)
    found = json.loads((folder / "out" / "result.json").read_text())
    assert {*found["files"]} == names(folder / "out") - {"result.json"}
    for name, facts in found["files"].items():
        raw = (folder / "out" / name).read_bytes()
        assert facts == {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}


def test_a_second_run_replaces_the_results_of_the_first_and_nothing_else(folder):
    run(*REGISTER, "out", *EXTRAS)
    (folder / "out" / "notes.txt").write_text("mine")
    (folder / "out" / "more").mkdir()
    (folder / "out" / "more" / "warped.nii.gz").write_text("mine")
    run(*REGISTER, "out")
    assert names(folder / "out") == ALWAYS | {"notes.txt", "more"}  # labels and points were of the first run
    assert (folder / "out" / "more" / "warped.nii.gz").read_text() == "mine"
    assert record.read(folder / "out" / "result.json").status == "ok"


def test_results_that_are_as_they_were_written_may_have_other_times_and_rights(folder):
    run(*REGISTER, "out")
    for name in ALWAYS:
        os.utime(folder / "out" / name, (1, 1))
        os.chmod(folder / "out" / name, 0o600)
    run(*REGISTER, "out")


def edited(path):
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)  # of the same size


def replaced_by_a_folder(path):
    path.unlink()
    path.mkdir()
    (path / "mine").write_text("mine")


def replaced_by_a_link(path):
    aside = path.with_name("moved_away")
    path.rename(aside)
    path.symlink_to(aside)


def replaced_by_a_dangling_link(path):
    path.unlink()
    path.symlink_to("nowhere")


CHANGES = [edited, replaced_by_a_folder, replaced_by_a_link, replaced_by_a_dangling_link]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", sorted(ALWAYS))
def test_a_result_that_was_changed_is_somebody_elses_and_stops_the_run_before_it_begins(
    folder, registrar, name, change
):
    run(*REGISTER, "out")
    change(folder / "out" / name)
    before, asked = contents(folder), registrar()
    done = refused("MMREG_E_OUTPUT_FOREIGN", *REGISTER, "out")
    assert name in done.stderr
    assert contents(folder) == before
    assert not vars(asked.asked)


@pytest.mark.parametrize("name", sorted(ALWAYS | {"labels.nii.gz", "points.csv"}))
@pytest.mark.parametrize("code", [0, 7])
def test_a_file_of_the_user_by_the_name_of_a_result_is_never_touched(folder, registrar, name, code):
    (folder / name).write_text("mine")
    registrar(error=RegistrationError("MMREG_E_DIVERGED", "no result") if code else None)
    in_the_way = name in ALWAYS
    before = contents(folder)
    run(*REGISTER, ".", code=3 if in_the_way else code)
    assert (folder / name).read_text() == "mine"
    if in_the_way:
        assert contents(folder) == before


def test_a_changed_result_that_this_run_does_not_write_stays(folder):
    run(*REGISTER, "out", *EXTRAS)
    (folder / "out" / "points.csv").write_text("x,y,z\n1,2,3\n")
    run(*REGISTER, "out")
    assert (folder / "out" / "points.csv").read_text() == "x,y,z\n1,2,3\n"
    assert names(folder / "out") == ALWAYS | {"points.csv"}


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.replace(b'"ok"', b'"OK"', 1),
        lambda raw: raw + b" ",
        lambda raw: raw[: len(raw) // 2],
        lambda _: b"[" * 100_000,
        lambda _: b'{"files": {"notes.txt": {"bytes": 4, "sha256": "' + b"0" * 64 + b'"}}}',
        lambda _: b"\xff\xfe",
        lambda _: b"",
    ],
)
def test_a_record_that_was_changed_proves_nothing(folder, change):
    run(*REGISTER, "out")
    path = folder / "out" / "result.json"
    path.write_bytes(change(path.read_bytes()))
    before = contents(folder / "out")
    refused("MMREG_E_OUTPUT_FOREIGN", *REGISTER, "out")
    assert contents(folder / "out") == before


def test_a_record_cannot_name_files_of_other_folders(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "out").mkdir()
    facts = record.facts(tmp_path / "precious")._asdict()
    text = json.dumps({"status": "ok", "files": {"../precious": facts}, "sha256": "0" * 64})
    digest = hashlib.sha256(text.encode()).hexdigest()
    (tmp_path / "out" / "result.json").write_text(text.replace("0" * 64, digest))
    assert not record.read(tmp_path / "out" / "result.json").files


WAYS = {
    "the folder itself": lambda here: (here / "out", here / "out"),
    "a link to the folder": lambda here: ((here / "way").symlink_to("out"), (here / "way", here / "out"))[1],
    "a link to the file": lambda here: (here / "out", here / "link"),
    "another name of the file": lambda here: (here / "out", here / "hard"),
    "a way round": lambda here: (here / "out" / ".." / "out", here / "out"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("option", ["moving", "--labels", "--points", "--fixed-mask", "--moving-mask"])
@pytest.mark.parametrize("earlier", [True, False])
def test_an_input_that_lies_where_a_result_would_go_is_refused_before_the_work(folder, way, option, earlier):
    if earlier:
        run(*REGISTER, "out", *EXTRAS)
    (folder / "out").mkdir(exist_ok=True)
    name = {"--labels": "labels.nii.gz", "--points": "points.csv"}.get(option, "warped.nii.gz")
    kept = folder / "out" / name
    if not earlier:
        source = {"--labels": "labels_of_moving.nii.gz", "--points": "points_of_moving.csv"}
        kept.write_bytes((folder / source.get(option, "moving.nii.gz")).read_bytes())
    out, at = WAYS[way](folder)
    given = at / name
    if way == "a link to the file":
        given = folder / f"link_{name}"
        given.symlink_to(kept)
    if way == "another name of the file":
        given = folder / f"hard_{name}"
        os.link(kept, given)
    scans = ["fixed.nii.gz", given if option == "moving" else "moving.nii.gz"]
    words = [] if option == "moving" else [option, given]
    before = contents(folder)
    refused("MMREG_E_OUTPUT_INPUT", "register", *scans, "-o", out, *words)
    assert contents(folder) == before


def test_an_earlier_result_that_is_an_input_now_stays_where_it_is(folder):
    run(*REGISTER, "out", *EXTRAS)
    mask = folder / "out" / "labels.nii.gz"
    before = mask.read_bytes()
    run(*REGISTER, "out", "--fixed-mask", mask)
    assert mask.read_bytes() == before
    assert names(folder / "out") == ALWAYS | {"labels.nii.gz"}


def test_a_name_that_differs_in_case_alone_is_in_the_way(folder):
    (folder / "out").mkdir()
    (folder / "out" / "Warped.nii.gz").write_text("mine")
    if (folder / "out" / "warped.nii.gz").exists():
        pytest.skip("this disk does not tell upper from lower case")
    refused("MMREG_E_OUTPUT_CASE", *REGISTER, "out")
    assert contents(folder / "out") == {"Warped.nii.gz": b"mine"}


def test_a_run_that_fails_leaves_earlier_results_and_adds_its_reason(folder):
    run(*REGISTER, "out", *EXTRAS)
    before = contents(folder / "out")
    for missing in ("none.nii.gz", "other.nii.gz"):
        done = run("register", missing, "moving.nii.gz", "-o", "out", "--json", code=3)
        now = contents(folder / "out")
        assert {name: now.pop(name) for name in before} == before
        assert {*now} == {"failure.html", "failure.json"}
        assert missing in json.loads(now["failure.json"])["error"]["message"]  # of the last one
        assert json.loads(now["failure.json"]) == json.loads(done.stdout)
    run(*REGISTER, "out")
    assert names(folder / "out") == ALWAYS


def test_a_failure_after_a_failure_takes_its_place(folder):
    for missing in ("none.nii.gz", "other.nii.gz"):
        run("register", missing, "moving.nii.gz", "-o", "out", code=3)
        assert names(folder / "out") == {"report.html", "result.json"}
        assert missing in (folder / "out" / "report.html").read_text()
    run(*REGISTER, "out")
    assert names(folder / "out") == ALWAYS


def test_a_reason_takes_no_place_of_a_file_of_the_user(folder):
    run(*REGISTER, "out")
    (folder / "out" / "failure.json").write_text("mine")
    before = contents(folder / "out")
    done = run("register", "none.nii.gz", "moving.nii.gz", "-o", "out", "--json", code=3)
    assert "could not be written" in json.loads(done.stdout)["report"]
    assert "none.nii.gz" in done.stderr
    assert contents(folder / "out") == before


@pytest.mark.parametrize(
    "where", ["out", "a/b/c", ".", "link", "dangling", "way/../out", "x" * 255, "é" * 127]
)
def test_results_come_wherever_the_folder_is(folder, where):
    (folder / "way").mkdir()
    (folder / "elsewhere").mkdir()
    (folder / "link").symlink_to("elsewhere")
    (folder / "dangling").symlink_to("not_yet")
    run(*REGISTER, where)
    assert names(folder / where) >= ALWAYS
    assert not [name for name in contents(folder) if ".mmreg" in name]
    run(*REGISTER, where)


def test_an_interrupt_leaves_the_folder_as_it_was(folder, registrar):
    run(*REGISTER, "out")
    before = contents(folder)
    registrar(error=KeyboardInterrupt())
    run(*REGISTER, "out", code=130)
    run(*REGISTER, "new/folder", code=130)
    assert contents(folder) == before
    assert not (folder / "new").exists()


def fail_at(monkeypatch, number, error):
    """Let the ``number``-th rename into or out of place fail, and say how many there were."""
    rename, seen = os.rename, []

    def failing(source, target):
        if ".mmreg-partial/" in f"{source} {target}/":
            seen.append(target)
            if len(seen) == number:
                raise error
        rename(source, target)

    monkeypatch.setattr(folders.os, "rename", failing)
    return seen


@pytest.mark.parametrize("number", range(2, 15))
def test_a_disk_that_fails_while_results_get_their_places_leaves_the_earlier_ones(
    folder, monkeypatch, number
):
    run(*REGISTER, "out", "--points", "points_of_moving.csv")
    before = contents(folder / "out")
    with monkeypatch.context() as patch:
        seen = fail_at(patch, number, OSError(28, "No space left on device"))
        done = run(*REGISTER, "out", code=3)
    assert len(seen) >= number  # 1 is the claim, 7 go, 6 come
    assert "No space left" in done.stderr
    now = contents(folder / "out")
    assert {name: now.get(name) for name in before} == before
    assert {*now} - {*before} == {"failure.html", "failure.json"}


def test_a_file_that_comes_while_the_work_is_done_is_not_overwritten(folder, registrar, monkeypatch):
    install = registrar()

    def register(_self, fixed, moving, **_):
        (folder / "out" / "warped.nii.gz").write_text("mine")
        return pretend.registration(fixed, moving)

    monkeypatch.setattr(install, "register", register)
    refused("MMREG_E_OUTPUT_CHANGED", *REGISTER, "out")
    assert (folder / "out" / "warped.nii.gz").read_text() == "mine"
    assert names(folder / "out") == {"warped.nii.gz", "report.html", "result.json"}


def test_a_second_run_at_the_same_time_is_refused_and_harms_nothing(folder):
    with folders.output(folder / "out", sorted(ALWAYS)) as first:
        (first.partial / "warped.nii.gz").write_text("of the first")
        refused("MMREG_E_OUTPUT_BUSY", *REGISTER, "out")
        assert (first.partial / "warped.nii.gz").read_text() == "of the first"
        first.commit("result.json")
    assert contents(folder / "out") == {"warped.nii.gz": b"of the first"}


def left_behind(folder, name, results=()):
    """What a killed run leaves: its folder with a marker that nobody locks any more."""
    left = folder / name
    left.mkdir(parents=True)
    names_of = json.dumps({"format": "mmreg-partial/1", "pid": 1, "names": [*folders.KNOWN]})
    (left / MARKER).write_text(names_of)
    for one in results:
        (left / one).write_text("half")
    return left


@pytest.mark.parametrize("name", [folders.CLAIM, ".mmreg-abc_1.partial"])
def test_what_a_killed_run_left_is_collected_by_the_next(folder, name):
    left_behind(folder / "out", name, ("warped.nii.gz", ".mmreg-0a1b2c3d.partial"))
    run(*REGISTER, "out")
    assert names(folder / "out") == ALWAYS


def test_a_file_of_the_user_in_what_was_left_stays(folder):
    left = left_behind(folder / "out", ".mmreg-abc_1.partial", ("warped.nii.gz", "mine.txt"))
    run(*REGISTER, "out")
    assert names(left) == {"mine.txt"}


@pytest.mark.parametrize("name", [".mmreg-abc_1.partial", ".mmreg-x", ".mmreg-partial.bak"])
def test_a_folder_without_our_marker_is_not_ours(folder, name):
    (folder / "out" / name).mkdir(parents=True)
    (folder / "out" / name / "warped.nii.gz").write_text("mine")
    run(*REGISTER, "out")
    assert (folder / "out" / name / "warped.nii.gz").read_text() == "mine"


@pytest.mark.parametrize(
    "make", [lambda p: p.write_text("mine"), lambda p: (p.mkdir(), (p / "a").write_text("b"))]
)
def test_a_thing_of_the_user_in_place_of_the_claim_is_refused(folder, make):
    (folder / "out").mkdir()
    make(folder / "out" / folders.CLAIM)
    before = contents(folder / "out")
    refused("MMREG_E_OUTPUT", *REGISTER, "out")
    assert contents(folder / "out") == before


def test_a_folder_in_use_is_not_collected(tmp_path):
    with partial_folder(tmp_path, ["a.nii.gz"]) as mine:
        (mine / "a.nii.gz").write_text("half")
        with folders.output(tmp_path, sorted(ALWAYS)):
            pass
        assert (mine / "a.nii.gz").read_text() == "half"
    assert not [*tmp_path.iterdir()]


def test_a_folder_that_cannot_be_is_refused_before_the_work(folder, registrar):
    asked = registrar()
    (folder / "loop").symlink_to("loop")
    for where in ("fixed.nii.gz/out", "loop", "y" * 256):
        done = CliRunner().invoke(main, [*REGISTER, where])
        assert done.exit_code in (2, 3)
        assert "Traceback" not in done.output
    assert not vars(asked.asked)
