"""A network in the pipeline: its field is brought to the fixed scan and refined, its features are matched."""

import numpy as np
import pytest
from fixtures import pipeline, scene
from fixtures.pipeline import engine
from fixtures.scene import INSIDE, LEFT_HANDED, OBLIQUE, PLAIN, distance_mm

from mmreg_rt import DisplacementField, _native

SHIFT_MM = np.array([3.0, -2.0, 4.0])  # RAS


def register(fixed, moving, network, **options):
    return pipeline.register(fixed, moving, align="none", engine=network, **options)


def constant_shift(grid):
    vox = np.linalg.solve(grid.affine[:3, :3], SHIFT_MM)

    def run(_fixed, _moving, field, _stop):
        field[:] = vox[-len(field) :, None, None, None]

    return run


def moved_points(found, fixed):
    return DisplacementField(found.displacement_mm, fixed.grid).map_points(INSIDE)


@pytest.fixture(scope="module")
def pair():
    return scene.pair()


@pytest.mark.parametrize(
    "network_grid", [PLAIN, OBLIQUE, LEFT_HANDED], ids=["plain", "oblique", "left-handed"]
)
@pytest.mark.parametrize(("output", "factor"), [("displacement", 1), ("displacement", 2), ("velocity", 2)])
def test_a_shift_is_the_same_on_every_grid(pair, network_grid, output, factor):
    described = engine(constant_shift(network_grid), network_grid, output, factor=factor)
    found = register(*pair, described, refine=False)
    # float32 voxels, integrated in 2^7 parts
    np.testing.assert_allclose(moved_points(found, pair[0]), INSIDE + SHIFT_MM, atol=2e-4)
    assert found.finished == "network"
    assert found.seconds["network"] > 0


def test_the_network_sees_both_scans_on_its_grid(pair):
    seen = {}

    def run(fixed, moving, field, _stop):
        seen.update(fixed=fixed.copy(), moving=moving.copy())
        field[:] = 0

    found = register(*pair, engine(run, PLAIN), refine=False)
    for name, scan in zip(("fixed", "moving"), pair, strict=True):
        assert seen[name].shape == PLAIN.shape
        np.testing.assert_allclose(seen[name], (scan.data - scan.data.min()) / np.ptp(scan.data), atol=1e-6)
    np.testing.assert_array_equal(found.displacement_mm, 0)


def test_the_field_of_half_the_voxels_has_half_the_size(pair):
    shapes = []

    def run(_fixed, _moving, field, _stop):
        shapes.append(field.shape)
        field[:] = 0

    register(*pair, engine(run, PLAIN, factor=2), refine=False)
    assert shapes == [(3, *(-(-n // 2) for n in PLAIN.shape))]


def test_a_smooth_field_keeps_its_place_from_half_resolution(pair):
    """Voxel i of half the grid stands for 2 i + 1/2 of the whole."""
    ramp = np.arange(PLAIN.shape[2], dtype=np.float32) / 10

    def run(_fixed, _moving, field, _stop):
        field[:] = 0
        field[2] = ramp.reshape(-1, 2).mean(1)

    found = register(*pair, engine(run, PLAIN, factor=2), refine=False)
    u_mm = PLAIN.affine[:3, 2, None, None, None] * ramp
    inner = (
        slice(None),
        slice(2, -2),
        slice(2, -2),
        slice(2, -2),
    )  # beyond the outermost cell centres it is constant
    np.testing.assert_allclose(
        found.displacement_mm[inner], np.broadcast_to(u_mm, (3, *PLAIN.shape))[inner], atol=1e-3
    )


def test_a_folded_field_comes_back_unfolded(pair):
    def run(_fixed, _moving, field, _stop):
        field[:] = np.random.default_rng(3).normal(0, 2, field.shape)

    found = register(*pair, engine(run, PLAIN), refine=False)
    assert found.quality.folded_voxels == found.quality.inverse_folded_voxels == 0


def test_refinement_goes_on_from_the_prediction(pair):
    truth = scene.moved(INSIDE)

    def run(_fixed, _moving, field, _stop):  # half of the way
        points = PLAIN.map_indices(np.stack(np.indices(PLAIN.shape), -1).reshape(-1, 3))
        half = (scene.moved(points) - points) / 2
        field[:] = np.linalg.solve(PLAIN.affine[:3, :3], half.T).reshape(3, *PLAIN.shape)

    predicted, refined = (register(*pair, engine(run, PLAIN), refine=refine) for refine in (False, True))
    left = [distance_mm(moved_points(found, pair[0]), truth) for found in (predicted, refined)]
    assert left[1] < 0.7 * left[0]
    assert refined.finished == "deform"
    assert refined.quality.folded_voxels == 0


def test_what_a_network_misses_is_searched_for():
    def far(points):
        return scene.moved(points) + (22.5, -17.5, 20.0)

    def nothing(_fixed, _moving, field, _stop):
        field[:] = 0

    pair = scene.pair(truth=far)
    refined = register(*pair, engine(nothing, PLAIN))
    left = distance_mm(moved_points(refined, pair[0]), far(INSIDE))
    assert left < 0.15 * distance_mm(INSIDE, far(INSIDE))


@pytest.mark.parametrize("network_grid", [PLAIN, LEFT_HANDED], ids=["plain", "left-handed"])
def test_a_descriptor_feeds_the_solver(pair, network_grid):
    def run(side, image, planes, _stop):
        assert side in ("fixed", "moving")
        planes[:] = _native.mind(image, 1, 2)

    found = register(*pair, engine(run, network_grid, "descriptor", planes=12))
    truth = scene.moved(INSIDE)
    assert distance_mm(moved_points(found, pair[0]), truth) < 0.4 * distance_mm(INSIDE, truth)
    assert found.quality.folded_voxels == 0
    assert found.seconds["network"] > 0


def test_the_solver_keeps_the_grid_of_the_scan(pair):
    grids = PLAIN, scene.centred((24, 24, 24), (6.0, 6.0, 6.0))
    seen = []

    def nothing(_side, image, planes, _stop):
        seen.append(image.shape)
        planes[:] = 0

    found = [register(*pair, engine(nothing, grid, "descriptor", planes=3)) for grid in grids]
    np.testing.assert_array_equal(*(f.displacement_mm for f in found))
    assert np.abs(found[0].displacement_mm).max() > 1  # by the intensities
    assert seen == [grid.shape for grid in grids for _ in range(2)]


def test_slices_have_fields_of_two_components():
    fixed, moving = scene.pair(scene.FLAT, scene.FLAT, lambda p: scene.moved(p, plane=True))

    def run(_fixed, _moving, field, _stop):
        field[:] = np.array([1.0, -2.0]).reshape(2, 1, 1, 1)

    found = register(fixed, moving, engine(run, scene.FLAT, dims=2, factor=2), refine=False)
    expected = scene.FLAT.affine[:3, 1] - 2 * scene.FLAT.affine[:3, 2]
    np.testing.assert_allclose(
        found.displacement_mm, expected.reshape(3, 1, 1, 1) * np.ones((1, *scene.FLAT.shape)), atol=1e-4
    )


def test_an_error_of_the_network_reaches_the_caller(pair):
    def run(*_):
        raise LookupError("no weights")

    with pytest.raises(LookupError, match="no weights"):
        register(*pair, engine(run, PLAIN))
    assert not register(*pair, engine(constant_shift(PLAIN), PLAIN), refine=False).degraded


def test_time_that_is_up_leaves_the_network_alone(pair):
    called = []
    found = register(*pair, engine(lambda *_: called.append(1), PLAIN), deadline_s=1e-9)
    assert found.degraded
    assert not called
    np.testing.assert_array_equal(found.displacement_mm, 0)


class Standing:
    """A clock that goes on when the test says so."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(("expected_s", "end"), [(9.9, "complete"), (10.1, "not begun"), (0.0, "complete")])
def test_a_network_begins_if_it_will_end_in_time(pair, expected_s, end):
    described = engine(constant_shift(PLAIN), PLAIN, expected_s=[expected_s])
    found = register(*pair, described, refine=False, deadline_s=10, now=Standing())
    assert (found.network.end, found.network.expected_s, found.network.left_s) == (end, expected_s, 10)
    assert found.degraded == (end != "complete")
    expected = SHIFT_MM if end == "complete" else (0, 0, 0)
    np.testing.assert_allclose(moved_points(found, pair[0]), INSIDE + expected, atol=2e-4)


@pytest.mark.parametrize("output", ["displacement", "descriptor"])
def test_a_network_that_gives_up_when_time_is_up_leaves_the_alignment(pair, output):
    clock, kept = Standing(), []

    def run(*given):
        stop = given[-1]
        kept.append(stop)
        assert stop() is False
        clock.now = 11.0
        assert stop() is True
        return True

    described = engine(run, PLAIN, output, planes=3)
    found = register(*pair, described, deadline_s=10, now=clock)
    assert found.degraded and found.network.end == "stopped"
    np.testing.assert_array_equal(found.displacement_mm, 0)
    assert len(kept) == 1
    assert kept[0]() is True  # what it asked is gone


def test_a_network_asks_the_caller_too(pair):
    asked, ran = [], []

    def run(_fixed, _moving, _field, stop):
        ran.append(1)
        return stop()

    def cancelled(stage, share):
        asked.append((stage, share))
        return stage == "network" and len(ran) > 0

    found = register(*pair, engine(run, PLAIN, expected_s=[4.0]), cancelled=cancelled)
    assert found.cancelled and found.warped is None
    assert [stage for stage, _ in asked] == ["network", "network"]


@pytest.mark.parametrize(
    "wrong", [{"output": "affine"}, {"dims": 1}, {"factor": 0}, {"shape": (0, 4, 4)}, {"affine": np.eye(3)}]
)
def test_an_engine_that_makes_no_sense_is_refused(pair, wrong):
    with pytest.raises(ValueError, match="."):
        register(*pair, engine(constant_shift(PLAIN), PLAIN, **wrong))
