"""Mutated bundles of every class of operators do no harm to the process that loads them.

The whole run is ``python -m bundle.mutated_networks --count 200``; here are some of each class.
"""

import pytest

pytest.importorskip("onnx", reason="onnx, with which the test networks are made, is not installed")
pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")

from bundle import mutated_networks  # noqa: E402

COUNT = 20


@pytest.mark.parametrize("name", mutated_networks.classes())
def test_the_process_that_loads_mutated_networks_lives(name):
    codes = mutated_networks.run(COUNT, only=name)[name]
    assert sum(codes.values()) == COUNT
    assert set(codes) & {
        "MMREG_E_ONNX_NODE",
        "MMREG_E_ONNX_GRAPH",
    }  # most are refused before a library sees them
    assert "MMREG_E_BUNDLE_CRASH" not in codes  # no crash of these is known that the checks let through


def test_a_library_that_is_shown_them_unchecked_crashes_in_the_child_alone():
    codes = mutated_networks.run(6, only="indices", checked=False)["indices"]
    assert sum(codes.values()) == 6
