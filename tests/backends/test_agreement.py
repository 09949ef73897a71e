"""The same network in every backend, against numpy."""

import numpy as np
import pytest
from fixtures import networks

SHAPES = {2: ((16, 16), (9, 21)), 3: ((8, 8, 8), (5, 12, 7))}


@pytest.mark.parametrize("dims", SHAPES)
def test_every_backend_agrees_with_numpy_at_two_shapes(load, dims):
    session = load(dims)
    for extents in (*SHAPES[dims], *SHAPES[dims]):
        inputs = networks.images(extents)
        found = session.infer(inputs)
        assert found.dtype == np.float32
        assert found.flags.c_contiguous
        # 54 products of numbers near 1: a few float32 roundings
        np.testing.assert_allclose(found, networks.answer(inputs, dims), atol=5e-6)


def test_a_network_of_fixed_shape_runs_too(load):
    inputs = networks.images((6, 7, 8))
    found = load(3, extents=(6, 7, 8)).infer(inputs)
    np.testing.assert_allclose(found, networks.answer(inputs, 3), atol=5e-6)


def test_half_files_round_the_weights_to_half(load):
    inputs = networks.images((8, 9, 10))
    session = load(3, precision="fp16")
    exact, found = networks.answer(inputs, 3, np.float16), session.infer(inputs)
    # half arithmetic rounds sums of size 2 to 2^-10; where it is widened only weights and images are rounded
    assert session.runtime_info["precision"] == "fp16"
    widened = ("fp32", "f32")  # by ONNX Runtime, and by OpenVINO on CPUs that have no half arithmetic
    assert "f16" in session.runtime_info["arithmetic"] or session.runtime_info["arithmetic"].startswith(
        widened
    )
    np.testing.assert_allclose(found, exact, atol=4e-3)


def test_int8_files_stay_within_their_steps(load):
    inputs = networks.images((8, 9, 10))
    session = load(3, precision="int8")
    # 54 products: weights off by half a step of 0.8/63, images by half of 1/255; 5 standard deviations
    np.testing.assert_allclose(session.infer(inputs), networks.answer(inputs, 3), atol=0.08)
    assert session.runtime_info["precision"] == "int8"


def test_bf16_is_what_really_runs_where_the_cpu_has_it(backend, load):
    if reason := backend.unavailable_reason("cpu", "bf16"):
        pytest.skip(f"{backend.name}: {reason}")
    inputs = networks.images((8, 9, 10))
    wide, narrow = load(3), load(3, precision="bf16")
    difference = np.abs(narrow.infer(inputs) - wide.infer(inputs)).max()
    # 8 bits of mantissa: it must differ from float32, and not by more than its rounding of sums of size 2
    assert 1e-5 < difference < 2e-2
    assert "bf16" in narrow.runtime_info["arithmetic"]
    assert "bf16" not in wide.runtime_info["arithmetic"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none_pass_through(load, value):
    inputs = networks.images((8, 8, 8))
    inputs["moving"][0, 0, 4, 4, 4] = value
    found = load(3).infer(inputs)
    assert not np.isfinite(found[0, :, 3:6, 3:6, 3:6]).all()
    assert np.isfinite(found[0, :, 0]).all()  # a convolution reaches one voxel, not further


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_do_not_change_what_is_found(load, threads):
    inputs = networks.images((8, 12, 16))
    one, more = load(3, threads=1).infer(inputs), load(3, threads=threads).infer(inputs)
    np.testing.assert_allclose(one, more, atol=5e-6)


def test_inputs_may_be_strided_and_read_only(load):
    inputs = networks.images((8, 9, 10))
    turned = {name: np.asfortranarray(image) for name, image in inputs.items()}
    for image in turned.values():
        image.flags.writeable = False
    np.testing.assert_allclose(load(3).infer(turned), networks.answer(inputs, 3), atol=5e-6)
