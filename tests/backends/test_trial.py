"""The network that a backend is tried with."""

import os
import subprocess
import sys
import zlib

import numpy as np
import pytest

from mmreg_rt.backends import smoke_test
from mmreg_rt.errors import InputError


def written():
    """The bytes that stand in ``trial.py``."""
    from onnx import TensorProto, helper

    shape = [1, 1, "a", "b", "c"]
    ports = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name in ("fixed", "moving", "output")
    }
    node = helper.make_node("Add", ["fixed", "moving"], ["output"])
    graph = helper.make_graph([node], "add", [ports["fixed"], ports["moving"]], [ports["output"]])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return model.SerializeToString()


def written_in_8_bits(weight=127):
    """The network that shows whether sums of 8-bit products saturate: 32 images through weights of one "
    "size."""
    from onnx import TensorProto, helper, numpy_helper

    shape = [1, 1, "a", "b"]
    constants = {
        "one": np.float32(1),
        "zero": np.uint8(0),
        "none": np.int8(0),
        "weights": np.full((16, 32, 3, 3), weight, np.int8),
        "first": np.array([0]),
        "last": np.array([1]),
    }
    nodes = [
        helper.make_node("Concat", ["fixed", "moving"] * 16, ["both"], axis=1),
        helper.make_node("QuantizeLinear", ["both", "one", "zero"], ["both_8"]),
        helper.make_node("DequantizeLinear", ["both_8", "one", "zero"], ["both_32"]),
        helper.make_node("DequantizeLinear", ["weights", "one", "none"], ["kernel"]),
        helper.make_node("Conv", ["both_32", "kernel"], ["sums"], pads=[1] * 4),
        helper.make_node("Slice", ["sums", "first", "last", "last"], ["output"]),
    ]
    ports = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name in ("fixed", "moving", "output")
    }
    graph = helper.make_graph(
        nodes,
        "eight",
        [ports["fixed"], ports["moving"]],
        [ports["output"]],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return model.SerializeToString()


PROBE = """
import sys
import numpy as np
from mmreg_rt.backends import by_name, smoke_test
backend = by_name("openvino")
session = backend.load(sys.stdin.buffer.read(), precision="int8", threads=1, device="cpu")
images = {name: np.full((1, 1, 4, 4), 255, np.float32) for name in ("fixed", "moving")}
print(smoke_test.saturates(backend), float(session.infer(images)[0, 0, 1, 1]))
"""


@pytest.mark.parametrize("isa", ["AVX2", "AVX512_CORE", "AVX512_CORE_VNNI", "DEFAULT"])
def test_weights_of_7_bits_are_exact_on_every_cpu_and_doctor_knows_where_8_are_not(isa):
    pytest.importorskip("onnx")
    pytest.importorskip("openvino")
    # oneDNN inside of OpenVINO then takes the kernels of that CPU
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        input=written_in_8_bits(64),
        capture_output=True,
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": isa},
        timeout=300,
    )
    saturates, found = done.stdout.split()
    assert float(found) == 255 * 64 * 32 * 9
    if "VNNI" not in isa and isa != "DEFAULT":
        assert saturates == b"True"


def test_the_bytes_of_the_8_bit_network_are_the_network_that_is_meant():
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    assert onnx.load_from_string(zlib.decompress(smoke_test.NETWORK_8_BITS)) == onnx.load_from_string(
        written_in_8_bits()
    )


def test_the_bytes_are_the_network_that_is_meant():
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    assert onnx.load_from_string(smoke_test.NETWORK) == onnx.load_from_string(written())


def test_a_backend_that_computes_is_found_right(backend):
    assert smoke_test.what_is_wrong(backend) is None


def test_a_backend_that_computes_wrongly_or_not_at_all_is_found_out():
    class Session:
        def infer(self, inputs):
            return np.zeros_like(inputs["fixed"])

        def close(self):
            pass

    class Wrong:
        def load(self, *_, **__):
            return Session()

    class Broken:
        def load(self, *_, **__):
            raise InputError("MMREG_E_X", "no")

    assert smoke_test.what_is_wrong(Wrong()) == "adds two images wrongly"
    assert "no [MMREG_E_X]" in smoke_test.what_is_wrong(Broken())
