"""Sessions: the results of single calls, tracking from the last transform, and what is left out."""

import copy
import multiprocessing
import pickle
import threading

import numpy as np
import pytest
from fixtures.cine import Cine
from fixtures.deployments import descriptor_bundle

from mmreg_rt import Registrar
from mmreg_rt.errors import InputError, IntensityError
from mmreg_rt.io import as_volume
from mmreg_rt.phantom import phantom
from mmreg_rt.results import figures_of

CINE = Cine(side=96, amplitude_px=4.0)


@pytest.fixture(scope="module")
def registrar():
    return Registrar(threads=1)


@pytest.fixture
def session(registrar):
    return registrar.session(CINE.frame(0.0))


def same(one, other):
    np.testing.assert_array_equal(one.displacement_mm, other.displacement_mm)
    np.testing.assert_array_equal(one.warped.data, other.warped.data)
    np.testing.assert_array_equal(one.affine.matrix, other.affine.matrix)


def test_from_the_headers_a_session_gives_what_one_call_gives(registrar, session):
    for phase in (0.1, 0.25):
        alone = registrar.register(CINE.frame(0.0), CINE.frame(phase))
        inside = session.register(CINE.frame(phase), start="headers", quality="full", inverse=True)
        same(inside, alone)
        assert inside.quality == alone.quality
        assert not inside.tracked
        np.testing.assert_array_equal(inside.inverse_mm, alone.inverse_mm)
        assert inside.warnings == alone.warnings


def test_a_volume_in_a_session_gives_what_one_call_gives():
    pair = phantom(0, scale=3)
    registrar = Registrar()
    same(
        registrar.session(pair.fixed).register(pair.moving, start="headers"),
        registrar.register(pair.fixed, pair.moving),
    )


def test_a_session_that_was_warmed_up_gives_the_same_results(registrar):
    fixed, moving = CINE.frame(0.0), CINE.frame(0.25)
    cold = registrar.session(fixed)
    warm = registrar.session(fixed, moving_grid=as_volume(moving, "moving").grid)
    first = warm.register(moving)
    assert not first.tracked
    same(first, cold.register(moving, start="headers"))
    assert warm.register(moving).tracked
    with pytest.raises(InputError, match="moving_grid must be a Grid"):
        registrar.session(fixed, moving_grid=(1, 96, 96))


def test_a_network_describes_the_fixed_scan_once(tmp_path):
    pytest.importorskip("onnxruntime")
    registrar = Registrar(descriptor_bundle(tmp_path, 2), backend="onnxruntime", threads=1)
    runs, infer = [], registrar._network._session.infer

    def counted(*given):
        runs.append(given)
        return infer(*given)

    registrar._network._session.infer = counted
    fixed, moving = CINE.frame(0.0), [CINE.frame(phase) for phase in (0.1, 0.25)]
    session = registrar.session(fixed)
    inside = [session.register(scan, start="headers") for scan in moving]
    assert len(runs) == 3
    alone = [registrar.register(fixed, scan) for scan in moving]
    assert len(runs) == 7
    for one, other in zip(inside, alone, strict=True):
        same(one, other)


def test_tracking_follows_the_motion_as_well_as_starting_anew(registrar, session):
    """Errors in pixels on the structures, beside those of registrations from the headers."""
    tracked, anew = [], []
    for k in range(24):
        phase = k / 24
        result = session.register(CINE.frame(phase, seed=k))
        assert result.tracked == (k > 0)
        tracked.append(CINE.error_px(result, phase))
    for k in range(0, 24, 4):
        fresh = registrar.register(CINE.frame(0.0), CINE.frame(k / 24, seed=k))
        anew.append(CINE.error_px(fresh, k / 24))
    assert np.mean(tracked) < 0.5
    assert np.mean(tracked[::4]) < np.mean(anew) + 0.1


def test_tracking_does_not_drift(session):
    """After ten cycles the error at a phase is that of the first cycle."""
    phases = [0.1, 0.25, 0.4, 0.6, 0.75, 0.9]
    cycles = np.array(
        [[CINE.error_px(session.register(CINE.frame(p, seed=7)), p) for p in phases] for _ in range(10)]
    )
    # frames repeat, so cycles differ only by where they start from: less than a fifth of a pixel
    assert np.abs(cycles[1:] - cycles[1]).max() < 0.2


def test_a_lost_pose_is_searched_again(session):
    """A turn of 80 degrees is still tracked; one of 120 and a half turn are not, and are searched."""
    for degrees, tracked in ((80, True), (120, False), (180, False)):
        session.register(CINE.frame(0.25), start="headers")
        turned = CINE.turned(0.25, degrees)
        result = session.register(turned)
        assert result.tracked is tracked
        found = np.degrees(np.arctan2(result.rigid.matrix[2, 1], result.rigid.matrix[1, 1]))
        assert abs((found - degrees + 180) % 360 - 180) < 2  # the organs moved, so the best rotation is near
        if not tracked:
            same(result, session.register(turned, start="headers"))


def test_after_a_bad_frame_tracking_starts_from_the_last_good_pose(session):
    before = session.register(CINE.frame(0.25))
    noise = np.random.default_rng(3).normal(0, 1, CINE.frame(0.25)[0].shape).astype(np.float32)
    session.register((noise, CINE.frame(0.25)[1]))
    after = session.register(CINE.frame(0.25))
    assert after.tracked
    assert CINE.error_px(after, 0.25) < CINE.error_px(before, 0.25) + 0.1


@pytest.mark.parametrize("quality", ["full", "fast", "none"])
@pytest.mark.parametrize("inverse", [False, True])
def test_only_the_requested_figures_are_measured(session, quality, inverse):
    result = session.register(CINE.frame(0.25), quality=quality, inverse=inverse)
    measured = {name for name, value in vars(result.quality).items() if value is not None}
    assert measured - {"evidence"} == set(figures_of(quality, inverse))
    assert (result.quality.evidence is not None) == (quality == "full")
    assert not any("deadline" in warning for warning in result.warnings)
    point = np.array([[0.0, 60.0, 60.0]])
    there = result.transform.map_points(point)
    np.testing.assert_allclose(result.inverse.map_points(there), point, atol=0.1)  # mm, a tenth of a pixel


def test_the_moving_grid_may_change(session):
    data, affine = CINE.frame(0.25)
    finer = np.repeat(np.repeat(data, 2, axis=1), 2, axis=2)
    half = affine @ np.diag([1, 0.5, 0.5, 1])
    half[:3, 3] -= affine[:3, :3] @ [0, 0.25, 0.25]
    coarse, fine = session.register((data, affine)), session.register((finer, half))
    assert fine.tracked
    assert CINE.error_px(fine, 0.25) < CINE.error_px(coarse, 0.25) + 0.3


def test_the_fixed_scan_is_a_copy(registrar):
    data, affine = CINE.frame(0.0)
    session = registrar.session((data, affine))
    first = session.register(CINE.frame(0.25), start="headers")
    data[:] = 0
    same(session.register(CINE.frame(0.25), start="headers"), first)


def test_a_deadline_of_a_call_holds_for_it_alone(session):
    session.register(CINE.frame(0.1))
    late = session.register(CINE.frame(0.2), deadline_ms=0.01, start="headers")
    assert late.degraded
    assert not session.register(CINE.frame(0.2)).degraded


def test_what_cannot_be_used_is_refused_and_the_session_goes_on(registrar, session):
    with pytest.raises(IntensityError) as caught:
        registrar.session((np.zeros((1, 8, 8), np.float32), np.eye(4)))
    assert caught.value.code == "MMREG_E_INTENSITY_CONSTANT"
    with pytest.raises(IntensityError):
        session.register((np.full((1, 96, 96), np.nan, np.float32), np.eye(4)))
    for bad in ({"start": "first"}, {"quality": "best"}):
        with pytest.raises(InputError):
            session.register(CINE.frame(0.1), **bad)
    assert session.register(CINE.frame(0.1)).finished == "deform"


def test_threads_take_turns(session):
    results = {}

    def work(k):
        results[k] = session.register(CINE.frame(k / 8), start="headers")

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k, result in results.items():
        same(result, session.register(CINE.frame(k / 8), start="headers"))


def test_it_cannot_be_pickled_and_says_what_to_do(session):
    for use in (pickle.dumps, copy.copy):
        with pytest.raises(InputError, match="Pickle its Registrar"):
            use(session)


def _in_child(session, queue):
    queue.put(session.register(CINE.frame(0.25), start="headers").displacement_mm)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_a_forked_process_opens_its_own_queue(session):
    here = session.register(CINE.frame(0.25), start="headers")
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(session, queue))
    child.start()
    np.testing.assert_array_equal(queue.get(timeout=60), here.displacement_mm)
    child.join()


def test_a_closed_registrar_ends_its_sessions():
    registrar = Registrar(threads=1)
    session = registrar.session(CINE.frame(0.0))
    registrar.close()
    with pytest.raises(InputError) as caught:
        session.register(CINE.frame(0.1))
    assert caught.value.code == "MMREG_E_CLOSED"
