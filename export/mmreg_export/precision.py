"""Lower precisions, written into the graph: typed half floats, and 8 bits with quantise and dequantise nodes.

So one file serves every backend, and none has to be told. Inputs and outputs stay float32.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .onnx import silence

if TYPE_CHECKING:
    from mmreg_rt.geometry import Float32

Inputs = Mapping[str, "Float32"]


def half(model: bytes) -> bytes:
    """The network with weights and arithmetic in half precision, float32 outside."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    converted = OnnxModel(convert_float_to_float16(onnx.load_from_string(model), keep_io_types=True))
    converted.topological_sort()  # the casts were put at the end
    made: bytes = converted.model.SerializeToString(deterministic=True)
    return made


def quantised(model: bytes, calibration: Iterable[Inputs]) -> bytes:
    """The network in 8 bits: weights per channel, activations by the range they take on ``calibration``.

    Args:
        model: ONNX in float32.
        calibration: Network inputs by name, ``(1, 1, D, H, W)`` float32, of scans that it is made for.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    with tempfile.TemporaryDirectory() as folder, silence():
        given, made = Path(folder, "fp32.onnx"), Path(folder, "int8.onnx")
        given.write_bytes(model)
        quantize_static(
            str(given),
            str(made),
            _reader(calibration),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
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
