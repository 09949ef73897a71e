"""``mmreg::Warp`` in ONNX Runtime, and the same batch on a device's queue, against the float64 twin."""

import threading

import numpy as np
import pytest
from reference import warp as twin

from mmreg_rt import _native

BORDERS = {"zeros": "zero", "border": "extend"}
# image, displacement
SHAPES = [
    ((1, 1, 6, 7, 8), (1, 3, 6, 7, 8)),
    ((2, 4, 5, 6, 9), (2, 3, 7, 4, 5)),  # a batch, channels, another grid
    ((1, 2, 1, 6, 5), (1, 3, 1, 6, 5)),
    ((1, 1, 4, 1, 1), (1, 3, 3, 2, 1)),
    ((1, 1, 1, 1, 1), (1, 3, 2, 2, 2)),
    ((2, 3, 9, 8), (2, 2, 9, 8)),
    ((1, 1, 1, 7), (1, 2, 5, 4)),
    ((0, 1, 4, 4), (0, 2, 4, 4)),  # an empty batch
]


@pytest.fixture(scope="module")
def onnxruntime():
    pytest.importorskip("onnx", reason="onnx, with which the node is written, is not installed")
    return pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


def session(onnxruntime, padding="zeros", threads=1):
    from onnx import TensorProto, helper

    node = helper.make_node(
        "Warp", ["image", "u"], ["warped"], domain="mmreg", padding=padding, threads=threads, device=0
    )
    ports = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in ("image", "u", "warped")
    }
    graph = helper.make_graph([node], "warp", [ports["image"], ports["u"]], [ports["warped"]])
    imported = [helper.make_opsetid("", 20), helper.make_opsetid("mmreg", 1)]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 4
    options.register_custom_ops_library(_native.__file__)
    model = helper.make_model(graph, opset_imports=imported, ir_version=10).SerializeToString()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def case(image_shape, u_shape, seed=3):
    rng = np.random.default_rng(seed)
    image = rng.normal(0, 1, image_shape).astype(np.float32)
    return image, rng.uniform(-3, 3, u_shape).astype(np.float32)  # a third of the places lies outside


def expected(image, u, border):
    """In float64, sample by sample; a plane is a volume of one slice."""
    made = np.zeros((*image.shape[:2], *u.shape[2:]))
    for out, one, field in zip(made, image, u):
        if len(field) == 2:
            one, field = one[:, None], np.concatenate([np.zeros_like(field[:1]), field])[:, None]
        out[:] = twin.warp(one, field, "linear", border).reshape(out.shape)
    return made


@pytest.mark.parametrize("padding", BORDERS)
@pytest.mark.parametrize("shapes", SHAPES)
def test_the_node_agrees_with_the_twin(onnxruntime, shapes, padding):
    image, u = case(*shapes)
    (found,) = session(onnxruntime, padding).run(None, {"image": image, "u": u})
    # as the operation: places of up to 12 voxels in float32, times differences of up to 6 between voxels
    np.testing.assert_allclose(found, expected(image, u, BORDERS[padding]), atol=2e-5)


def test_nothing_moves_under_no_displacement(onnxruntime):
    image, _ = case(*SHAPES[0])
    (found,) = session(onnxruntime).run(None, {"image": image, "u": np.zeros((1, 3, 6, 7, 8), np.float32)})
    np.testing.assert_array_equal(found, image)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("shapes", [SHAPES[0], SHAPES[5]])
def test_a_displacement_that_is_no_number_gives_none_there_only(onnxruntime, shapes, value):
    image, u = case(*shapes)
    clean = session(onnxruntime, "border").run(None, {"image": image, "u": u})[0]
    u[(0, 1, *[2] * (u.ndim - 2))] = value
    found = session(onnxruntime, "border").run(None, {"image": image, "u": u})[0]
    where = np.zeros(found.shape, bool)
    where[(0, slice(None), *[2] * (u.ndim - 2))] = True
    assert np.isnan(found[where]).all()
    np.testing.assert_array_equal(found[~where], clean[~where])


def test_threads_change_nothing(onnxruntime):
    image, u = case((1, 3, 20, 30, 40), (1, 3, 20, 30, 40))
    one, three = (session(onnxruntime, threads=n).run(None, {"image": image, "u": u})[0] for n in (1, 3))
    np.testing.assert_array_equal(one, three)


def test_one_session_takes_any_shape_and_two_run_at_once(onnxruntime):
    sessions, found = [session(onnxruntime, threads=2) for _ in range(2)], {}

    def work(index):
        for shapes in SHAPES:
            image, u = case(*shapes, seed=index)
            found[index, shapes] = sessions[index].run(None, {"image": image, "u": u})[0]

    workers = [threading.Thread(target=work, args=(index,)) for index in (0, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for (index, shapes), warped in found.items():
        np.testing.assert_allclose(warped, expected(*case(*shapes, seed=index), "zero"), atol=2e-5)
    assert len(found) == 2 * len(SHAPES)


@pytest.mark.parametrize(
    ("image", "u"),
    [
        ((1, 1, 4, 4, 4), (1, 2, 4, 4, 4)),  # components
        ((2, 1, 4, 4, 4), (1, 3, 4, 4, 4)),  # batch
        ((1, 1, 4, 4), (1, 3, 4, 4, 4)),
        ((1, 1, 4), (1, 1, 4)),
        ((4,), (4,)),
        ((1, 1, 4, 0, 4), (1, 3, 4, 4, 4)),  # nothing to sample
    ],
)
def test_shapes_that_do_not_fit_are_an_error_that_names_them(onnxruntime, image, u):
    arrays = {"image": np.zeros(image, np.float32), "u": np.zeros(u, np.float32)}
    with pytest.raises(Exception, match=rf"a warp takes.*got \({image[0]}.*and \({u[0]}"):
        session(onnxruntime).run(None, arrays)


def test_a_padding_that_is_none_is_an_error_when_the_session_is_made(onnxruntime):
    with pytest.raises(Exception, match="no padding mirror"):
        session(onnxruntime, "mirror")
    with pytest.raises(Exception, match="not large enough"):
        session(onnxruntime, "a" * 40)


@pytest.mark.parametrize("padding", BORDERS)
@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("order", ["", "scrambled"])
def test_on_a_queue_of_a_device_it_agrees_with_the_twin(shapes, padding, order, monkeypatch):
    if reason := _native.why_no_device("cuda_on_host"):
        pytest.skip(reason)
    monkeypatch.setenv("MMREG_CUDA_ON_HOST", order)
    image, u = case(*shapes)
    warped = np.zeros((*image.shape[:2], *u.shape[2:]), np.float32)
    queue = _native.DeviceQueue("cuda_on_host")
    places = [queue.allocate(max(array.nbytes, 1)) for array in (image, u, warped)]
    for place, array in zip(places, (image, u)):
        queue.upload(place, array)
    queue.warp(places[0], image.shape, places[1], u.shape, BORDERS[padding], places[2])
    queue.download(warped.reshape(-1).view(np.uint8), places[2])
    np.testing.assert_allclose(warped, expected(image, u, BORDERS[padding]), atol=2e-5)
