"""Lower precisions, written into the graph: typed half floats, and 8 bits with quantise and dequantise nodes.

So one file serves every backend, and none has to be told. Inputs and outputs stay float32.
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
_ROOT_MEAN_SQUARE = ("Reciprocal", "Sqrt", "Add", "ReduceMean", "Pow")  # from its end, by first inputs
MULTIPLYING = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def half(model: bytes) -> bytes:
    """The network with weights and arithmetic in half precision, float32 outside.

    What comes before the first convolution stays in float32: descriptors are small differences of
    intensities and quotients of them, which half floats cannot hold. So do warps and the places that they
    sample: half floats between 128 and 256 are an eighth apart. And so do roots of mean squares: language
    layers have activations above 256, whose squares are none of the half floats.
    """
    import onnx

    keep_onnxruntime_silent()
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    whole = onnx.load_from_string(model)
    before, behind = _split(whole.graph)
    part = convert_float_to_float16(
        _part(whole, before, behind),
        keep_io_types=True,
        node_block_list=[*_warps(behind), *_root_mean_squares(behind)],
    )
    _join_casts(part)
    used = {name for node in before for name in node.input}
    constants = [tensor for tensor in whole.graph.initializer if tensor.name in used]
    for field, values in (
        ("node", [*before, *part.graph.node]),
        ("initializer", [*constants, *part.graph.initializer]),
    ):
        whole.graph.ClearField(field)
        getattr(whole.graph, field).extend(values)
    converted = OnnxModel(whole)
    converted.topological_sort()  # the casts were put at the end
    made: bytes = converted.model.SerializeToString(deterministic=True)
    return made


def _split(graph: Any) -> tuple[list[Any], list[Any]]:
    """The nodes that no convolution leads to, and the others."""
    reached: set[str] = set()
    before, behind = [], []
    for node in graph.node:  # in topological order
        if node.op_type == "Conv" or reached.intersection(node.input):
            reached.update(node.output)
            behind.append(node)
        else:
            before.append(node)
    return before, behind


def _warps(nodes: Sequence[Any]) -> list[str]:
    """Names of the warps and of what works out their places, back to where a layer multiplies."""
    makers = {name: node for node in nodes for name in node.output}
    found: dict[str, Any] = {node.name: node for node in nodes if node.op_type == "GridSample"}
    left = [node.input[1] for node in found.values()]
    while left:
        node = makers.get(left.pop())
        if node is not None and node.op_type not in MULTIPLYING and node.name not in found:
            found[node.name] = node
            left += node.input
    return list(found)


def _root_mean_squares(nodes: Sequence[Any]) -> list[str]:
    """Names of the squares that are averaged, and of what leads from there to one over their root."""
    makers = {name: node for node in nodes for name in node.output}
    found = []
    for node in nodes:
        chain = [node]
        for op in _ROOT_MEAN_SQUARE[1:]:
            before = makers.get(chain[-1].input[0]) if chain[-1].input else None
            if before is None or before.op_type != op:
                break
            chain.append(before)
        if tuple(each.op_type for each in chain) == _ROOT_MEAN_SQUARE:
            found += [each.name for each in chain]
    return found


def _join_casts(model: Any) -> None:
    """Where a value is cast to half floats and back, take it as it was; each cast once: in place."""
    import onnx

    graph = model.graph
    nodes = list({node.name: node for node in graph.node}.values())  # the converter repeats itself
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


def _part(whole: Any, before: Sequence[Any], behind: Sequence[Any]) -> Any:
    """The nodes ``behind`` as a model of their own; constants that ``before`` has too get another name."""
    import onnx

    needed = {name for node in behind for name in node.input}
    shared = {name for node in before for name in node.input} & needed
    inferred = onnx.shape_inference.infer_shapes(whole).graph
    known = {value.name: value for value in (*whole.graph.input, *inferred.value_info)}
    made = {name for node in before for name in node.output} | {value.name for value in whole.graph.input}
    constants = []
    for tensor in whole.graph.initializer:
        if tensor.name in needed:
            constants.append(onnx.TensorProto.FromString(tensor.SerializeToString()))
            constants[-1].name += "_half" if tensor.name in shared else ""
    renamed = {tensor.name for tensor in whole.graph.initializer} & shared
    for node in behind:
        for number, name in enumerate(node.input):
            node.input[number] = f"{name}_half" if name in renamed else name
    graph = onnx.helper.make_graph(
        behind,
        whole.graph.name,
        [known[name] for name in sorted(needed & made)],
        whole.graph.output,
        constants,
    )
    return onnx.helper.make_model(graph, opset_imports=whole.opset_import)


def half_stored(model: bytes) -> bytes:
    """The same network, its weights kept as half floats and cast when it is loaded: half the size.

    Arithmetic stays as it is. Nothing changes for weights that ``rounded`` made; others are rounded.
    """
    import onnx
    from onnx import numpy_helper

    read = onnx.load_from_string(model)
    casts = []
    for tensor in read.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        weights = numpy_helper.to_array(tensor).astype(np.float16)
        name, stored = tensor.name, f"{tensor.name}_half"
        tensor.CopyFrom(numpy_helper.from_array(weights, stored))
        casts.append(
            onnx.helper.make_node("Cast", [stored], [name], f"{name}_cast", to=onnx.TensorProto.FLOAT)
        )
    nodes = [*casts, *read.graph.node]
    read.graph.ClearField("node")
    read.graph.node.extend(nodes)
    made: bytes = read.SerializeToString(deterministic=True)
    return made


def rounded(network: nn.Module) -> None:
    """Round the weights of ``network`` to half floats, in place; biases and other vectors stay."""
    import torch

    with torch.no_grad():
        for weight in network.parameters():
            if weight.dim() >= 2:
                weight.copy_(weight.half().float())


def quantised(model: bytes, calibration: Iterable[Inputs]) -> bytes:
    """The network in 8 bits: weights per channel, activations by the range they take on ``calibration``.

    Weights take 7 of the 8 bits: CPUs without VNNI add two products in 16 bits and saturate (``pmaddubsw``),
    and 2 x 255 x 64 fits. So the file gives the same field on every CPU. Warps and the places that they
    sample stay in float32.

    Args:
        model: ONNX in float32.
        calibration: Network inputs by name, ``(1, 1, D, H, W)`` float32, of scans that it is made for.
    """
    import onnx

    keep_onnxruntime_silent()
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    with tempfile.TemporaryDirectory() as folder, silence():
        given, made = Path(folder, "fp32.onnx"), Path(folder, "int8.onnx")
        given.write_bytes(model)
        quantize_static(
            str(given),
            str(made),
            _reader(calibration),
            quant_format=QuantFormat.QDQ,
            nodes_to_exclude=_warps(onnx.load_from_string(model).graph.node),
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return made.read_bytes()


def _reader(calibration: Iterable[Inputs]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._left = iter(calibration)

        def get_next(self) -> dict[str, Float32] | None:
            found = next(self._left, None)
            return None if found is None else dict(found)

    return Reader()
