"""The supported operators with their inputs, outputs and attributes, after the ONNX standard.

A row is name, types, numbers of inputs and of outputs, then the attributes. Where the standard allows more
than networks need, such as training, strings or optional outputs, the row is narrower.

Types, one letter for each input, the last for all that follow: ``a`` anything, ``n`` numbers, ``f`` floats,
``b`` bool, ``i`` int32 or int64, ``s`` float32, ``q`` int8, uint8 or int32, ``x`` anything, ``m`` numbers.
Inputs with the same letter of ``anfq`` have the same type. An ``=`` before a letter: the elements of this
input must be known before the network runs.

Attributes are ``name:kind``. ``!``: required. ``@18``: from that operator set on; ``<18``: before it.
Kinds: ``bit`` 0 or 1; ``zero``; ``count`` from 1; ``axis``; ``real`` a finite number; ``rate`` the same, not
negative; ``counts``, ``extents`` (from 0) and ``axes`` lists; ``type`` of elements; ``tensor``; ``reals``;
``ints``; ``int``; anything else, one of these words.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from ..errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .values import Stored

    Content = int | float | str | tuple[int, ...] | tuple[float, ...] | Stored  # of an attribute

# TensorProto.DataType -> name, bytes of an element in raw data, field that holds the elements otherwise
ELEMENTS = {
    1: ("float32", 4, "float_data"),
    2: ("uint8", 1, "int32_data"),
    3: ("int8", 1, "int32_data"),
    6: ("int32", 4, "int32_data"),
    7: ("int64", 8, "int64_data"),
    9: ("bool", 1, "int32_data"),
    10: ("float16", 2, "int32_data"),
    11: ("float64", 8, "double_data"),
    16: ("bfloat16", 2, "int32_data"),
}
FLOATS = frozenset(("float16", "bfloat16", "float32", "float64"))
INTEGERS = frozenset(("int8", "uint8", "int32", "int64"))
TYPES = {
    "a": FLOATS | INTEGERS | {"bool"},
    "n": FLOATS | INTEGERS,
    "f": FLOATS,
    "b": frozenset(("bool",)),
    "i": frozenset(("int32", "int64")),
    "s": frozenset(("float32",)),
    "q": frozenset(("int8", "uint8", "int32")),
}
TYPES |= {"x": TYPES["a"], "m": TYPES["n"]}
ALIKE = "anfq"
MANY = 64  # inputs or outputs of one node
LARGEST = (1 << 31) - 1  # of an attribute: libraries count in 32 bits
MAX_AXES = 8

_REDUCE = "=i 1-2@18 1 axes:axes<18 keepdims:bit noop_with_empty_axes:bit@18"
_SPATIAL = "auto_pad:NOTSET|SAME_UPPER|SAME_LOWER|VALID dilations:counts pads:extents strides:counts"
_POOL = f"{_SPATIAL} kernel_shape!:counts ceil_mode:bit"
_TABLE = f"""
    Abs n 1 1
    Add n 2 1
    And b 2 1
    ArgMax n 1 1 axis:axis keepdims:bit select_last_index:bit
    ArgMin n 1 1 axis:axis keepdims:bit select_last_index:bit
    Atan f 1 1
    Attention@23 fffx 3-4 1 is_causal:bit kv_num_heads:count q_num_heads:count \
scale:real softcap:rate softmax_precision:type
    AveragePool f 1 1 {_POOL.replace("dilations:counts", "dilations:counts@19")} count_include_pad:bit
    BatchNormalization f 5 1 epsilon:rate momentum:real training_mode:zero
    BitShift n=m 2 1 direction!:LEFT|RIGHT
    Cast a 1 1 to!:type saturate:bit@19
    CastLike ax 2 1 saturate:bit@19
    Ceil f 1 1
    Celu f 1 1 alpha:real
    Clip n 1-3 1
    Concat a 1-{MANY} 1 axis!:axis
    Constant a 0 1 value:tensor value_float:real value_floats:reals value_int:int value_ints:ints
    ConstantOfShape =i 1 1 value:tensor
    Conv f 2-3 1 {_SPATIAL} kernel_shape:counts group:count
    ConvTranspose f 2-3 1 {_SPATIAL} kernel_shape:counts group:count \
output_padding:extents output_shape:counts
    Cos f 1 1
    CumSum n=i 2 1 exclusive:bit reverse:bit
    DepthToSpace a 1 1 blocksize!:count mode:DCR|CRD
    DequantizeLinear q=f=q 2-3 1 axis:axis block_size:zero@21 output_dtype:zero@23
    Div n 2 1
    Einsum n 1-4 1 equation!:equation
    Elu f 1 1 alpha:real
    Equal a 2 1
    Erf f 1 1
    Exp f 1 1
    Expand a=i 2 1
    Flatten a 1 1 axis:axis
    Floor f 1 1
    Gather ai 2 1 axis:axis
    GatherElements ai 2 1 axis:axis
    GatherND ai 2 1 batch_dims:extent
    Gelu@20 f 1 1 approximate:none|tanh
    Gemm n 2-3 1 alpha:real beta:real transA:bit transB:bit
    GlobalAveragePool f 1 1
    GlobalMaxPool f 1 1
    Greater n 2 1
    GreaterOrEqual n 2 1
    GridSample fm 2 1 align_corners:bit mode:bilinear|nearest|bicubic<20 mode:linear|nearest|cubic@20 \
padding_mode:zeros|border|reflection
    GroupNormalization@18 f 3 1 epsilon:rate num_groups!:count stash_type:type@21
    HardSigmoid f 1 1 alpha:real beta:real
    HardSwish f 1 1
    Identity a 1 1
    InstanceNormalization f 3 1 epsilon:rate
    IsInf f 1 1 detect_negative:bit detect_positive:bit
    IsNaN f 1 1
    LayerNormalization f 2-3 1 axis:axis epsilon:rate stash_type:type
    LeakyRelu f 1 1 alpha:real
    Less n 2 1
    LessOrEqual n 2 1
    Log f 1 1
    LogSoftmax f 1 1 axis:axis
    LpNormalization f 1 1 axis:axis p:count
    MatMul n 2 1
    Max n 1-{MANY} 1
    MaxPool n 1 1 {_POOL} storage_order:zero
    Mean f 1-{MANY} 1
    MeanVarianceNormalization f 1 1 axes:axes
    Min n 1-{MANY} 1
    Mish@18 f 1 1
    Mod n 2 1 fmod:bit
    Mul n 2 1
    Neg n 1 1
    Not b 1 1
    Or b 2 1
    Pad a=ia=i 2-3,18:2-4 1 mode:constant|reflect|edge<19 mode:constant|reflect|edge|wrap@19
    Pow nm 2 1
    PRelu n 2 1
    QuantizeLinear f=f=q 2-3 1 axis:axis saturate:bit@19 block_size:zero@21 \
output_dtype:type@21 precision:zero@23
    Range =n 3 1
    Reciprocal f 1 1
    ReduceL1 n{_REDUCE}
    ReduceL2 n{_REDUCE}
    ReduceLogSumExp f{_REDUCE}
    ReduceMax n{_REDUCE}
    ReduceMean n{_REDUCE}
    ReduceMin n{_REDUCE}
    ReduceProd n{_REDUCE}
    ReduceSum n=i 1-2 1 keepdims:bit noop_with_empty_axes:bit
    ReduceSumSquare n{_REDUCE}
    Relu n 1 1
    Reshape a=i 2 1 allowzero:bit
    Resize n=x=s=i 1-4 1 antialias:bit@18 axes:axes@18 keep_aspect_ratio_policy:stretch@18 \
cubic_coeff_a:real \
coordinate_transformation_mode:half_pixel|pytorch_half_pixel|align_corners|asymmetric|half_pixel_symmetric \
exclude_outside:bit extrapolation_value:real mode:nearest|linear|cubic \
nearest_mode:round_prefer_floor|round_prefer_ceil|floor|ceil
    RMSNormalization@23 f 2 1 axis:axis epsilon:rate stash_type:type
    RotaryEmbedding@23 fffi 3-4 1 interleaved:bit num_heads:count rotary_embedding_dim:extent
    Round f 1 1
    ScatterElements aia 3 1 axis:axis reduction:none|add|mul<18 reduction:none|add|mul|min|max@18
    ScatterND aia 3 1 reduction:none|add|mul<18 reduction:none|add|mul|min|max@18
    Selu f 1 1 alpha:real gamma:real
    Shape a 1 1 start:axis end:axis
    Sigmoid f 1 1
    Sign n 1 1
    Sin f 1 1
    Size a 1 1
    Slice a=i 3-5 1
    Softmax f 1 1 axis:axis
    Softplus f 1 1
    Softsign f 1 1
    SpaceToDepth a 1 1 blocksize!:count
    Split a=i 1-2 1-{MANY} axis:axis num_outputs:count@18
    Sqrt f 1 1
    Squeeze a=i 1-2 1
    Sub n 2 1
    Sum f 1-{MANY} 1
    Tan f 1 1
    Tanh f 1 1
    ThresholdedRelu f 1 1 alpha:real
    Tile a=i 2 1
    TopK n=i 2 2 axis:axis largest:bit sorted:bit
    Transpose a 1 1 perm:extents
    Trilu a=i 1-2 1 upper:bit
    Unsqueeze a=i 2 1
    Where baa 3 1
    Xor b 2 1
"""


@dataclass(frozen=True)
class Attribute:
    """Allowed values of an attribute, in operator sets from ``since`` up to, not including, ``until``."""

    kind: str
    needed: bool
    since: int
    until: int


@dataclass(frozen=True)
class Operator:
    """A row of the table."""

    name: str
    since: int
    types: tuple[str, ...]
    known: tuple[bool, ...]  # which inputs must be known before anything runs
    inputs: tuple[tuple[int, int, int], ...]  # operator set from which on, fewest, most
    outputs: tuple[int, int]
    attributes: Mapping[str, tuple[Attribute, ...]]

    def type_of(self, place: int) -> str:
        """Return the type letter of an input."""
        return self.types[min(place, len(self.types) - 1)]

    def must_be_known(self, place: int) -> bool:
        """Return whether the elements of an input must be known before anything runs."""
        return self.known[min(place, len(self.known) - 1)]

    def arity(self, opset: int) -> tuple[int, int]:
        """Return the fewest and most inputs."""
        return next((low, high) for since, low, high in reversed(self.inputs) if since <= opset)


def _range(text: str) -> tuple[int, int]:
    low, _, high = text.partition("-")
    return int(low), int(high or low)


def _arities(text: str) -> tuple[tuple[int, int, int], ...]:
    """Parse numbers of inputs: ``1-2@18`` is one before operator set 18; ``2-3,18:2-4`` names both."""
    if "@" in text:
        whole, _, since = text.partition("@")
        low, high = _range(whole)
        return (0, low, low), (int(since), low, high)
    arities = []
    for part in text.split(","):
        since, _, numbers = part.rpartition(":")
        arities.append((int(since or 0), *_range(numbers)))
    return tuple(arities)


def _attribute(text: str) -> tuple[str, Attribute]:
    match = re.fullmatch(r"(\w+)(!?):([^@<]+)(@\d+)?(<\d+)?", text)
    assert match, text
    name, needed, kind, since, until = match.groups()
    return name, Attribute(kind, bool(needed), int((since or "@0")[1:]), int((until or "<99")[1:]))


def _row(line: str) -> Operator:
    named, types, inputs, outputs, *attributes = line.split()
    name, _, since = named.partition("@")
    letters = re.findall(r"(=?)(\w)", types)
    rows: dict[str, tuple[Attribute, ...]] = {}
    for text in attributes:
        attribute, kind = _attribute(text)
        rows[attribute] = (*rows.get(attribute, ()), kind)
    return Operator(
        name,
        int(since or 0),
        tuple(letter for _, letter in letters),
        tuple(bool(mark) for mark, _ in letters),
        _arities(inputs),
        _range(outputs),
        rows,
    )


OPERATORS: Mapping[str, Operator] = {
    row.name: row for row in map(_row, filter(None, map(str.strip, _TABLE.splitlines())))
}


def _whole(low: int, high: int) -> Callable[[object], bool]:
    return lambda value: isinstance(value, int) and low <= value <= high


def _list(low: int, high: int) -> Callable[[object], bool]:
    return lambda value: (
        isinstance(value, tuple)
        and len(value) <= 2 * MAX_AXES
        and all(isinstance(n, int) and low <= n <= high for n in value)
    )


# kind -> AttributeProto.type, check of its value, and allowed values in words
_KINDS: dict[str, tuple[int, Callable[[object], bool], str]] = {
    "bit": (2, _whole(0, 1), "0 or 1"),
    "zero": (2, _whole(0, 0), "0"),
    "count": (2, _whole(1, LARGEST), "a whole number from 1"),
    "extent": (2, _whole(0, LARGEST), "a whole number from 0"),
    "axis": (2, _whole(-MAX_AXES, MAX_AXES), f"an axis of at most {MAX_AXES}"),
    "int": (2, lambda value: isinstance(value, int), "a whole number"),
    "type": (2, lambda value: value in ELEMENTS, "a type of elements that is accepted"),
    "real": (1, lambda value: isinstance(value, float) and math.isfinite(value), "a finite number"),
    "rate": (
        1,
        lambda value: isinstance(value, float) and math.isfinite(value) and value >= 0,
        "a number not below 0",
    ),
    "equation": (3, lambda value: isinstance(value, str), "a text"),
    "tensor": (4, lambda _: True, "a tensor"),
    "reals": (6, lambda value: isinstance(value, tuple), "numbers"),
    "ints": (7, lambda value: isinstance(value, tuple), "whole numbers"),
    "counts": (7, _list(1, LARGEST), f"at most {2 * MAX_AXES} whole numbers from 1"),
    "extents": (7, _list(0, LARGEST), f"at most {2 * MAX_AXES} whole numbers from 0"),
    "axes": (7, _list(-MAX_AXES, MAX_AXES), f"at most {2 * MAX_AXES} axes"),
}
_TEXT = 3


def check_node(op: str, opset: int, inputs: Sequence[str], outputs: Sequence[str]) -> Operator:
    """Check the numbers of inputs and outputs of a node, and return the row of its operator.

    Raises:
        BundleError: They do not match the standard, or the operator set does not have the operator.
    """
    row = OPERATORS[op]
    if opset < row.since:
        refuse(op, f"in operator set {opset}; it is one of set {row.since}")
    low, high = row.arity(opset)
    if not low <= len(inputs) <= high or not all(inputs[:low]):
        refuse(op, f"with {sum(map(bool, inputs))} inputs; it takes {_numbers(low, high)}")
    if not row.outputs[0] <= len(outputs) <= row.outputs[1] or not all(outputs):
        refuse(op, f"with {sum(map(bool, outputs))} outputs; {_numbers(*row.outputs)} can be used")
    return row


def check_attributes(op: str, opset: int, attributes: Mapping[str, tuple[int, Content]]) -> None:
    """Raise for attributes that the operator does not have, or with values that are not allowed.

    Args:
        op: Name of the operator.
        opset: Operator set of the file.
        attributes: By name, ``AttributeProto.type`` and value.

    Raises:
        BundleError: There is such an attribute, or one is missing.
    """
    rows = {
        name: next((one for one in kinds if one.since <= opset < one.until), None)
        for name, kinds in OPERATORS[op].attributes.items()
    }
    for name, (kind, value) in attributes.items():
        row = rows.get(name)
        if row is None:
            refuse(op, f"with the attribute {name[:80]!r}, which it does not have in operator set {opset}")
        expected, allowed, words = _kind(row.kind)
        if kind != expected or not allowed(value):
            refuse(op, f"with {name} = {str(value)[:80]}; it must be {words}")
    for name, row in rows.items():
        if row is not None and row.needed and name not in attributes:
            refuse(op, f"without the attribute {name}")
    if op == "Constant" and len(attributes) != 1:
        refuse(op, f"with {len(attributes)} values; it has one")


def _kind(kind: str) -> tuple[int, Callable[[object], bool], str]:
    if kind in _KINDS:
        return _KINDS[kind]
    words = kind.split("|")
    return _TEXT, lambda value: value in words, f"one of {', '.join(words)}"


def _numbers(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"


def refuse(op: str, fault: str) -> NoReturn:
    """Raise for a node that does not follow the standard, or is not supported.

    Raises:
        BundleError: Always.
    """
    raise BundleError(
        "MMREG_E_ONNX_NODE",
        f"The ONNX file has a node {op} {fault}. Check the network with onnx.checker, and export it again.",
    )
