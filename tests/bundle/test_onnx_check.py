"""The reader of ONNX files: it finds what is there, and refuses each thing that may not be there."""

import struct
import time
import tracemalloc

import numpy as np
import pytest
from fixtures import onnx_bytes as ox

from mmreg_rt.errors import BundleError, MmregError
from mmreg_rt.onnx_model.protobuf_reader import MAX_FIELDS
from mmreg_rt.onnx_model.validation import Limits, check_model


def refused(data, code, *mentions, limits=None):
    with pytest.raises(BundleError) as caught:
        check_model(data, limits or Limits())
    assert caught.value.code == code, caught.value
    for mention in mentions:
        assert str(mention) in str(caught.value)


def with_node(*args, **named):
    return ox.net(nodes=[ox.node(*args, **named)])


@pytest.mark.parametrize("dims", [2, 3])
def test_the_facts_are_those_of_the_file(dims):
    data = ox.net(dims)
    facts = check_model(data)
    assert facts.ops == {"Concat": 1, "Conv": 1}
    assert (facts.opset, facts.nodes, facts.parameters, facts.bytes) == (20, 2, 2 * dims, len(data))
    assert [v.name for v in facts.inputs] == ["fixed", "moving"]
    assert facts.inputs[0].dims == (1, 1, *ox.spatial(dims))
    assert (facts.outputs[0].name, facts.outputs[0].dtype) == ("output", "float32")
    assert facts.outputs[0].dims[1] == dims


def test_the_tiny_models_of_these_tests_are_valid_onnx():
    onnx = pytest.importorskip("onnx")
    for data in (ox.net(2), ox.net(3), ox.descriptor()):
        onnx.checker.check_model(onnx.load_from_string(data), full_check=True)


@pytest.mark.parametrize("opset", [17, 20, 23])
def test_operator_sets_of_the_range_are_accepted(opset):
    assert check_model(ox.net(opset=opset)).opset == opset


@pytest.mark.parametrize("opset", [0, 16, 24, -1])
def test_other_operator_sets_are_refused(opset):
    refused(ox.net(opset=opset), "MMREG_E_ONNX_OPSET", opset)


def test_two_operator_sets_or_none_are_refused():
    refused(ox.net(extra=ox.part(8, ox.number(2, 20))), "MMREG_E_ONNX_OPSET")
    refused(ox.number(1, 10) + ox.part(7, b""), "MMREG_E_ONNX_OPSET", "none")


def test_an_unknown_version_of_the_format_is_refused():
    refused(ox.model(b"", ir_version=99), "MMREG_E_ONNX_VERSION", 99)


def test_an_unknown_operator_is_refused():
    refused(with_node("RandomNormal", [], ["x"]), "MMREG_E_ONNX_OPERATOR", "RandomNormal")
    refused(with_node("", [], ["x"]), "MMREG_E_ONNX_OPERATOR")


def test_an_unknown_domain_is_refused_in_a_node_and_in_an_import():
    refused(with_node("Relu", ["both"], ["x"], domain="com.evil"), "MMREG_E_ONNX_DOMAIN", "com.evil")
    refused(ox.net(domain="com.evil"), "MMREG_E_ONNX_DOMAIN", "com.evil")


@pytest.mark.parametrize("op", ["If", "Loop", "Scan"])
def test_control_flow_is_refused_with_and_without_its_graph(op):
    body = ox.part(1, "body") + ox.part(6, ox.graph([], [], [])) + ox.number(20, 5)
    refused(with_node(op, ["both"], ["x"], body), "MMREG_E_ONNX_SUBGRAPH", op)
    refused(with_node("Relu", ["both"], ["x"], body), "MMREG_E_ONNX_SUBGRAPH", "graph")


def test_graphs_within_graphs_are_refused_at_the_first():
    inner = ox.graph([], [], [])
    for _ in range(2000):
        inner = ox.graph([ox.node("Relu", [], [], ox.part(6, inner))], [], [])
    refused(ox.model(inner), "MMREG_E_ONNX_SUBGRAPH")


def test_functions_are_refused():
    refused(ox.net(extra=ox.part(25, b"")), "MMREG_E_ONNX_FUNCTION", "'functions' in a model")


def test_data_in_another_file_are_refused():
    away = ox.part(13, ox.part(1, "location") + ox.part(2, "../../etc/passwd"))
    for extra in (away, ox.number(14, 1), away + ox.number(14, 1)):
        stored = ox.tensor("away", np.zeros(2, np.float32), extra)
        refused(ox.net(more_initialisers=[stored]), "MMREG_E_ONNX_EXTERNAL_DATA")
        constant = ox.part(1, "value") + ox.part(5, stored) + ox.number(20, 4)
        refused(with_node("Constant", [], ["x"], constant), "MMREG_E_ONNX_EXTERNAL_DATA")


@pytest.mark.parametrize("where", ["model", "graph", "tensor", "node"])
def test_fields_that_are_not_known_are_refused(where):
    odd = ox.part(99, "odd")
    data = {
        "model": lambda: ox.net(extra=odd),
        "graph": lambda: ox.net(graph_extra=odd),
        "tensor": lambda: ox.net(more_initialisers=[ox.tensor("t", np.zeros(2, np.float32), odd)]),
        "node": lambda: ox.net(nodes=[ox.node("Relu", ["both"], ["x"]) + odd]),
    }[where]()
    refused(data, "MMREG_E_ONNX_FIELD", 99, where)


def test_a_field_given_twice_is_refused():
    refused(ox.net(extra=ox.part(7, b"")), "MMREG_E_ONNX_MALFORMED", "twice")
    refused(ox.net(nodes=[ox.node("Relu", ["both"], ["x"]) + ox.part(4, "If")]), "MMREG_E_ONNX_MALFORMED")


def test_every_cut_of_a_file_is_refused():
    data = ox.net()
    for length in range(len(data)):
        with pytest.raises(BundleError):
            check_model(data[:length])
    refused(data[:-1], "MMREG_E_ONNX_TRUNCATED")
    refused(b"", "MMREG_E_ONNX_VERSION")


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 20,
        b"PK\x03\x04 not a model",
        ox.varint(1 << 3) + b"\xff" * 9 + b"\x02",  # 65 bits
        ox.varint(1 << 3) + b"\x80" * 10 + b"\x01",  # eleven bytes
        ox.part(1, "10"),  # a number as text
        ox.number(7, 1),  # a graph as a number
        ox.varint(2 << 3 | 3),  # the start of a group
        ox.part(2, b"\xff\xfe"),  # not UTF-8
        ox.part(2, b"x" * (2 << 20)),  # a long name
    ],
)
def test_what_is_no_protocol_buffer_of_a_model_is_refused(data):
    with pytest.raises(BundleError) as caught:
        check_model(data)
    assert caught.value.code in ("MMREG_E_ONNX_MALFORMED", "MMREG_E_ONNX_TRUNCATED", "MMREG_E_ONNX_FIELD")


def test_a_length_beyond_the_end_is_refused_and_not_allocated():
    tracemalloc.start()
    refused(ox.number(1, 10) + ox.varint(7 << 3 | 2) + ox.varint(1 << 62), "MMREG_E_ONNX_TRUNCATED", 1 << 62)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize(
    ("limits", "what"),
    [
        (Limits(bytes=100), "bytes"),
        (Limits(nodes=1), "nodes"),
        (Limits(initialisers=0), "initialisers"),
        (Limits(elements=5), "elements of tensor 'weight'"),
        (Limits(rank=4), "dimensions"),
    ],
)
def test_more_than_the_limits_is_refused(limits, what):
    refused(ox.net(), "MMREG_E_ONNX_TOO_LARGE", what, limits=limits)


@pytest.mark.parametrize("dims", [(1 << 40, 1 << 40), (0, 1 << 62), (1 << 62, 4), (-1, 2)])
def test_dimensions_that_overflow_or_are_negative_are_refused(dims):
    lying = b"".join(ox.number(1, n) for n in dims) + ox.number(2, 1) + ox.part(8, "t")
    with pytest.raises(BundleError) as caught:
        check_model(ox.net(more_initialisers=[lying]))
    assert caught.value.code == ("MMREG_E_ONNX_TENSOR" if min(dims) < 0 else "MMREG_E_ONNX_TOO_LARGE")
    declared = ox.part(13, ox.value("both", dims))
    with pytest.raises(BundleError):
        check_model(ox.net(graph_extra=declared))


def test_a_tensor_with_other_data_than_its_dimensions_say_is_refused():
    short = ox.number(1, 3) + ox.number(2, 1) + ox.part(8, "t") + ox.part(9, bytes(8))
    refused(ox.net(more_initialisers=[short]), "MMREG_E_ONNX_TENSOR", "'t'", "2 elements", "need 3")
    both = ox.tensor("t", np.zeros(2, np.float32), ox.part(4, bytes(8)))
    refused(ox.net(more_initialisers=[both]), "MMREG_E_ONNX_TENSOR", "float_data, raw_data")
    strings = ox.number(1, 0) + ox.number(2, 8) + ox.part(8, "t")
    refused(ox.net(more_initialisers=[strings]), "MMREG_E_ONNX_TENSOR", "type 8")


@pytest.mark.parametrize(
    "data",
    [
        ox.part(4, struct.pack("<2f", 1, 2)),  # packed
        b"".join(ox.varint(4 << 3 | 5) + struct.pack("<f", x) for x in (1, 2)),  # one by one
    ],
)
def test_data_may_be_packed_or_not(data):
    stored = ox.number(1, 2) + ox.number(2, 1) + ox.part(8, "t") + data
    assert check_model(ox.net(more_initialisers=[stored])).parameters == 8
    whole = ox.part(1, ox.varint(3)) + ox.number(2, 7) + ox.part(8, "n") + ox.part(7, b"\x01\x80\x01\xff\x01")
    assert check_model(ox.net(more_initialisers=[whole])).parameters == 9


@pytest.mark.parametrize(
    "nodes",
    [
        [ox.node("Relu", ["nothing"], ["x"])],
        [ox.node("Relu", ["later"], ["x"]), ox.node("Relu", ["both"], ["later"])],
        [ox.node("Relu", ["both"], ["output"])],  # computed twice
        [ox.node("Relu", ["both"], ["weight"])],  # shadows a weight
    ],
)
def test_a_graph_that_does_not_hang_together_is_refused(nodes):
    refused(ox.net(nodes=nodes), "MMREG_E_ONNX_GRAPH")


def test_an_output_that_nothing_computes_is_refused():
    made = ox.graph([], [ox.value("fixed", (1,))], [ox.value("output", (1,))])
    refused(ox.model(made), "MMREG_E_ONNX_GRAPH", "output")


def test_more_fields_than_a_network_has_are_refused_in_bounded_time():
    data = ox.net(extra=ox.part(14, b"") * (MAX_FIELDS + 1))
    begin = time.process_time()
    refused(data, "MMREG_E_ONNX_TOO_LARGE", "fields")
    assert time.process_time() - begin < 20  # about one second on an idle core


def test_flipped_bytes_are_refused_or_read_and_nothing_else_happens():
    seed, rng = ox.net(), np.random.default_rng(6)
    codes = set()
    tracemalloc.start()
    for _ in range(1500):
        data = bytearray(seed)
        for place in rng.integers(0, len(data), rng.integers(1, 4)):
            data[place] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.integers(256)])
        try:
            check_model(bytes(data))
            codes.add("read")
        except MmregError as refusal:
            codes.add(refusal.code)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert {"read", "MMREG_E_ONNX_TRUNCATED", "MMREG_E_ONNX_MALFORMED", "MMREG_E_ONNX_OPERATOR"} <= codes
    assert peak < 4 << 20
