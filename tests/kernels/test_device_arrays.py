"""Arrays of a device go to the operations as they are; on the host the same path runs on protected memory."""

import numpy as np
import pytest

from mmreg_rt import _native
from mmreg_rt.errors import DeviceError

SHAPE = (3, 6, 7, 8)


@pytest.fixture(params=["cuda_on_host", "cuda"])
def queue(request):
    if reason := _native.why_no_device(request.param):
        pytest.skip(reason)
    return _native.DeviceQueue(request.param)


def there(queue, array):
    memory = queue.allocate(array.nbytes)
    queue.upload(memory, array)
    return memory, queue.array(memory, array.shape, dtype=array.dtype.name)


def back(queue, memory, shape, dtype=np.float32):
    array = np.empty(shape, dtype)
    queue.download(array.reshape(-1).view(np.uint8), memory)
    return array


def test_a_result_stays_on_the_device(queue, rng):
    moving = rng.normal(0, 1, SHAPE).astype(np.float32)
    u = rng.normal(0, 1, SHAPE).astype(np.float32)
    memory, out = there(queue, np.zeros(SHAPE, np.float32))
    _native.warp(there(queue, moving)[1], there(queue, u)[1], out=out, target=queue)
    np.testing.assert_allclose(back(queue, memory, SHAPE), _native.warp(moving, u), atol=1e-5)


def test_a_batch_of_halves_stays_on_the_device(queue, rng):
    moving = rng.normal(0, 1, (2, *SHAPE)).astype(np.float16)
    u = rng.normal(0, 1, (2, *SHAPE)).astype(np.float32)
    memory, out = there(queue, np.zeros_like(moving))
    _native.warp(there(queue, moving)[1], there(queue, u)[1], out=out, target=queue)
    found = back(queue, memory, moving.shape, np.float16)
    np.testing.assert_allclose(found, _native.warp(moving, u), atol=2e-3)  # 2^-9: a half between 2 and 4
    with pytest.raises(ValueError, match="float16"):
        queue.array(memory, moving.shape, dtype="float64")


def test_a_mask_stays_on_the_device(queue, rng):
    moving = rng.normal(0, 1, SHAPE).astype(np.float32)
    u = rng.normal(0, 4, SHAPE).astype(np.float32)
    memory, valid = there(queue, np.full(SHAPE[1:], 7, np.uint8))
    _native.warp(moving, u, valid=valid, target=queue)
    expected = np.empty(SHAPE[1:], np.uint8)
    _native.warp(moving, u, valid=expected)
    np.testing.assert_array_equal(back(queue, memory, SHAPE[1:], np.uint8), expected)
    assert set(np.unique(expected)) == {0, 1}


def test_arrays_of_the_host_and_of_the_device_go_together(queue, rng):
    moving = rng.normal(0, 1, SHAPE).astype(np.float32)
    u = rng.normal(0, 1, SHAPE).astype(np.float32)
    found = _native.warp(moving, there(queue, u)[1], target=queue)
    np.testing.assert_allclose(found, _native.warp(moving, u), atol=1e-5)


def test_operations_follow_each_other_on_one_queue(queue, rng):
    velocity = rng.normal(0, 1, SHAPE).astype(np.float32)
    memory, u = there(queue, np.zeros(SHAPE, np.float32))
    _native.integrate(there(queue, velocity)[1], 5, out=u, target=queue)
    np.testing.assert_allclose(
        _native.jacobian(u, target=queue), _native.jacobian(_native.integrate(velocity, 5)), atol=1e-4
    )
    assert np.isfinite(back(queue, memory, SHAPE)).all()


def test_an_array_of_a_device_is_refused_elsewhere(queue, rng):
    u = rng.normal(0, 1, SHAPE).astype(np.float32)
    with pytest.raises(TypeError, match="needs a target on that device"):
        _native.jacobian(there(queue, u)[1])
    with pytest.raises(TypeError):  # a matrix is read on the host
        _native.add_affine(u, queue.array(queue.allocate(72), (3, 3)), np.zeros((3, 4)), target=queue)


def test_memory_that_is_given_back_is_used_again(queue):
    first = queue.allocate(1 << 20)
    queue.release(first)
    assert queue.allocate(1 << 20) == first


def test_pinned_memory_is_an_array(queue):
    memory = queue.allocate(64)
    pinned = queue.pinned(64)
    queue.upload(memory, np.arange(16, dtype=np.float32))
    queue.download(pinned, memory)
    np.testing.assert_array_equal(pinned.view(np.float32), np.arange(16))


def test_memory_that_is_not_there_is_an_error_of_its_own_and_the_queue_goes_on(queue, rng):
    with pytest.raises(DeviceError, match="were requested") as caught:
        queue.allocate(1 << 44)
    assert caught.value.code == "MMREG_E_DEVICE_MEMORY"
    u = rng.normal(0, 1, SHAPE).astype(np.float32)
    np.testing.assert_allclose(_native.jacobian(u, target=queue), _native.jacobian(u), atol=1e-4)


def test_a_graph_is_launched_with_what_its_memory_holds_then(queue, rng):
    memory, there_now = there(queue, np.ones(SHAPE, np.float32))
    result, out = there(queue, np.zeros(SHAPE, np.float32))
    own = _native.DeviceQueue(queue.target, queue.stream)
    sigma = (1.0, 1.0, 1.0)
    graph = queue.graph(lambda: _native.gaussian(there_now, sigma, out=out, target=own))
    assert not back(queue, result, SHAPE).any()  # kept, not done
    for _ in range(2):
        image = rng.normal(0, 1, SHAPE).astype(np.float32)
        queue.upload(memory, image)
        queue.launch(graph)
        np.testing.assert_allclose(back(queue, result, SHAPE), _native.gaussian(image, sigma), atol=1e-5)


def test_what_breaks_a_graph_leaves_the_queue_usable(queue, rng):
    u = rng.normal(0, 1, SHAPE).astype(np.float32)

    def fails():
        raise LookupError("no network")

    with pytest.raises(LookupError):
        queue.graph(fails)
    with pytest.raises(DeviceError, match="cannot be part of a graph|ending a capture"):
        queue.graph(lambda: _native.jacobian(u, target=queue))
    np.testing.assert_allclose(_native.jacobian(u, target=queue), _native.jacobian(u), atol=1e-4)


def test_a_queue_lends_its_device_to_the_thread(queue):
    with queue as same:
        assert same is queue
        with queue:
            pass
    with pytest.raises(ValueError, match="did not enter"):
        queue.__exit__(None, None, None)


def test_an_address_tells_whose_it_is(queue):
    memory = queue.allocate(64)
    assert queue.device_of(memory) == queue.number
    assert queue.device_of(np.zeros(4).ctypes.data) == -1


def test_the_default_stream_is_a_stream(queue, rng):
    """0 is what PyTorch says of its default stream; a queue of its own would run beside it."""
    default = _native.DeviceQueue(queue.target, 0)
    assert default.stream == _native.DeviceQueue(queue.target, 1).stream != queue.stream
    u = rng.normal(0, 1, SHAPE).astype(np.float32)
    np.testing.assert_allclose(_native.jacobian(u, target=default), _native.jacobian(u), atol=1e-4)


def test_what_is_kept_is_known_and_given_back(queue):
    memory = queue.allocate(1 << 20)
    queue.release(memory)
    assert queue.kept_bytes >= 1 << 20
    queue.trim()
    assert queue.kept_bytes == 0
