"""Output shapes of operators that move elements (slices, joins, gathers, pads) and of shapes themselves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .values import KNOWN_ELEMENTS, Call, Shape, Stored, Value, broadcast, dtype_of

if TYPE_CHECKING:
    from ..geometry import Array

Result = tuple[list[Value], int]
RANK = 8
LARGEST = (1 << 31) - 1


def constant(call: Call) -> Result:
    """Constant: a tensor, numbers or one number."""
    ((name, content),) = call.node.attributes.items()
    if isinstance(content, Stored):
        return [Value(content.dtype, content.shape, content.read)], 0
    array = np.asarray(content, np.int64 if name.startswith("value_int") else np.float32)
    return [Value(str(array.dtype), array.shape, array)], 0


def filled(call: Call) -> Result:
    """ConstantOfShape: a known shape, one number everywhere."""
    shape, filling = tuple(call.numbers(0)), call.attribute("value")
    call.need(len(shape) <= RANK and all(0 <= n <= LARGEST for n in shape), f"has the shape {shape[:RANK]}")
    call.need(filling is None or math.prod(filling.shape) == 1, "fills with several numbers")
    result = Value("float32" if filling is None else filling.dtype, shape)
    if result.elements <= KNOWN_ELEMENTS and dtype_of(result.dtype) is not None:
        number = 0 if filling is None else filling.read().reshape(-1)[0]
        result.content = np.full(shape, number, dtype_of(result.dtype))
    return [result], result.elements


def counted(call: Call) -> Result:
    """Range: its three numbers are known."""
    ends = [call[place].known for place in range(3)]
    call.need(all(end is not None and end.size == 1 for end in ends), "counts between unknown numbers")
    start, stop, step = (float(end.reshape(-1)[0]) for end in ends if end is not None)
    finite = all(math.isfinite(number) and abs(number) < 1 << 53 for number in (start, stop, step))
    call.need(finite and step != 0, f"counts from {start} to {stop} by {step}")
    count = max(0, math.ceil((stop - start) / step))
    call.need(count <= LARGEST, f"counts {count} numbers")
    result = Value(call[0].dtype, (count,))
    if count <= KNOWN_ELEMENTS and dtype_of(result.dtype) is not None:
        result.content = (start + step * np.arange(count)).astype(dtype_of(result.dtype))
    return [result], count


def shape_of(call: Call) -> Result:
    """Shape: the input's, or a part of it."""
    shape = call[0].shape
    start, end = call.attribute("start", 0), call.attribute("end", len(shape))
    content = np.asarray(shape[start:end], np.int64)
    return [Value("int64", content.shape, content)], 0


def size_of(call: Call) -> Result:
    """Size: the number of elements."""
    return [Value("int64", (), np.asarray(call[0].elements, np.int64))], 0


def reshaped(call: Call) -> Result:
    """Reshape: 0 keeps an extent, one -1 is computed."""
    value, target = call[0], call.numbers(1)
    keep = not call.attribute("allowzero", 0)
    call.need(len(target) <= RANK and all(-1 <= n <= LARGEST for n in target), f"asks for {target[:RANK]}")
    call.need(target.count(-1) <= 1, "leaves two extents open")
    call.need(
        not keep or all(n or at < len(value.shape) for at, n in enumerate(target)), "keeps what is not there"
    )
    shape = [value.shape[at] if n == 0 and keep else n for at, n in enumerate(target)]
    rest = math.prod(n for n in shape if n != -1)
    if -1 in shape:
        call.need(rest > 0 and value.elements % rest == 0, f"asks for {target}")
        shape[shape.index(-1)] = value.elements // rest
    call.need(math.prod(shape) == value.elements, f"asks for {target}")
    return [_moved(value, tuple(shape))], 0


def _moved(value: Value, shape: Shape) -> Value:
    """Return the same elements in another shape."""
    content = value.small
    return Value(value.dtype, shape, None if content is None else content.reshape(shape), value.within)


def flattened(call: Call) -> Result:
    """Flatten: to two axes."""
    shape = call[0].shape
    axis = call.attribute("axis", 1)
    call.need(-len(shape) <= axis <= len(shape), f"names axis {axis}")
    axis += len(shape) if axis < 0 else 0
    return [_moved(call[0], (math.prod(shape[:axis]), math.prod(shape[axis:])))], 0


def squeezed(call: Call) -> Result:
    """Squeeze: axes of one element."""
    shape = call[0].shape
    all_ = [axis for axis, n in enumerate(shape) if n == 1]
    axes = all_ if call.optional(1) is None else call.axes(call.numbers(1), len(shape))
    call.need(all(shape[axis] == 1 for axis in axes), f"drops the axes {axes}")
    return [_moved(call[0], tuple(n for axis, n in enumerate(shape) if axis not in axes))], 0


def unsqueezed(call: Call) -> Result:
    """Unsqueeze: new axes of one element."""
    new_axes = call.numbers(1)
    rank = len(call[0].shape) + len(new_axes)
    call.need(rank <= RANK, f"makes {rank} axes")
    axes, left = call.axes(new_axes, rank), iter(call[0].shape)
    return [_moved(call[0], tuple(1 if axis in axes else next(left) for axis in range(rank)))], 0


def transposed(call: Call) -> Result:
    """Transpose: every axis once."""
    value, rank = call[0], len(call[0].shape)
    order = list(call.attribute("perm", range(rank)[::-1]))
    call.need(sorted(order) == list(range(rank)), f"orders {rank} axes as {order}")
    content = None if value.small is None else value.small.transpose(order)
    return [
        Value(value.dtype, tuple(value.shape[axis] for axis in order), content, value.within)
    ], value.elements


def joined(call: Call) -> Result:
    """Concat: shapes that differ along one axis only."""
    values = [value for value in call.inputs if value is not None]
    axis = call.axis(call.attribute("axis"), len(values[0].shape))
    others = {
        value.shape[:axis] + (0,) + value.shape[axis + 1 :] for value in values if len(value.shape) > axis
    }
    call.need(len(others) == 1 and len(values) == len(call.inputs), "joins shapes that do not fit")
    first = values[0].shape
    shape = (*first[:axis], sum(value.shape[axis] for value in values), *first[axis + 1 :])
    content = [value.small for value in values]
    result = Value(values[0].dtype, shape)
    if result.elements <= KNOWN_ELEMENTS and all(part is not None for part in content):
        result.content = np.concatenate([part for part in content if part is not None], axis)
    elif all(value.range() for value in values):
        ranges = [limits for value in values if (limits := value.range())]
        result.within = min(low for low, _ in ranges), max(high for _, high in ranges)
    return [result], result.elements


def split(call: Call) -> Result:
    """Split: into parts of known sizes, or of one size."""
    value, parts = call[0], len(call.node.outputs)
    axis = call.axis(call.attribute("axis", 0), len(value.shape))
    extent = value.shape[axis]
    if call.optional(1) is not None:
        sizes = call.numbers(1)
        call.need("num_outputs" not in call.node.attributes, "has both sizes and num_outputs")
    else:
        call.need(call.attribute("num_outputs", parts) == parts, "has another number of outputs")
        size = -(-extent // parts)
        sizes = [size] * (parts - 1) + [extent - size * (parts - 1)]
        call.need(call.opset >= 18 or extent % parts == 0, f"splits {extent} into {parts} parts")
    fits = len(sizes) == parts and sum(sizes) == extent and all(n >= 1 for n in sizes)
    call.need(fits, f"splits {extent} into {sizes[:RANK]}")
    result, start = [], 0
    for size in sizes:
        here = (slice(None),) * axis + (slice(start, start + size),)
        content = None if value.small is None else value.small[here]
        shape = (*value.shape[:axis], size, *value.shape[axis + 1 :])
        result.append(Value(value.dtype, shape, content, value.within))
        start += size
    return result, value.elements


def sliced(call: Call) -> Result:
    """Slice: starts, ends, axes and steps are known."""
    value, rank = call[0], len(call[0].shape)
    starts, ends = call.numbers(1), call.numbers(2)
    axes = list(range(len(starts))) if call.optional(3) is None else call.numbers(3)
    steps = [1] * len(starts) if call.optional(4) is None else call.numbers(4)
    call.need(len(starts) == len(ends) == len(axes) == len(steps), "has lists of several lengths")
    call.need(all(0 < abs(step) <= LARGEST for step in steps), f"has the steps {steps[:RANK]}")
    where = [slice(None)] * rank
    for axis, start, end, step in zip(call.axes(axes, rank), starts, ends, steps, strict=True):
        where[axis] = _slice(start, end, step, value.shape[axis])
    shape = tuple(len(range(*place.indices(n))) for place, n in zip(where, value.shape, strict=True))
    content = None if value.small is None else value.small[tuple(where)]
    return [Value(value.dtype, shape, content, value.within)], math.prod(shape)


def _slice(start: int, end: int, step: int, extent: int) -> slice:
    """Clamp start and end as the standard does: backwards, the end may lie before the first element."""
    start += extent if start < 0 else 0
    end += extent if end < 0 else 0
    if step > 0:
        return slice(min(max(start, 0), extent), min(max(end, 0), extent), step)
    first, last = min(max(start, 0), extent - 1), min(max(end, -1), extent - 1)
    return slice(first, None if last < 0 else last, step)


def padded(call: Call) -> Result:
    """Pad: no further than the mode can fill, and the result is not empty."""
    value, rank = call[0], len(call[0].shape)
    axes = list(range(rank)) if call.optional(3) is None else call.axes(call.numbers(3), rank)
    pads, mode, filling = call.numbers(1), call.attribute("mode", "constant"), call.optional(2)
    call.need(len(pads) == 2 * len(axes), f"has {len(pads)} pads for {len(axes)} axes")
    call.need(filling is None or filling.elements == 1, "fills with several numbers")
    shape = list(value.shape)
    for at, axis in enumerate(axes):
        extent, here = value.shape[axis], (pads[at], pads[at + len(axes)])
        most = {"reflect": extent - 1, "wrap": extent}.get(mode, LARGEST)
        call.need(all(-extent < pad <= most for pad in here), f"pads {extent} by {here}")
        shape[axis] = extent + sum(here)
        call.need(shape[axis] >= 1, f"pads {extent} by {here}")
    return [Value(value.dtype, tuple(shape))], math.prod(shape)


def repeated(call: Call) -> Result:
    """Tile: repeats are known for every axis."""
    value, times = call[0], call.numbers(1)
    call.need(len(times) == len(value.shape), f"repeats {len(times)} axes")
    call.need(all(1 <= n <= LARGEST for n in times), f"repeats {times[:RANK]} times")
    result = Value(
        value.dtype, tuple(n * t for n, t in zip(value.shape, times, strict=True)), None, value.within
    )
    if value.small is not None and result.elements <= KNOWN_ELEMENTS:
        result.content = np.tile(value.small, times)
    return [result], result.elements


def stretched(call: Call) -> Result:
    """Expand: to a known shape."""
    value, target = call[0], tuple(call.numbers(1))
    call.need(len(target) <= RANK and all(1 <= n <= LARGEST for n in target), f"stretches to {target[:RANK]}")
    result = Value(value.dtype, broadcast(call, value.shape, target), None, value.within)
    if value.small is not None and result.elements <= KNOWN_ELEMENTS:
        result.content = np.broadcast_to(value.small, result.shape)
    return [result], result.elements


def _check_places(call: Call, places: Value, extent: int) -> None:
    """Raise unless indices are known to lie within an axis, counted from either end."""
    limits = places.range()
    call.need(not places.elements or limits is not None, "has indices that are not known beforehand")
    call.need(
        limits is None or (-extent <= limits[0] and limits[1] < extent), f"takes places {limits} of {extent}"
    )


def gathered(call: Call) -> Result:
    """Gather: slices along an axis, at known indices within it."""
    value, places = call[0], call[1]
    axis = call.axis(call.attribute("axis", 0), len(value.shape))
    _check_places(call, places, value.shape[axis])
    shape = (*value.shape[:axis], *places.shape, *value.shape[axis + 1 :])
    result = Value(value.dtype, shape, None, value.within)
    content, where = value.small, places.small
    if content is not None and where is not None and result.elements <= KNOWN_ELEMENTS:
        result.content = np.take(content, where, axis)
    return [result], result.elements


def gathered_elements(call: Call) -> Result:
    """GatherElements: one index for each element of the output."""
    value, places = call[0], call[1]
    axis = call.axis(call.attribute("axis", 0), len(value.shape))
    _check_elements(call, value, places, axis)
    return [Value(value.dtype, places.shape)], places.elements


def _check_elements(call: Call, value: Value, places: Value, axis: int) -> None:
    call.need(len(places.shape) == len(value.shape), "has indices of another rank")
    others = (n <= m or at == axis for at, (n, m) in enumerate(zip(places.shape, value.shape, strict=True)))
    call.need(all(others), "has indices beyond its axes")
    _check_places(call, places, value.shape[axis])


def gathered_points(call: Call) -> Result:
    """GatherND: slices at points with known coordinates within the input."""
    value, points = call[0].shape, call[1].shape
    batch = call.attribute("batch_dims", 0)
    call.need(
        len(points) > batch and len(value) > batch and points[:batch] == value[:batch], "has odd batches"
    )
    depth = points[-1]
    call.need(1 <= depth <= len(value) - batch, f"takes points of {depth} coordinates")
    _check_points(call, call[1], value[batch : batch + depth])
    shape = (*points[:-1], *value[batch + depth :])
    return [Value(call[0].dtype, shape)], math.prod(shape)


def _check_points(call: Call, points: Value, extents: Shape) -> None:
    content = points.known
    if content is None or not points.elements:
        _check_places(call, points, min(extents))
        return
    flat: Array = content.reshape(-1, len(extents))
    low, high = flat.min(axis=0), flat.max(axis=0)
    inside = all(-n <= int(a) and int(b) < n for n, a, b in zip(extents, low, high, strict=True))
    call.need(inside, f"takes points beyond {extents}")


def scattered_elements(call: Call) -> Result:
    """ScatterElements: one index for each update."""
    value, places, updates = call[0], call[1], call[2]
    axis = call.axis(call.attribute("axis", 0), len(value.shape))
    call.need(places.shape == updates.shape, "has indices and updates of different shapes")
    _check_elements(call, value, places, axis)
    return [Value(value.dtype, value.shape)], value.elements + updates.elements


def scattered_points(call: Call) -> Result:
    """ScatterND: slices put at points."""
    value, points, updates = call[0].shape, call[1].shape, call[2].shape
    call.need(len(points) >= 1 and 1 <= points[-1] <= len(value), "puts at points of odd coordinates")
    call.need(updates == (*points[:-1], *value[points[-1] :]), "has updates of another shape")
    _check_points(call, call[1], value[: points[-1]])
    return [Value(call[0].dtype, value)], call[0].elements + call[2].elements


def triangle(call: Call) -> Result:
    """Trilu: of the last two axes."""
    call.need(len(call[0].shape) >= 2, "needs a matrix")
    if call.optional(1) is not None:
        call.need(abs(call.number(1)) <= LARGEST, "is shifted too far")
    return [Value(call[0].dtype, call[0].shape)], call[0].elements


def blocks(call: Call) -> Result:
    """DepthToSpace and SpaceToDepth, of images."""
    shape, size = call[0].shape, call.attribute("blocksize")
    call.need(len(shape) == 4, "needs an image of two axes")
    batch, channels, height, width = shape
    if call.node.op == "DepthToSpace":
        call.need(channels % (size * size) == 0, f"makes blocks of {size} of {channels} channels")
        result = (batch, channels // size**2, height * size, width * size)
    else:
        call.need(height % size == 0 and width % size == 0, f"makes blocks of {size}")
        result = (batch, channels * size**2, height // size, width // size)
    return [Value(call[0].dtype, result)], call[0].elements
