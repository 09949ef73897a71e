"""Output shapes of arithmetic: elementwise operators, reductions, matrix products."""

from __future__ import annotations

import math
import string
from typing import TYPE_CHECKING

import numpy as np

from .schema import ELEMENTS
from .values import KNOWN_ELEMENTS, Call, Shape, Value, broadcast, dtype_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..geometry import Array

Result = tuple[list[Value], int]  # outputs, and work in multiply-adds
TRANSCENDENTAL = 16  # approximate multiply-adds of an exponential or a root

# Operators whose results are computed here if the operands are known.
_EVALUATED: dict[str, Callable[..., Array]] = {
    "Abs": np.abs,
    "Add": np.add,
    "And": np.logical_and,
    "Ceil": np.ceil,
    "Equal": np.equal,
    "Floor": np.floor,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Identity": np.array,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Not": np.logical_not,
    "Or": np.logical_or,
    "Reciprocal": np.reciprocal,
    "Relu": lambda x: np.maximum(x, 0),
    "Round": np.rint,
    "Sign": np.sign,
    "Sqrt": np.sqrt,
    "Sub": np.subtract,
    "Where": np.where,
    "Xor": np.logical_xor,
}
_COMPARED = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "IsInf", "IsNaN")
_REDUCED: dict[str, Callable[..., Array]] = {
    "ReduceMax": np.max,
    "ReduceMin": np.min,
    "ReduceProd": np.prod,
    "ReduceSum": np.sum,
}


def elementwise(call: Call) -> Result:
    """Elementwise operators, with broadcasting."""
    inputs = [value for value in call.inputs if value is not None]
    shape = broadcast(call, *(value.shape for value in inputs))
    dtype = "bool" if call.node.op in _COMPARED else inputs[-1 if call.node.op == "Where" else 0].dtype
    result = Value(dtype, shape, _evaluated(call, _EVALUATED.get(call.node.op), dtype, shape))
    if call.node.op == "Identity":
        result.content, result.within = inputs[0].content, inputs[0].within
    return [result], TRANSCENDENTAL * result.elements


def one_for_one(call: Call) -> Result:
    """Keep the shape of the first input; an axis, if named, must exist."""
    value = call[0]
    if "axis" in call.node.attributes:
        call.axis(call.attribute("axis"), len(value.shape))
    return [Value(value.dtype, value.shape)], TRANSCENDENTAL * value.elements


def along_axis(call: Call) -> Result:
    """Keep the shape: a softmax or norm along an existing axis."""
    call.axis(call.attribute("axis", -1), len(call[0].shape))
    if call.node.op == "LpNormalization":
        call.need(call.attribute("p", 2) in (1, 2), "has a norm other than 1 and 2")
    return one_for_one(call)


def quotient(call: Call) -> Result:
    """Div and Mod: whole numbers only by divisors known not to be 0 and not to overflow."""
    result, work = elementwise(call)
    whole = result[0].dtype not in ("float16", "bfloat16", "float32", "float64")
    if call.node.op == "Mod":
        call.need(whole or call.attribute("fmod", 0) == 1, "has Mod of floats without fmod")
    if whole:
        divisors = call[1].range()
        safe = divisors is not None and (divisors[0] > 0 or divisors[1] < -1)
        call.need(safe, "divides whole numbers by values that may be 0 or -1")
    kind = call.node.op, whole, bool(call.attribute("fmod", 0))
    result[0].content = _evaluated(call, _QUOTIENTS[kind], result[0].dtype, result[0].shape)
    return result, work


def _truncated(dividend: Array, divisor: Array) -> Array:
    """Divide and round towards 0, as C does."""
    result: Array = np.sign(dividend) * np.sign(divisor) * (np.abs(dividend) // np.abs(divisor))
    return result


# by operator, whole numbers or not, and whether the remainder has the sign of the dividend
_QUOTIENTS: dict[tuple[str, bool, bool], Callable[..., Array]] = {
    ("Div", True, False): _truncated,
    ("Div", False, False): np.divide,
    ("Mod", True, False): np.mod,
    ("Mod", True, True): np.fmod,
    ("Mod", False, True): np.fmod,
}


def extremes(call: Call) -> Result:
    """Max, Min, Mean, Sum of several arrays."""
    result, work = elementwise(call)
    function: Callable[..., Array] | None = None
    if call.node.op in ("Max", "Min"):
        pair = np.maximum if call.node.op == "Max" else np.minimum
        function = lambda *arrays: _folded(pair, arrays)  # noqa: E731 (two words of the line above)
    result[0].content = _evaluated(call, function, result[0].dtype, result[0].shape)
    return result, work * len(call.inputs)


def _folded(pair: np.ufunc, arrays: tuple[Array, ...]) -> Array:
    result = arrays[0]
    for array in arrays[1:]:
        result = pair(result, array)
    return result


def clipped(call: Call) -> Result:
    """Clip: its limits are single numbers."""
    value, limits = call[0], [call.optional(1), call.optional(2)]
    call.need(all(limit is None or limit.elements == 1 for limit in limits), "has limits of several numbers")
    result = Value(value.dtype, value.shape)
    low, high = (None if limit is None else limit.range() for limit in limits)
    if value.dtype in ("int32", "int64") and low is not None and high is not None:
        result.within = (min(low[0], high[0]), high[1])
    return [result], value.elements


def shifted(call: Call) -> Result:
    """BitShift: by fewer bits than the type has."""
    result, work = elementwise(call)
    bits = call[1].range()
    call.need(call[0].dtype == "uint8", "shifts elements other than uint8")
    call.need(bits is not None and bits[0] >= 0 and bits[1] < 8, "shifts by other than 0 to 7 bits")
    return result, work


def scaled_by_slope(call: Call) -> Result:
    """PRelu: the slope is broadcast to the input, not the other way."""
    call.need(broadcast(call, call[0].shape, call[1].shape) == call[0].shape, "has a slope larger than x")
    return [Value(call[0].dtype, call[0].shape)], call[0].elements


def cast(call: Call) -> Result:
    """Cast and CastLike."""
    value = call[0]
    like = call.node.op == "CastLike"
    dtype = call[1].dtype if like else ELEMENTS[call.attribute("to")][0]
    result = Value(dtype, value.shape, _converted(value.small, dtype))
    if result.content is None and dtype in ("int32", "int64") and value.dtype in ("int32", "int64"):
        result.within = value.within
    return [result], value.elements


def _converted(content: Array | None, dtype: str) -> Array | None:
    to = dtype_of(dtype)
    if content is None or to is None:
        return None
    with np.errstate(all="ignore"):
        return content.astype(to)


def reduced(call: Call) -> Result:
    """Reductions over axes, by an attribute before operator set 18."""
    value, rank = call[0], len(call[0].shape)
    axes = [*call.attribute("axes", ())]
    if call.optional(1) is not None:
        axes = call.numbers(1)
    if not axes and call.attribute("noop_with_empty_axes", 0):
        return [Value(value.dtype, value.shape)], value.elements
    axes = call.axes(axes, rank) or list(range(rank))
    call.need(value.elements > 0, "reduces an empty input")
    keep = bool(call.attribute("keepdims", 1))
    shape = tuple(1 if axis in axes else n for axis, n in enumerate(value.shape) if keep or axis not in axes)
    result = Value(value.dtype, shape)
    function = _REDUCED.get(call.node.op)
    if function is not None and value.small is not None:
        result.content = _as(function(value.small, axis=tuple(axes), keepdims=keep), value.dtype, shape)
    return [result], TRANSCENDENTAL * value.elements


def extreme_places(call: Call) -> Result:
    """ArgMax and ArgMin: indices along an axis."""
    value = call[0]
    axis = call.axis(call.attribute("axis", 0), len(value.shape))
    call.need(value.elements > 0, "has an empty input")
    keep = call.attribute("keepdims", 1)
    shape = (*value.shape[:axis], *((1,) if keep else ()), *value.shape[axis + 1 :])
    return [Value("int64", shape, within=(0, value.shape[axis] - 1))], value.elements


def largest(call: Call) -> Result:
    """TopK: no more elements than the axis has."""
    value = call[0]
    axis, count = call.axis(call.attribute("axis", -1), len(value.shape)), call.number(1)
    call.need(1 <= count <= value.shape[axis], f"takes the first {count} of {value.shape[axis]}")
    shape = (*value.shape[:axis], count, *value.shape[axis + 1 :])
    places = Value("int64", shape, within=(0, value.shape[axis] - 1))
    return [Value(value.dtype, shape), places], 32 * value.elements


def running_sum(call: Call) -> Result:
    """CumSum along a known axis."""
    call.axis(call.number(1), len(call[0].shape))
    return [Value(call[0].dtype, call[0].shape)], call[0].elements


def product(call: Call) -> Result:
    """MatMul: of matrices, stacks of them, or vectors."""
    left, right = call[0].shape, call[1].shape
    call.need(len(left) >= 1 and len(right) >= 1, "multiplies a single number")
    rows, columns = left if len(left) > 1 else (1, *left), right if len(right) > 1 else (*right, 1)
    call.need(rows[-1] == columns[-2] and rows[-1] > 0, "multiplies matrices that do not fit")
    stack = broadcast(call, rows[:-2], columns[:-2]) if rows[:-2] or columns[:-2] else ()
    result = (*stack, *((rows[-2],) if len(left) > 1 else ()), *((columns[-1],) if len(right) > 1 else ()))
    work = math.prod(stack) * rows[-2] * rows[-1] * columns[-1]
    return [Value(call[0].dtype, result)], work


def gemm(call: Call) -> Result:
    """Gemm: the product of two matrices, plus a third input broadcast to it."""
    left, right, added = call[0].shape, call[1].shape, call.optional(2)
    call.need(len(left) == 2 and len(right) == 2, "multiplies inputs other than matrices")
    rows, inner = left[::-1] if call.attribute("transA", 0) else left
    other, columns = right[::-1] if call.attribute("transB", 0) else right
    call.need(inner == other and inner > 0, "multiplies matrices that do not fit")
    shape = rows, columns
    if added is not None:
        call.need(broadcast(call, shape, added.shape) == shape, "adds an input larger than the product")
    return [Value(call[0].dtype, shape)], rows * columns * inner


def einsum(call: Call) -> Result:
    """Einsum: letters and at most one arrow, no letter twice in one term."""
    equation = call.attribute("equation").replace(" ", "")
    terms, arrow, out = equation.partition("->")
    named = terms.split(",")
    letters = set(string.ascii_letters) | {","}
    call.need(len(equation) < 200 and set(terms + out) <= letters, "has an equation of other than letters")
    call.need(len(named) == len(call.inputs), "has an equation of another number of inputs")
    extents: dict[str, int] = {}
    for term, value in zip(named, call.inputs, strict=True):
        shape = value.shape if value is not None else ()
        fits = len(term) == len(shape) == len(set(term)) and all(
            extents.setdefault(letter, n) == n for letter, n in zip(term, shape, strict=True)
        )
        call.need(fits, f"has the equation {equation[:80]!r}, which does not fit")
    if not arrow:
        out = "".join(sorted(letter for letter in extents if terms.count(letter) == 1))
    call.need(len(set(out)) == len(out) and set(out) <= extents.keys(), "has an equation with an odd end")
    result = Value(call[0].dtype, tuple(extents[letter] for letter in out))
    return [result], math.prod(extents.values())


def _evaluated(call: Call, function: Callable[..., Array] | None, dtype: str, shape: Shape) -> Array | None:
    """Return the elements of the result, if the operands are known and few."""
    if function is None or math.prod(shape) > KNOWN_ELEMENTS:
        return None
    operands = [value.small for value in call.inputs if value is not None]
    if any(operand is None for operand in operands):
        return None
    with np.errstate(all="ignore"):
        return _as(function(*operands), dtype, shape)


def _as(values: Array, dtype: str, shape: Shape) -> Array | None:
    to = dtype_of(dtype)
    if to is None:
        return None
    with np.errstate(all="ignore"):
        return np.asarray(values).astype(to).reshape(shape)
