"""The decision log of a registrar: one line for each registration, whatever its outcome."""

import hashlib
import json
import pickle
from datetime import datetime, timezone

import numpy as np
import pytest
from fixtures.cine import Cine

from mmreg_rt import InputError, IntensityError, MmregError, Registrar
from mmreg_rt.decisions import check_log
from mmreg_rt.errors import DecisionLogError

CINE = Cine(side=48, amplitude_px=2.0)
FIXED, MOVING = CINE.frame(0.0), CINE.frame(0.1)
FIELDS = [
    "format", "sequence", "previous", "wall", "monotonic_ns", "process", "elapsed_ms", "library",
    "cpu_target", "engine", "model_sha256", "start", "grids_sha256", "status", "code",
    "degraded", "finished", "tracked", "verdict", "figures",
]  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return tmp_path / "decisions.log"


@pytest.fixture
def registrar(path):
    return Registrar(threads=1, decision_log=path)


def entries(path):
    check_log(path)
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_holds_what_was_decided(registrar, path):
    result = registrar.register(FIXED, MOVING)
    (entry,) = entries(path)
    assert list(entry) == FIELDS
    assert (entry["status"], entry["code"], entry["start"], entry["degraded"]) == (0, None, "headers", False)
    assert entry["verdict"] in ("pass", "review", "fail")
    assert entry["figures"]["nmi_after"] == result.quality.nmi_after
    assert entry["figures"]["folded_voxels"] == 0
    assert abs((datetime.now(timezone.utc) - datetime.fromisoformat(entry["wall"])).total_seconds()) < 3600
    array, affine = FIXED
    shape = np.array((1, *np.shape(array))[-3:], "<i8").tobytes()
    grids = 2 * (shape + np.asarray(affine, "<f8").tobytes())
    assert entry["grids_sha256"] == hashlib.sha256(grids).hexdigest()


def test_a_session_writes_a_line_for_each_frame(registrar, path):
    session = registrar.session(FIXED)
    results = [session.register(MOVING, start="headers"), session.register(MOVING), session.register(MOVING)]
    written = entries(path)
    assert [entry["start"] for entry in written] == ["headers", "last", "last"]
    assert [entry["tracked"] for entry in written] == [result.tracked for result in results]
    assert [entry["verdict"] for entry in written] == [None] * 3  # its evidence was not requested
    assert written[0]["monotonic_ns"] < written[1]["monotonic_ns"] < written[2]["monotonic_ns"]


def test_a_deadline_that_has_passed_is_degraded(registrar, path):
    assert registrar.register(FIXED, MOVING, deadline_ms=0.001).degraded
    (entry,) = entries(path)
    assert (entry["status"], entry["degraded"]) == (1, True)


def test_what_cannot_be_registered_has_a_line_with_its_code(registrar, path, tmp_path):
    array, affine = MOVING
    for moving in ((0 * array, affine), tmp_path / "of_somebody.nii.gz"):
        with pytest.raises(InputError):
            registrar.register(FIXED, moving)
    with pytest.raises(IntensityError):
        registrar.session(FIXED).register((array + np.inf, affine))
    codes = [(entry["status"], entry["code"]) for entry in entries(path)]
    assert codes == [
        (-3, "MMREG_E_INTENSITY_CONSTANT"),
        (-1, "MMREG_E_FILE_MISSING"),
        (-3, "MMREG_E_INTENSITY_NOT_FINITE"),
    ]
    assert "somebody" not in path.read_text()


def test_a_bug_has_a_line_too(path, monkeypatch):
    registrar = Registrar(threads=1, decision_log=path)
    monkeypatch.setattr(registrar, "_register", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        registrar.register(FIXED, MOVING)
    (entry,) = entries(path)
    assert (entry["status"], entry["code"]) == (MmregError.status, "MMREG_E_INTERNAL")


def test_a_network_is_named_by_its_hash(path):
    registrar = Registrar("synth", threads=1, decision_log=path)
    registrar._decisions._log.append({})  # other lines do not matter
    array, affine = MOVING
    with pytest.raises(IntensityError):
        registrar.register(FIXED, (0 * array, affine))
    entry = entries(path)[-1]
    assert entry["model_sha256"] == registrar._network.sha256
    assert len(entry["model_sha256"]) == 64
    assert entry["engine"]["backend"] in ("openvino", "onnxruntime")


def test_a_log_that_fails_does_not_lose_the_registration(registrar, path):
    path.unlink()
    with pytest.raises(DecisionLogError) as caught:
        registrar.register(FIXED, MOVING)
    expected = Registrar(threads=1).register(FIXED, MOVING)
    np.testing.assert_array_equal(caught.value.registration.warped.data, expected.warped.data)
    assert caught.value.__cause__ is None


def test_a_log_that_fails_does_not_hide_the_error_of_a_registration(registrar, path):
    path.unlink()
    array, affine = MOVING
    with pytest.raises(DecisionLogError) as caught:
        registrar.register(FIXED, (0 * array, affine))
    assert caught.value.registration is None
    assert isinstance(caught.value.__cause__, IntensityError)


def test_a_registrar_is_usable_after_its_log_failed(registrar, path):
    registrar.register(FIXED, MOVING)
    moved = path.rename(path.with_name("moved.log"))
    with pytest.raises(DecisionLogError):
        registrar.register(FIXED, MOVING)
    moved.rename(path)
    registrar.register(FIXED, MOVING)
    assert [entry["sequence"] for entry in entries(path)] == [1, 2]


def test_a_log_that_cannot_be_written_is_an_error_before_the_first_scan(tmp_path):
    with pytest.raises(DecisionLogError):
        Registrar(decision_log=tmp_path / "none" / "decisions.log")
    with pytest.raises(InputError):
        Registrar(decision_log=7)


def test_a_registrar_in_another_folder_or_process_writes_the_same_log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    registrar = Registrar(threads=1, decision_log="decisions.log")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    pickle.loads(pickle.dumps(registrar)).register(FIXED, MOVING)
    registrar.register(FIXED, MOVING)
    assert len(entries(tmp_path / "decisions.log")) == 2


def test_plans_are_refused(path):
    registrar = Registrar("synth", threads=1, decision_log=path)
    with pytest.raises(InputError, match="MMREG_E_PLAN_LOG"):
        registrar.plan(None, None)


def test_without_a_log_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Registrar(threads=1).register(FIXED, MOVING)
    assert not [*tmp_path.iterdir()]
