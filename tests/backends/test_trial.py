"""The network that a backend is tried with."""

import numpy as np
import pytest

from mmreg_rt.backends import trial
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


def test_the_bytes_are_the_network_that_is_meant():
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    assert onnx.load_from_string(trial.NETWORK) == onnx.load_from_string(written())


def test_a_backend_that_computes_is_found_right(backend):
    assert trial.what_is_wrong(backend) is None


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

    assert trial.what_is_wrong(Wrong()) == "adds two images wrongly"
    assert "no [MMREG_E_X]" in trial.what_is_wrong(Broken())
