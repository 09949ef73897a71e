"""Lower precisions as part of the graph: half floats, and 8 bits with quantise and dequantise nodes.

Therefore one file serves every backend without options. Inputs and outputs stay float32.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmreg_rt.backends.telemetry import keep_onnxruntime_silent

from .onnx import silence

if TYPE_CHECKING:
    from torch import nn

    from mmreg_rt.geometry import Float32

Inputs = Mapping[str, "Float32"]
_ROOT_MEAN_SQUARE = ("Reciprocal", "Sqrt", "Add", "ReduceMean", "Pow")  # from the end, following first inputs
MULTIPLYING = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def to_half(model: bytes) -> bytes:
    """Convert weights and arithmetic of a network to half precision, with float32 inputs and outputs.

    Everything before the first convolution stays in float32: descriptors are small differences of intensities
    and quotients of them, which half floats cannot represent. So do warps and their sampling coordinates:
    half floats between 128 and 256 are an eighth apart. So do roots of mean squares: language layers have
    activations above 256, whose squares exceed the range of half floats.
    """
    import onnx

    keep_onnxruntime_silent()
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    whole = onnx.load_from_string(model)
    early, late = _split(whole.graph)
    part = convert_float_to_float16(
        _part(whole, early, late),
        keep_io_types=True,
        node_block_list=[*_warps(late), *_root_mean_squares(late)],
    )
    _join_casts(part)
    used = {name for node in early for name in node.input}
    constants = [tensor for tensor in whole.graph.initializer if tensor.name in used]
    for field, values in (
        ("node", [*early, *part.graph.node]),
        ("initializer", [*constants, *part.graph.initializer]),
    ):
        whole.graph.ClearField(field)
        getattr(whole.graph, field).extend(values)
    converted = OnnxModel(whole)
    converted.topological_sort()  # the converter appends casts at the end
    serialised: bytes = converted.model.SerializeToString(deterministic=True)
    return serialised


def _split(graph: Any) -> tuple[list[Any], list[Any]]:
    """Return the nodes that do not depend on a convolution, and the others."""
    reached: set[str] = set()
    early, late = [], []
    for node in graph.node:  # in topological order
        if node.op_type == "Conv" or reached.intersection(node.input):
            reached.update(node.output)
            late.append(node)
        else:
            early.append(node)
    return early, late


def _warps(nodes: Sequence[Any]) -> list[str]:
    """Return the names of warps and of the nodes that compute their coordinates, up to multiplying layers."""
    makers = {name: node for node in nodes for name in node.output}
    warps: dict[str, Any] = {node.name: node for node in nodes if node.op_type == "GridSample"}
    pending = [node.input[1] for node in warps.values()]
    while pending:
        node = makers.get(pending.pop())
        if node is not None and node.op_type not in MULTIPLYING and node.name not in warps:
            warps[node.name] = node
            pending += node.input
    return list(warps)


def _root_mean_squares(nodes: Sequence[Any]) -> list[str]:
    """Return the names of squares that are averaged, and of the nodes up to their inverse root."""
    makers = {name: node for node in nodes for name in node.output}
    names = []
    for node in nodes:
        chain = [node]
        for op in _ROOT_MEAN_SQUARE[1:]:
            producer = makers.get(chain[-1].input[0]) if chain[-1].input else None
            if producer is None or producer.op_type != op:
                break
            chain.append(producer)
        if tuple(each.op_type for each in chain) == _ROOT_MEAN_SQUARE:
            names += [each.name for each in chain]
    return names


def _join_casts(model: Any) -> None:
    """Remove casts to half floats and back, and repeated casts, in place."""
    import onnx

    graph = model.graph
    nodes = list({node.name: node for node in graph.node}.values())  # the converter repeats nodes
    values = (*graph.input, *onnx.shape_inference.infer_shapes(model).graph.value_info)
    whole = {value.name for value in values if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT}
    kept = {value.name for value in graph.output}
    casts = [(node, node.attribute[0].i) for node in nodes if node.op_type == "Cast"]
    same = {node.output[0]: node.input[0] for node, to in casts if to == onnx.TensorProto.FLOAT16}
    for node, to in casts:
        if to == onnx.TensorProto.FLOAT:
            node.input[0] = same.get(node.input[0], node.input[0])
    joined = {
        node.output[0]: node.input[0]
        for node, to in casts
        if to == onnx.TensorProto.FLOAT and node.input[0] in whole and node.output[0] not in kept
    }
    for node in nodes:
        for place, name in enumerate(node.input):
            node.input[place] = joined.get(name, name)
    used = {name for node in nodes for name in node.input} | kept
    graph.ClearField("node")
    graph.node.extend(node for node in nodes if used & set(node.output) or node.op_type != "Cast")


def _part(whole: Any, early: Sequence[Any], late: Sequence[Any]) -> Any:
    """Return the nodes ``late`` as a separate model; constants shared with ``early`` are renamed."""
    import onnx

    needed = {name for node in late for name in node.input}
    shared = {name for node in early for name in node.input} & needed
    inferred = onnx.shape_inference.infer_shapes(whole).graph
    known = {value.name: value for value in (*whole.graph.input, *inferred.value_info)}
    computed = {name for node in early for name in node.output} | {value.name for value in whole.graph.input}
    constants = []
    for tensor in whole.graph.initializer:
        if tensor.name in needed:
            constants.append(onnx.TensorProto.FromString(tensor.SerializeToString()))
            constants[-1].name += "_half" if tensor.name in shared else ""
    renamed = {tensor.name for tensor in whole.graph.initializer} & shared
    for node in late:
        for number, name in enumerate(node.input):
            node.input[number] = f"{name}_half" if name in renamed else name
    graph = onnx.helper.make_graph(
        late,
        whole.graph.name,
        [known[name] for name in sorted(needed & computed)],
        whole.graph.output,
        constants,
    )
    return onnx.helper.make_model(graph, opset_imports=whole.opset_import)


def store_half(model: bytes) -> bytes:
    """Store weights as half floats, cast to float32 when the model is loaded: half the file size.

    The arithmetic does not change. Weights of ``round_weights`` keep their values; others are rounded.
    """
    import onnx
    from onnx import numpy_helper

    loaded = onnx.load_from_string(model)
    casts = []
    for tensor in loaded.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        weights = numpy_helper.to_array(tensor).astype(np.float16)
        name, stored = tensor.name, f"{tensor.name}_half"
        tensor.CopyFrom(numpy_helper.from_array(weights, stored))
        casts.append(
            onnx.helper.make_node("Cast", [stored], [name], f"{name}_cast", to=onnx.TensorProto.FLOAT)
        )
    nodes = [*casts, *loaded.graph.node]
    loaded.graph.ClearField("node")
    loaded.graph.node.extend(nodes)
    serialised: bytes = loaded.SerializeToString(deterministic=True)
    return serialised


def round_weights(network: nn.Module) -> None:
    """Round the weights of ``network`` to half floats, in place; biases and other vectors are kept."""
    import torch

    with torch.no_grad():
        for weight in network.parameters():
            if weight.dim() >= 2:
                weight.copy_(weight.half().float())


def quantise(model: bytes, calibration: Iterable[Inputs]) -> bytes:
    """Quantise a network to 8 bits: weights per channel, activations by their range on ``calibration``.

    Weights use 7 of the 8 bits: CPUs without VNNI add two products in 16 bits and saturate (``pmaddubsw``),
    and 2 x 255 x 64 fits. Therefore the file gives the same field on every CPU. Warps and their sampling
    coordinates stay in float32.

    Args:
        model: ONNX in float32.
        calibration: Network inputs by name, ``(1, 1, D, H, W)`` float32, of typical scans.
    """
    import onnx

    keep_onnxruntime_silent()
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    with tempfile.TemporaryDirectory() as folder, silence():
        source, target = Path(folder, "fp32.onnx"), Path(folder, "int8.onnx")
        source.write_bytes(model)
        quantize_static(
            str(source),
            str(target),
            _reader(calibration),
            quant_format=QuantFormat.QDQ,
            nodes_to_exclude=_warps(onnx.load_from_string(model).graph.node),
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return target.read_bytes()


def _reader(calibration: Iterable[Inputs]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._remaining = iter(calibration)

        def get_next(self) -> dict[str, Float32] | None:
            inputs = next(self._remaining, None)
            return None if inputs is None else dict(inputs)

    return Reader()
