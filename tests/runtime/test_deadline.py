"""A deadline holds until the call returns. Time is counted by a clock of the test, never by the machine's."""

import pickle
import time

import numpy as np
import pytest
from fixtures import scene
from fixtures.scene import FLAT

from mmreg_rt import DisplacementField, Registrar
from mmreg_rt.errors import InputError
from mmreg_rt.results import LateField

HOUR_MS = 3.6e6


class Ticks:
    """A clock on which each time that somebody looks at it takes a millisecond."""

    def __init__(self):
        self.looks = 0

    def __call__(self):
        self.looks += 1
        return 1e-3 * self.looks


def hurried(scans, deadline_ms, **options):
    registrar = Registrar(threads=1, **options)
    registrar._clock = ticks = Ticks()
    return registrar.register(*scans, deadline_ms=deadline_ms), ticks.looks


@pytest.fixture(scope="module")
def slices():
    return scene.pair(FLAT, FLAT, lambda p: scene.moved(p, plane=True))


@pytest.fixture(scope="module")
def whole(slices):
    return hurried(slices, HOUR_MS)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97])
def test_hardly_any_work_is_done_after_the_deadline(slices, whole, share):
    limit = share * whole[1]
    found, looks = hurried(slices, limit)
    assert found.degraded
    # each look is one piece of work; what is always done looks a few times at most
    assert looks <= limit + 60
    assert np.isfinite(found.transform.displacement_mm).all()
    assert np.isfinite(found.warped.data).all()


def test_with_time_for_all_nothing_is_left_out(slices, whole):
    found, _ = whole
    assert not found.degraded
    assert None not in vars(found.quality).values()
    again = Registrar(threads=1).register(*slices)
    np.testing.assert_array_equal(found.transform.displacement_mm, again.transform.displacement_mm)
    np.testing.assert_array_equal(found.inverse.displacement_mm, again.inverse.displacement_mm)
    assert found.quality == again.quality


def test_figures_are_right_or_absent(slices):
    """Deadlines cut the last stage off at ten places, the measuring of figures at some of them."""
    full, looks = hurried(slices, HOUR_MS, deform=False)
    counts = []
    for early in (2**n for n in range(10)):
        found, _ = hurried(slices, looks - early, deform=False)
        assert found.finished == "align"  # so that the figures are of the same transform
        measured = {name: figure for name, figure in vars(found.quality).items() if figure is not None}
        assert measured == {name: getattr(full.quality, name) for name in measured}
        counts.append(len(measured))
    assert counts == sorted(counts, reverse=True)  # more time measures no less
    assert len(set(counts)) >= 4  # some figures were measured and others not, in several ways
    assert max(counts) < len(vars(full.quality))


def test_an_inverse_without_time_is_computed_when_it_is_used(slices):
    found, _ = hurried(slices, 1)
    assert isinstance(found.inverse, LateField)
    assert isinstance(found.inverse, DisplacementField)
    points = found.transform.grid.map_indices(np.argwhere(np.ones(FLAT.shape))[::37])
    back = found.inverse.map_points(found.transform.map_points(points))
    np.testing.assert_allclose(back, points, atol=1e-2)
    other = pickle.loads(pickle.dumps(found)).inverse
    np.testing.assert_array_equal(other.displacement_mm, found.inverse.displacement_mm)


def test_what_is_left_out_is_told(slices):
    found, _ = hurried(slices, 1)
    assert None in vars(found.quality).values()
    assert any("no time to measure" in warning for warning in found.warnings)


def test_after_a_hurried_call_the_next_is_whole(slices):
    registrar = Registrar(threads=2)
    assert registrar.register(*slices, deadline_ms=1e-3).degraded
    found = registrar.register(*slices)
    assert not found.degraded
    assert None not in vars(found.quality).values()


def test_the_start_is_the_answer_when_there_is_no_time_at_all(slices):
    found, _ = hurried(slices, 1e-6)
    np.testing.assert_array_equal(found.transform.displacement_mm, 0)
    np.testing.assert_allclose(found.warped.data, slices[1].data, atol=1e-3)


def test_a_wall_clock_deadline_is_kept_in_one_of_some_tries(slices):
    registrar = Registrar(threads=2)
    registrar.register(*slices)
    for _ in range(8):
        start = time.perf_counter()
        registrar.register(*slices, deadline_ms=200)
        if time.perf_counter() - start < 0.3:
            return
    pytest.fail("no call of eight with 200 ms returned within 300 ms")


@pytest.mark.parametrize("wrong", ["5", b"5", True, 10**400, [5], None.__class__, 1j, np.array([1, 2])])
def test_a_deadline_that_is_no_number_is_refused(slices, wrong):
    with pytest.raises(InputError) as caught:
        Registrar().register(*slices, deadline_ms=wrong)
    assert caught.value.code == "MMREG_E_DEADLINE"
