"""Whole registrations on a device: every operation of the solver, no pointer followed on the wrong side.

On the host (``cuda_on_host``) the memory of the operations is protected while no kernel runs, so a solver
that looked into it would end this process.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from fixtures import pipeline, scene

from mmreg_rt import Registrar, Volume, _native
from mmreg_rt.device.array import DeviceArray, address_of, located
from mmreg_rt.device.device import needed_bytes
from mmreg_rt.device.result import DeviceScan
from mmreg_rt.errors import BackendUnavailableError, DeviceError, InputError, MmregError, RegistrationError
from mmreg_rt.geometry import Grid
from mmreg_rt.phantom import phantom


@pytest.fixture(params=["cuda_on_host", "cuda"])
def device(request):
    if reason := _native.why_no_device(request.param):
        pytest.skip(reason)
    return request.param


@pytest.fixture(scope="module")
def pair():
    return phantom(2, scale=4)


def error_mm(pair, result):
    """Mean distance to the truth over the head."""
    head = np.argwhere(pair.fixed_labels.data > 0)
    points = pair.fixed.grid.map_indices(head)
    found, true = result.transform.map_points(points), pair.truth.map_points(points)
    return float(np.linalg.norm(found - true, axis=1).mean())


def test_a_registration_is_as_good_as_on_the_cpu(pair, device):
    there = Registrar(device=device).register(pair.fixed, pair.moving)
    here = Registrar().register(pair.fixed, pair.moving)
    assert there.quality.folded_voxels == there.quality.inverse_folded_voxels == 0
    assert list(there.seconds) == list(here.seconds)
    # other roundings lead elsewhere within the noise of the optimisation: CPU targets differ by as much
    assert error_mm(pair, there) < error_mm(pair, here) + 0.3
    assert there.quality.nmi_after == pytest.approx(here.quality.nmi_after, abs=0.01)


def test_the_same_bits_every_time_and_one_object_for_many_pairs(pair, device):
    registrar = Registrar(device=device)
    first = registrar.register(pair.fixed, pair.moving)
    registrar.register(pair.moving, pair.fixed)
    again = registrar.register(pair.fixed, pair.moving)
    np.testing.assert_array_equal(first.transform.displacement_mm, again.transform.displacement_mm)
    np.testing.assert_array_equal(first.warped.data, again.warped.data)


def test_the_order_of_threads_changes_no_bit(pair, monkeypatch):
    if reason := _native.why_no_device("cuda_on_host"):
        pytest.skip(reason)
    registrar = Registrar(device="cuda_on_host")
    straight = registrar.register(pair.fixed, pair.moving)
    monkeypatch.setenv("MMREG_CUDA_ON_HOST", "scrambled")
    scrambled = registrar.register(pair.fixed, pair.moving)
    np.testing.assert_array_equal(straight.transform.displacement_mm, scrambled.transform.displacement_mm)
    np.testing.assert_array_equal(straight.inverse.displacement_mm, scrambled.inverse.displacement_mm)


def test_the_value_outside_reaches_the_device(pair, device):
    d, h, w = pair.moving.grid.shape
    part = Volume(pair.moving.data[..., : w // 2] - 50, Grid((d, h, w // 2), pair.moving.grid.affine))
    options = {"align": "none", "deform": False}
    for outside in (None, -700, float("nan")):
        there = Registrar(device=device, **options).register(pair.fixed, part, outside=outside)
        here = Registrar(**options).register(pair.fixed, part, outside=outside)
        value = part.data.min() if outside is None else outside
        assert np.isclose(here.warped.data, value, equal_nan=True).mean() > 0.2
        # values to some 100 and positions of some 50 voxels in float32
        np.testing.assert_allclose(there.warped.data, here.warped.data, atol=0.05)


def test_masks_and_deadlines_reach_the_device(pair, device):
    masks = [np.ones(volume.grid.shape, np.uint8) for volume in (pair.fixed, pair.moving)]
    masks[0][:, :3] = 0
    masks[1][:, :, :2] = 0
    fixed_mask, moving_mask = (
        Volume(mask, volume.grid) for mask, volume in zip(masks, (pair.fixed, pair.moving), strict=True)
    )
    registrar = Registrar(device=device)
    result = registrar.register(pair.fixed, pair.moving, fixed_mask=fixed_mask, moving_mask=moving_mask)
    assert result.quality.folded_voxels == 0 and not result.degraded
    hurried = registrar.register(pair.fixed, pair.moving, deadline_ms=1)
    assert hurried.degraded and np.isfinite(hurried.transform.displacement_mm).all()


@pytest.mark.parametrize("scales", [(4, 4), (6, 3), (3, 6)])
def test_no_more_memory_is_used_than_was_foreseen(scales, device):
    fixed, moving = phantom(1, scale=scales[0]).fixed, phantom(1, scale=scales[1]).moving
    registrar = Registrar(device=device)
    registrar.register(fixed, moving)
    used = registrar._device.queue.peak_bytes
    foreseen = needed_bytes(fixed.grid.shape, moving.grid.shape)
    assert 0.6 * foreseen < used <= foreseen  # near enough not to refuse what fits


def test_a_pair_that_has_no_room_is_refused_with_the_numbers_and_the_object_goes_on(pair, device):
    small = needed_bytes(pair.fixed.grid.shape, pair.moving.grid.shape)
    registrar = Registrar(device=device, memory_limit_bytes=small, deform=False)
    large = phantom(1, scale=3)
    with pytest.raises(DeviceError, match=r"need about \d+ MB .* \d+ MB are allowed") as caught:
        registrar.register(large.fixed, large.moving)
    assert caught.value.code == "MMREG_E_DEVICE_MEMORY"
    assert registrar.register(pair.fixed, pair.moving).quality.folded_voxels == 0
    with pytest.raises(InputError, match="MMREG_E_MEMORY_LIMIT"):
        Registrar(device=device, memory_limit_bytes=0)


def test_slices_are_registered_on_the_device(device):
    rng = np.random.default_rng(0)
    image = _native.gaussian(rng.normal(0, 1, (1, 1, 60, 70)).astype(np.float32), (0.0, 4.0, 4.0))[0]
    moved = np.roll(image, (2, -3), (1, 2))
    grid = Grid((1, 60, 70), np.eye(4))
    result = Registrar(device=device, align="rigid").register(Volume(image, grid), Volume(1 - moved, grid))
    middle = result.transform.displacement_mm[:, 0, 20:40, 20:50]
    # RAS axes are the array's here; nothing moves across the only slice
    assert np.abs(middle[0]).max() < 0.5
    np.testing.assert_allclose(np.median(middle[1]), 2, atol=0.3)
    np.testing.assert_allclose(np.median(middle[2]), -3, atol=0.3)


@pytest.mark.parametrize("output", ["velocity", "displacement"])
def test_the_field_of_a_network_is_brought_to_the_device(pair, device, output):
    """A network that moves all by two voxels along the last axis, as the pipeline is told of it."""
    seen = []

    def run(fixed_image, moving_image, field, _stop):
        seen.append((fixed_image.copy(), moving_image.copy()))
        field[...] = 0
        field[2] = 2

    network = pipeline.engine(run, pair.fixed.grid, output, integration_steps=5)
    found = pipeline.register(
        pair.fixed, pair.moving, align="none", engine=network, refine=False, target=device
    )
    expected = 2 * pair.fixed.grid.affine[:3, 2]
    for axis in range(3):
        np.testing.assert_allclose(found.displacement_mm[axis], expected[axis], atol=1e-3)
    assert len(seen) == 1 and np.ptp(seen[0][0]) == 1


@pytest.mark.parametrize("on_device", [True, False])
def test_a_field_that_is_not_finite_is_an_error_of_the_network(pair, device, on_device):
    queue = _native.DeviceQueue(device)
    nothing = np.full((3, *pair.fixed.grid.shape), np.nan, np.float32)

    def run(_fixed, _moving, field, _stop):
        if on_device:
            queue.upload(field[0], nothing)
        else:
            field[...] = nothing

    network = pipeline.engine(run, pair.fixed.grid, on_device=on_device)
    with pytest.raises(RegistrationError) as caught:
        pipeline.register(pair.fixed, pair.moving, align="none", engine=network, device=queue)
    assert caught.value.code == "MMREG_E_MODEL_OUTPUT"


def test_a_device_that_is_not_there_is_not_swapped_for_the_cpu():
    reason = _native.why_no_device("cuda")
    if not reason:
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(BackendUnavailableError, match="cuda was requested") as caught:
        Registrar(device="cuda")
    assert caught.value.code == "MMREG_E_DEVICE" and reason in str(caught.value)


# ---- scans that lie on the device


def put(queue, volume):
    memory = queue.allocate(4 * volume.grid.size)
    queue.upload(memory, volume.as_float32())
    return DeviceArray(queue, memory, volume.grid.shape, np.dtype(np.float32))


class WatchedQueue(_native.DeviceQueue):
    """Writes down the streams that it is made to wait for."""

    def __init__(self, target):
        super().__init__(target)
        self.waited_for = []

    def wait_for(self, stream):
        self.waited_for.append(stream)
        super().wait_for(stream)


def test_work_on_an_array_waits_for_the_queue_that_fills_it(pair, device):
    first, second, reader = (WatchedQueue(device) for _ in range(3))
    one, two, own = (put(queue, pair.fixed) for queue in (first, second, reader))
    assert located(one, reader, "fixed") == (one.address, one.shape)
    assert reader.waited_for == [first.stream]
    assert address_of(two, two.shape, reader, "moving") == two.address
    assert reader.waited_for == [first.stream, second.stream]
    located(own, reader, "fixed")  # its own work is in order anyway
    DeviceScan.of(one, pair.fixed.grid.affine, reader, "fixed")
    assert reader.waited_for == [first.stream, second.stream, first.stream]
    assert first.waited_for == second.waited_for == []


def test_scans_on_the_device_are_registered_where_they_lie(device):
    fixed, moving = scene.pair()  # clear enough for the deformation to be kept
    registrar, queue = Registrar(device=device), _native.DeviceQueue(device)
    scans = [put(queue, volume) for volume in (fixed, moving)]
    found = registrar.register_on_device(scans[0], fixed.grid.affine, scans[1], moving.grid.affine)
    here = registrar.register(fixed, moving)
    for name, expected in (
        ("warped", here.warped.data),
        ("displacement_mm", here.transform.displacement_mm),
        ("inverse_mm", here.inverse.displacement_mm),
        ("deformation_mm", here.deformation.displacement_mm),
    ):
        np.testing.assert_array_equal(getattr(found, name).to_numpy(), expected)
    assert found.quality == here.quality and found.fixed_grid == fixed.grid
    np.testing.assert_array_equal(found.affine.matrix, here.affine.matrix)
    kept = found.warped
    del found, registrar
    assert np.array_equal(kept.to_numpy(), here.warped.data)  # it is the caller's


def test_on_the_device_too_a_part_that_was_not_wanted_is_none(pair, device):
    queue = _native.DeviceQueue(device)
    scans = [put(queue, volume) for volume in (pair.fixed, pair.moving)]
    for align, parts in (("none", (True, True)), ("rigid", (False, True)), ("affine", (False, False))):
        registrar = Registrar(device=device, align=align)
        found = registrar.register_on_device(
            scans[0], pair.fixed.grid.affine, scans[1], pair.moving.grid.affine
        )
        assert (found.rigid is None, found.affine is None) == parts


def test_scans_on_the_device_that_cannot_be_used_are_refused_and_the_object_goes_on(pair, device):
    registrar, queue = Registrar(device=device, deform=False), _native.DeviceQueue(device)
    affine, moving = pair.fixed.grid.affine, put(queue, pair.moving)

    def attempt(image, code, matrix=affine):
        with pytest.raises(MmregError) as caught:
            registrar.register_on_device(image, matrix, moving, pair.moving.grid.affine)
        assert caught.value.code == code

    attempt(put(queue, pair.fixed.with_data(np.ones(pair.fixed.grid.shape))), "MMREG_E_INTENSITY_CONSTANT")
    attempt(
        put(queue, pair.fixed.with_data(np.full(pair.fixed.grid.shape, np.nan))),
        "MMREG_E_INTENSITY_NOT_FINITE",
    )
    attempt(pair.fixed.as_float32(), "MMREG_E_DEVICE_ARRAY")
    far = affine.copy()
    far[:3, 3] += 1000
    attempt(put(queue, pair.fixed), "MMREG_E_NO_OVERLAP", far)
    padded = pair.fixed.as_float32().copy()
    padded[:2] = -3024
    found = registrar.register_on_device(
        put(queue, pair.fixed.with_data(padded)), affine, moving, pair.moving.grid.affine
    )
    assert any("padding is left" in warning for warning in found.warnings)
    with pytest.raises(InputError, match="need a registrar of that device"):
        Registrar().register_on_device(moving, affine, moving, affine)


@pytest.mark.parametrize("name", ["cuda_stream", "ptr", "handle", "__cuda_stream__", None])
def test_the_callers_stream_is_worked_on(pair, device, name):
    if device == "cuda":
        pytest.skip("handles of the host")
    own = _native.DeviceQueue(device)
    handle = (lambda: (0, own.stream)) if name == "__cuda_stream__" else own.stream
    names = {} if name is None else {name: handle}
    if name == "__cuda_stream__":
        names["handle"] = object()  # cuda-core's, which is no number
    stream = own.stream if name is None else SimpleNamespace(**names)
    registrar = Registrar(device=device, stream=stream, align="rigid", deform=False)
    assert registrar._device.queue.stream == own.stream
    assert registrar.register(pair.fixed, pair.moving).quality.overlap_fraction > 0.5


@pytest.mark.parametrize("stream", [0, 1, 2, True, "stream", object()])
def test_what_is_no_stream_of_its_own_is_refused(device, stream):
    with pytest.raises(InputError, match="MMREG_E_STREAM"):
        Registrar(device=device, stream=stream)
