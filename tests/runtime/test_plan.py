"""A plan: the same answer as the registrar's, the same bits every time, on the CPU and on a device."""

import threading
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
from fixtures import pipeline, scene
from fixtures.bundle_parts import WIDE, bundle
from fixtures.smoothing import Smoothing

from mmreg_rt import Registrar, _native
from mmreg_rt.device.array import DeviceArray, is_on_device
from mmreg_rt.errors import DeviceError, GeometryError, InputError, RegistrationError, TransformError
from mmreg_rt.plan import Plan
from mmreg_rt.preprocess import network_grid
from mmreg_rt.process.gc_pause import without_collection


def device_of(queue):
    """What a plan takes of a device: its queue and its lock."""
    return None if queue is None else SimpleNamespace(queue=queue, lock=threading.Lock())


@pytest.fixture(scope="module")
def scans():
    return scene.pair()


@pytest.fixture(scope="module")
def registrar(tmp_path_factory):
    pytest.importorskip("onnxruntime")
    path = bundle(tmp_path_factory.mktemp("plan"), kind="velocity")
    return Registrar(path, backend="onnxruntime", align="none", refine=False)


def run(plan, scans):
    return plan(*(scan.as_float32() for scan in scans))


# ---- on the CPU, with a real network


def test_gives_what_the_registrar_gives(registrar, scans):
    plan = registrar.plan(*(scan.grid for scan in scans))
    found, whole = run(plan, scans), registrar.register(*scans)
    np.testing.assert_array_equal(found.displacement_mm, whole.transform.displacement_mm)
    np.testing.assert_array_equal(found.warped, whole.warped.data)
    assert found.valid.dtype == np.uint8 and found.valid.any()
    assert found.folds_removed == 0 == plan.graphs


def test_an_alignment_comes_before_the_network(registrar, scans):
    turned = np.eye(4)
    turned[:3, 3] = 4, -3, 2
    plan = registrar.plan(*(scan.grid for scan in scans), turned)
    assert plan is not registrar.plan(*(scan.grid for scan in scans))
    still = np.zeros_like(scans[0].as_float32())
    still[0, 0, 0] = 1  # the network gives fixed minus moving: here next to nothing
    found = plan(still, still)
    np.testing.assert_allclose(found.displacement_mm[:, 9, 9, 9], (4, -3, 2), atol=0.05)


@pytest.mark.parametrize(
    "alignment",
    [np.zeros((4, 4)), np.eye(3), np.full((4, 4), np.nan), np.vstack([np.eye(4)[:3], [1, 2, 3, 9]])],
    ids=["singular", "3x3", "nan", "projective"],
)
def test_an_alignment_that_is_no_affine_map_is_refused(registrar, scans, alignment):
    with pytest.raises(TransformError):
        registrar.plan(*(scan.grid for scan in scans), alignment)


def test_a_plan_at_the_edge_of_the_intended_use_says_so(tmp_path, registrar, scans):
    near = {**WIDE, "spacing_mm": [0.1, 1.6]}
    path = bundle(tmp_path, kind="velocity", intended_use=near)
    edge = Registrar(path, backend="onnxruntime", align="none", refine=False)
    grids = [scan.grid for scan in scans]
    assert "spacing" in edge.plan(*grids).warnings[0]
    assert registrar.plan(*grids).warnings == ()


def test_outside_is_the_lowest_value_of_each_scan_or_what_was_asked_for(registrar, scans):
    grids = [scan.grid for scan in scans]
    away = np.eye(4)
    away[0, 3] = 40
    fixed, moving = (scan.as_float32() for scan in scans)
    plan = registrar.plan(*grids, away)
    for scan in (moving - 300, moving + 20):  # one plan, two scans
        found = plan(fixed, scan)
        outside = (found.valid == 0) & (found.warped == scan.min())
        assert outside.sum() > 0.8 * (found.valid == 0).sum() > 0  # the rest is the voxel that fades
    other = registrar.plan(*grids, away, outside=7.5)(fixed, moving)
    assert (other.warped == 7.5).sum() == outside.sum()
    assert registrar.plan(*grids, away, float("nan")) is registrar.plan(*grids, away, float("nan"))
    with pytest.raises(InputError, match="MMREG_E_OUTSIDE"):
        registrar.plan(*grids, outside=float("inf"))


def test_no_memory_is_taken_by_a_run(registrar, scans):
    plan = registrar.plan(*(scan.grid for scan in scans))
    first = run(plan, scans)
    kept, where = first.warped.copy(), first.warped.ctypes.data
    again = run(plan, scans)
    assert again.warped.ctypes.data == where
    np.testing.assert_array_equal(again.warped, kept)


def test_plans_of_the_last_grids_are_kept(registrar, scans):
    grids = [scan.grid for scan in scans]
    plan = registrar.plan(*grids)
    assert registrar.plan(*grids) is plan
    coarse = scene.centred((12, 16, 20), (6.0, 5.0, 4.0))
    registrar.plan(grids[0], coarse)
    assert registrar.plan(*grids) is plan
    registrar.plan(coarse, grids[1])
    registrar.plan(coarse, coarse)
    assert registrar.plan(*grids) is not plan


def test_threads_have_plans_of_their_own(registrar, scans):
    coarse = scene.centred((12, 16, 20), (6.0, 5.0, 4.0))
    plans = [registrar.plan(*(scan.grid for scan in scans)), registrar.plan(scans[0].grid, coarse)]
    moving = [scans[1].as_float32(), np.random.default_rng(5).random(coarse.shape, np.float32)]
    expected = [plan(scans[0].as_float32(), m).warped.copy() for plan, m in zip(plans, moving, strict=True)]
    found = []

    def work(i):
        for _ in range(5):
            found.append(np.array_equal(plans[i](scans[0].as_float32(), moving[i]).warped, expected[i]))

    workers = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == [True] * 10


def test_a_plan_that_nobody_has_any_more_is_gone_at_once(registrar, scans):
    """Its memory is that of a pair: it must not wait for the garbage collector."""
    plan = Plan(registrar._network, scans[0].grid, scans[1].grid)
    run(plan, scans)
    gone = weakref.ref(plan)
    with without_collection():
        del plan
        assert gone() is None


STAGES = ["copy in", "preprocess", "network", "integrate and warp"]


def test_stages_are_timed_by_a_run_that_gives_the_same(registrar, scans):
    plan = registrar.plan(*(scan.grid for scan in scans))
    expected = run(plan, scans).warped.copy()
    plan(*(scan.as_float32()[::-1].copy() for scan in scans))
    seconds = plan.stage_seconds(*(scan.as_float32() for scan in scans))
    assert list(seconds) == STAGES and min(seconds.values()) > 0
    np.testing.assert_array_equal(plan._steps.warped, expected)
    assert plan.about()["bundle"] == "tiny 1.0" and plan.about()["graphs"] == "0"


def test_scans_that_cannot_be_used_are_refused_and_the_plan_goes_on(registrar, scans):
    plan = registrar.plan(*(scan.grid for scan in scans))
    fixed, moving = (scan.as_float32() for scan in scans)
    wrong = {
        "MMREG_E_PLAN_SCAN": (fixed[1:], moving),
        "MMREG_E_INTENSITY_CONSTANT": (fixed, np.ones_like(moving)),
        "MMREG_E_INTENSITY_NOT_FINITE": (np.where(fixed > fixed.mean(), np.nan, fixed), moving),
    }
    for code, pair in wrong.items():
        with pytest.raises(InputError) as caught:
            plan(*pair)
        assert caught.value.code == code
    with pytest.raises(InputError, match="float64"):
        plan(fixed.astype(np.float64), moving)
    assert np.isfinite(plan(fixed, moving).displacement_mm).all()


def test_grids_and_models_that_do_not_fit_are_refused(registrar, scans, tmp_path):
    fixed, moving = (scan.grid for scan in scans)
    with pytest.raises(InputError, match="this registrar has no model"):
        Registrar().plan(fixed, moving)
    with pytest.raises(GeometryError):
        registrar.plan(fixed, scene.FLAT)
    narrow = bundle(tmp_path, intended_use=WIDE | {"spacing_mm": [0.1, 0.2]})
    with pytest.raises(InputError, match="MMREG_E_INTENDED_USE"):
        Registrar(narrow, backend="onnxruntime").plan(fixed, moving)


def test_slices_have_plans_too(tmp_path):
    pytest.importorskip("onnxruntime")
    pair = scene.pair(scene.FLAT, scene.FLAT, lambda p: scene.moved(p, plane=True))
    registrar = Registrar(bundle(tmp_path, 2), backend="onnxruntime", align="none", refine=False)
    found = run(registrar.plan(pair[0].grid, pair[1].grid), pair)
    np.testing.assert_array_equal(found.displacement_mm, registrar.register(*pair).transform.displacement_mm)


# ---- on a device, with a network of our own operations in place of a library's


@pytest.fixture(params=["cuda_on_host", "cuda"])
def queue(request):
    if reason := _native.why_no_device(request.param):
        pytest.skip(reason)
    return _native.DeviceQueue(request.param)


@pytest.fixture
def on_device(registrar, scans, queue):
    def made(graph_capturable=True, **changes):
        network = Smoothing(registrar._network, queue, graph_capturable)
        for name, value in changes.items():
            setattr(network, name, value)
        return Plan(network, scans[0].grid, scans[1].grid, device=device_of(queue))

    return made


def there(queue, array):
    """An array of the device, as another library would hand it over."""
    memory = queue.allocate(array.nbytes)
    queue.upload(memory, np.ascontiguousarray(array))
    return DeviceArray(queue, memory, array.shape, array.dtype)


class Interface:
    """What has no DLPack: PyCUDA's arrays."""

    def __init__(self, array, **changes):
        self.__cuda_array_interface__ = array.__cuda_array_interface__ | changes


@pytest.mark.parametrize("graph_capturable", [True, False])
def test_graphs_on_a_device_give_what_the_cpu_gives(registrar, on_device, scans, graph_capturable):
    here = run(Plan(Smoothing(registrar._network, None), scans[0].grid, scans[1].grid), scans)
    plan = on_device(graph_capturable)
    assert plan.graphs == (1 if graph_capturable else 2)
    for _ in range(2):  # a graph is launched more than once
        found = run(plan, scans)
        assert isinstance(found.warped, DeviceArray)
        np.testing.assert_allclose(found.displacement_mm, here.displacement_mm, atol=1e-3)  # float32 mm
        np.testing.assert_allclose(found.warped, here.warped, atol=2e-3 * np.ptp(here.warped))
    np.testing.assert_array_equal(found.valid, here.valid)
    assert found.folds_removed == 0


@pytest.mark.parametrize("graph_capturable", [True, False])
def test_stages_of_a_device_are_timed_and_the_plan_goes_on(on_device, scans, graph_capturable):
    plan = on_device(graph_capturable)
    expected = run(plan, scans).displacement_mm.to_numpy()
    for _ in range(2):
        seconds = plan.stage_seconds(*(scan.as_float32() for scan in scans))
        assert list(seconds) == [*STAGES, "copy out"] and min(seconds.values()) > 0
    plan(*(scan.as_float32()[::-1].copy() for scan in scans))
    np.testing.assert_array_equal(run(plan, scans).displacement_mm, expected)


def test_outside_follows_every_new_scan_on_a_device(registrar, queue, scans):
    away = np.eye(4)
    away[0, 3] = 40
    grids, fixed, moving = [scan.grid for scan in scans], scans[0].as_float32(), scans[1].as_float32()
    here = Plan(Smoothing(registrar._network, None), *grids, None, away)
    plan = Plan(Smoothing(registrar._network, queue), *grids, device_of(queue), away)
    for scan in (moving - 300, moving + 20):
        found, expected = plan(fixed, scan), here(fixed, scan)
        assert (expected.warped == scan.min()).mean() > 0.2
        # values to 400 and positions of some 40 voxels in float32
        np.testing.assert_allclose(found.warped.to_numpy(), expected.warped, atol=0.05)


def test_a_graph_sees_every_new_scan(on_device, scans):
    fixed, moving = (scan.as_float32() for scan in scans)
    used = on_device()
    used(fixed, moving)
    np.testing.assert_array_equal(
        used(fixed[::-1].copy(), moving).warped, on_device()(fixed[::-1].copy(), moving).warped
    )
    np.testing.assert_array_equal(used(fixed, 2 * moving).warped, on_device()(fixed, 2 * moving).warped)


def test_an_array_of_the_device_is_given_out_as_the_type_it_has(queue):
    for dtype, name in ((np.float32, "float32"), (np.uint8, "another type")):
        given = there(queue, np.ones(5, dtype))
        address, shape, _, found = _native.device_view(given.__dlpack__())
        assert (address, tuple(shape), found) == (given.address, (5,), name)


@pytest.mark.parametrize("kind", ["dlpack", "interface", "interface on a stream"])
def test_arrays_of_the_device_are_taken_as_they_are(on_device, queue, scans, kind):
    plan, arrays = on_device(), [there(queue, scan.as_float32()) for scan in scans]
    expected = run(plan, scans).displacement_mm.to_numpy()
    if kind != "dlpack":
        stream = {"stream": 1} if kind.endswith("stream") else {}
        arrays = [Interface(array, **stream) for array in arrays]
    assert all(is_on_device(array) for array in arrays)
    np.testing.assert_array_equal(plan(*arrays).displacement_mm, expected)


def test_results_are_arrays_of_the_device_for_everyone(on_device, queue, scans):
    found = run(on_device(), scans).displacement_mm
    assert found.shape == (3, *scans[0].grid.shape) and found.dtype == np.float32
    facts = found.__cuda_array_interface__
    assert (facts["data"], facts["shape"], facts["version"]) == ((found.address, False), found.shape, 3)
    assert _native.device_view(found)[:2] == (found.address, found.shape)
    # an operation of ours takes it as it is, on its queue
    assert _native.jacobian(found, target=queue).shape == scans[0].grid.shape
    with pytest.raises(ValueError, match="without a copy"):
        np.asarray(found, copy=False)


def test_arrays_that_do_not_fit_are_refused_by_what_is_wrong(on_device, queue, scans):
    plan, (fixed, moving) = on_device(), (there(queue, scan.as_float32()) for scan in scans)
    turned = Interface(fixed, strides=tuple(4 * n for n in (1, 2, 3)))
    for wrong in (there(queue, scans[0].data[1:]), Interface(fixed, typestr="<f8"), turned):
        with pytest.raises(InputError) as caught:
            plan(wrong, moving)
        assert caught.value.code == "MMREG_E_DEVICE_ARRAY"
    assert plan(fixed, moving).folds_removed == 0


def test_an_array_of_another_device_is_refused(on_device, queue, scans, monkeypatch):
    plan, fixed = on_device(), there(queue, scans[0].as_float32())
    monkeypatch.setattr(_native, "device_view", lambda _: (fixed.address, fixed.shape, 3, "float32"))
    with pytest.raises(DeviceError, match="lies on device 3") as caught:
        plan(fixed, fixed)
    assert caught.value.code == "MMREG_E_DEVICE_STREAM"


def test_a_network_that_waits_is_left_out_of_the_graph(on_device, scans):
    expected = run(on_device(), scans).warped.to_numpy()
    plan = on_device(waits=True)
    assert plan.graphs == 2
    np.testing.assert_array_equal(run(plan, scans).warped, expected)


def test_who_reads_a_result_on_another_stream_is_waited_for(on_device, queue, scans):
    plan = on_device()
    found = run(plan, scans)
    other = _native.DeviceQueue(queue.target)
    found.warped.__dlpack__(stream=other.stream)
    assert found.warped.readers == {other.stream}
    run(plan, scans)
    assert not found.warped.readers


# ---- fields that fold


class Noise(Smoothing):
    """The fixed image itself, along every axis, times ``gain``."""

    def predict(self, fixed, _moving, field):
        if self._queue is None:
            field[...] = np.float32(self.gain) * fixed
            return
        size = 4 * int(np.prod(fixed[1]))
        for axis in range(3):
            self._queue.copy(field[0] + axis * size, fixed[0], size)


@pytest.mark.parametrize("where", ["cpu", "cuda_on_host", "cuda"])
def test_folds_are_removed_and_counted(registrar, scans, where):
    reason = "" if where == "cpu" else _native.why_no_device(where)
    if reason:
        pytest.skip(reason)
    queue = None if where == "cpu" else _native.DeviceQueue(where)
    network = Noise(registrar._network, queue)
    network.engine_spec = lambda grid: pipeline.engine(
        network.predict, network_grid(grid, network.manifest.preprocess), on_device=queue is not None
    )
    rough = np.random.default_rng(4).random(scans[0].grid.shape, np.float32)
    plan = Plan(network, scans[0].grid, scans[1].grid, device=device_of(queue))
    found = plan(rough, scans[1].as_float32())
    u_vox = np.linalg.solve(
        scans[0].grid.affine[:3, :3], np.asarray(found.displacement_mm).reshape(3, -1).astype(np.float64)
    )
    assert not any(_native.folding(u_vox.reshape(3, *rough.shape).astype(np.float32))["count"])
    assert found.folds_removed > 100
    warped = np.asarray(found.warped).copy()
    plan.stage_seconds(rough, scans[1].as_float32())  # by graphs of its own, which are mended too
    for _ in range(2):
        np.testing.assert_array_equal(np.asarray(plan(rough, scans[1].as_float32()).warped), warped)


def test_a_field_that_is_not_finite_is_an_error_and_the_plan_goes_on(registrar, scans):
    network = Smoothing(registrar._network, None)
    plan = Plan(network, scans[0].grid, scans[1].grid)
    network.gain = np.nan
    with pytest.raises(RegistrationError, match="MMREG_E_MODEL_OUTPUT"):
        run(plan, scans)
    network.gain = 1.0
    assert np.isfinite(run(plan, scans).displacement_mm).all()
