"""Output shapes of layers: convolutions, pools, norms, resampling, attention, quantisation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .rules_arithmetic import TRANSCENDENTAL
from .schema import ELEMENTS
from .values import Call, Shape, Value, broadcast

if TYPE_CHECKING:
    from collections.abc import Sequence

Result = tuple[list[Value], int]
LARGEST = (1 << 31) - 1


def _image(call: Call) -> tuple[int, int, Shape]:
    """Return batch, channels and extents of the first input."""
    shape = call[0].shape
    call.need(3 <= len(shape) <= 5 and all(shape), "needs an image of one to three axes")
    return shape[0], shape[1], shape[2:]


def _per_axis(call: Call, name: str, axes: int, default: int) -> tuple[int, ...]:
    numbers = call.attribute(name, (default,) * axes)
    call.need(len(numbers) == axes, f"has {len(numbers)} {name} for {axes} axes")
    return tuple(numbers)


def _pads(call: Call, extents: Shape, window: Sequence[int], strides: Sequence[int]) -> list[int]:
    """Return the padding along each axis, of both ends together."""
    axes, auto = len(extents), call.attribute("auto_pad", "NOTSET")
    pads = call.attribute("pads", (0,) * 2 * axes)
    call.need(len(pads) == 2 * axes, f"has {len(pads)} pads for {axes} axes")
    if auto == "NOTSET":
        return [pads[axis] + pads[axis + axes] for axis in range(axes)]
    call.need(not any(pads), "has both pads and auto_pad")
    if auto == "VALID":
        return [0] * axes
    return [
        max(0, (-(-n // stride) - 1) * stride + k - n)
        for n, k, stride in zip(extents, window, strides, strict=True)
    ]


def _window(call: Call, kernel: Sequence[int], dilations: Sequence[int]) -> list[int]:
    """Return the extent of a dilated kernel along each axis."""
    reach = [step * (k - 1) + 1 for k, step in zip(kernel, dilations, strict=True)]
    call.need(all(n <= LARGEST for n in reach), f"reaches {reach} voxels")
    return reach


def _kernel(call: Call, weights: Shape, axes: int) -> Shape:
    kernel = weights[2:]
    call.need(len(weights) == axes + 2 and all(weights), "has weights of another rank, or without elements")
    call.need(
        call.attribute("kernel_shape", kernel) == kernel, "has a kernel of another size than its weights"
    )
    return kernel


def _check_bias(call: Call, channels: int) -> None:
    bias = call.optional(2)
    call.need(bias is None or bias.shape == (channels,), f"has a bias for other than {channels} channels")


def convolved(call: Call) -> Result:
    """Conv in one to three axes, in groups."""
    batch, channels, extents = _image(call)
    weights, axes, group = call[1].shape, len(extents), call.attribute("group", 1)
    kernel = _kernel(call, weights, axes)
    call.need(
        channels == weights[1] * group and weights[0] % group == 0, f"has {group} groups that do not fit"
    )
    _check_bias(call, weights[0])
    strides, dilations = _per_axis(call, "strides", axes, 1), _per_axis(call, "dilations", axes, 1)
    window = _window(call, kernel, dilations)
    pads = _pads(call, extents, window, strides)
    result = (batch, weights[0], *_stepped(call, extents, window, strides, pads))
    return [Value(call[0].dtype, result)], math.prod(result) * weights[1] * math.prod(kernel)


def _stepped(
    call: Call,
    extents: Shape,
    window: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    ceil: bool = False,
) -> list[int]:
    """Return the number of positions of a window along each axis."""
    room = [n + pad - k for n, pad, k in zip(extents, pads, window, strict=True)]
    call.need(all(n >= 0 for n in room), f"has a window of {tuple(window)}, larger than the image")
    call.need(all(n <= LARGEST for n in room), f"pads by {tuple(pads)}")
    return [-(-n // step) + 1 if ceil else n // step + 1 for n, step in zip(room, strides, strict=True)]


def deconvolved(call: Call) -> Result:
    """ConvTranspose in one to three axes, in groups."""
    batch, channels, extents = _image(call)
    weights, axes, group = call[1].shape, len(extents), call.attribute("group", 1)
    kernel = _kernel(call, weights, axes)
    call.need(channels == weights[0] and channels % group == 0, f"has {group} groups that do not fit")
    out = weights[1] * group
    _check_bias(call, out)
    strides, dilations = _per_axis(call, "strides", axes, 1), _per_axis(call, "dilations", axes, 1)
    more = _per_axis(call, "output_padding", axes, 0)
    window = _window(call, kernel, dilations)
    whole = [s * (n - 1) + k + m for n, s, k, m in zip(extents, strides, window, more, strict=True)]
    call.need(
        all(m < max(s, d) for m, s, d in zip(more, strides, dilations, strict=True)),
        f"adds {more} at its end",
    )
    auto = call.attribute("auto_pad", "NOTSET")
    image = call.attribute("output_shape")
    if image is None and auto.startswith("SAME"):
        image = tuple(n * s for n, s in zip(extents, strides, strict=True))
    if image is None:
        pads = _pads(call, extents, window, strides)
        image = tuple(n - pad for n, pad in zip(whole, pads, strict=True))
    fits = len(image) == axes and all(1 <= n <= most for n, most in zip(image, whole, strict=True))
    call.need(fits, f"gives an image of {image}")
    work = batch * channels * math.prod(extents) * weights[1] * math.prod(kernel)
    return [Value(call[0].dtype, (batch, out, *image))], work


def pooled(call: Call) -> Result:
    """AveragePool and MaxPool; a window never lies in the padding alone."""
    batch, channels, extents = _image(call)
    axes, kernel = len(extents), call.attribute("kernel_shape")
    call.need(len(kernel) == axes, f"has a window of {len(kernel)} axes")
    strides, dilations = _per_axis(call, "strides", axes, 1), _per_axis(call, "dilations", axes, 1)
    window = _window(call, kernel, dilations)
    sides = call.attribute("pads", (0,) * 2 * axes)
    pads = _pads(call, extents, window, strides)
    call.need(all(pad < k for pad, k in zip(sides, (*kernel, *kernel), strict=True)), f"pads by {sides}")
    ceil = bool(call.attribute("ceil_mode", 0))
    result = (batch, channels, *_stepped(call, extents, window, strides, pads, ceil))
    return [Value(call[0].dtype, result)], math.prod(result) * math.prod(kernel)


def pooled_whole(call: Call) -> Result:
    """GlobalAveragePool and GlobalMaxPool."""
    batch, channels, extents = _image(call)
    return [Value(call[0].dtype, (batch, channels, *(1,) * len(extents)))], call[0].elements


def _alike(call: Call, work: int = TRANSCENDENTAL) -> Result:
    return [Value(call[0].dtype, call[0].shape)], work * call[0].elements


def normalised(call: Call) -> Result:
    """BatchNormalization and InstanceNormalization: one number for each channel."""
    shape = call[0].shape
    call.need(len(shape) >= 2 and all(shape), "has no channels")
    call.need(all(call[at].shape == shape[1:2] for at in range(1, len(call.inputs))), "has other channels")
    call.need(call.node.op == "BatchNormalization" or len(shape) >= 3, "has channels without extents")
    return _alike(call)


def normalised_groups(call: Call) -> Result:
    """GroupNormalization: numbers for each group, from operator set 21 on for each channel."""
    shape, groups = call[0].shape, call.attribute("num_groups")
    call.need(len(shape) >= 3 and all(shape), "has no channels with extents")
    call.need(shape[1] % groups == 0, f"makes {groups} groups of {shape[1]} channels")
    expected = (shape[1],) if call.opset >= 21 else (groups,)
    call.need(call[1].shape == call[2].shape == expected, f"has scales of another shape than {expected}")
    return _alike(call)


def normalised_layer(call: Call) -> Result:
    """LayerNormalization and RMSNormalization: over the last axes."""
    shape = call[0].shape
    call.need(len(shape) >= 1 and all(shape), "normalises nothing")
    axes = shape[call.axis(call.attribute("axis", -1), len(shape)) :]
    scales = [value.shape for value in call.inputs[1:] if value is not None]
    call.need(all(broadcast(call, axes, scale) == axes for scale in scales), "has scales that do not fit")
    return _alike(call)


def normalised_axes(call: Call) -> Result:
    """MeanVarianceNormalization over existing axes."""
    call.axes(list(call.attribute("axes", (0, 2, 3))), len(call[0].shape))
    return _alike(call)


def resized(call: Call) -> Result:
    """Resize by scales or to sizes that are known."""
    value, rank = call[0], len(call[0].shape)
    call.need(call.optional(1) is None or not call[1].elements, "takes a region of interest")
    scales, sizes = (
        operand if operand is not None and operand.elements else None
        for operand in (call.optional(2), call.optional(3))
    )
    call.need((scales is None) != (sizes is None), "has both scales and sizes, or neither")
    axes = call.axes(list(call.attribute("axes", range(rank))), rank)
    factors, extents = [1.0] * rank, list(value.shape)
    place = 2 if scales is not None else 3
    content = call[place].known
    call.need(content is not None and content.shape == (len(axes),), "lacks a scale or size for an axis")
    assert content is not None
    for axis, number in zip(axes, content.tolist(), strict=True):
        call.need(math.isfinite(number) and 0 < number <= LARGEST, f"resizes by or to {number}")
        # in float32, as libraries do
        scaled = float(np.float32(value.shape[axis]) * np.float32(number))
        extents[axis] = number if scales is None else math.floor(scaled)
        call.need(1 <= extents[axis] <= LARGEST, f"resizes {value.shape[axis]} to {extents[axis]}")
        factors[axis] = extents[axis] / value.shape[axis]
    result = Value(value.dtype, tuple(extents))
    return [result], result.elements * _taps(call, factors)


def _taps(call: Call, factors: Sequence[float]) -> int:
    """Return how many input elements contribute to one of the output."""
    near = {"nearest": 1, "linear": 2, "cubic": 4}[call.attribute("mode", "nearest")]
    wide = call.attribute("antialias", 0)
    return math.prod(math.ceil(near / f) if wide and f < 1 else near for f in factors if f != 1)


def sampled(call: Call) -> Result:
    """GridSample in two or three axes."""
    batch, channels, extents = _image(call)
    grid, axes = call[1].shape, len(extents)
    fits = axes >= 2 and len(grid) == axes + 2 and grid[0] == batch and grid[-1] == axes and all(grid)
    call.need(fits, "samples an image at points that do not fit")
    cubic = call.attribute("mode", "linear") in ("cubic", "bicubic")
    call.need(not cubic or axes == 2, "samples a volume with cubic interpolation")
    result = Value(call[0].dtype, (batch, channels, *grid[1:-1]))
    return [result], result.elements * (4 if cubic else 2) ** axes


def attended(call: Call) -> Result:
    """Attention of heads given as an axis, or as attributes."""
    shapes = [call[place].shape for place in range(3)]
    rank = len(shapes[0])
    call.need(
        rank in (3, 4) and all(len(shape) == rank and all(shape) for shape in shapes), "has odd operands"
    )
    heads = [call.attribute(name) for name in ("q_num_heads", "kv_num_heads", "kv_num_heads")]
    if rank == 3:
        call.need(None not in heads, "has no number of heads")
        fits = all(shape[2] % count == 0 for shape, count in zip(shapes, heads, strict=True))
        call.need(fits, f"has {heads[0]} and {heads[1]} heads that do not fit")
        shapes = [(b, count, n, c // count) for (b, n, c), count in zip(shapes, heads, strict=True)]
    (batch, count, rows, depth), (b_k, c_k, keys, d_k), (b_v, c_v, n_v, width) = shapes
    fits = batch == b_k == b_v and c_k == c_v and keys == n_v and depth == d_k and count % c_k == 0
    call.need(fits, "has queries, keys and values that do not fit")
    mask, scores = call.optional(3), (batch, count, rows, keys)
    if mask is not None:
        call.need(
            2 <= len(mask.shape) <= 4 and broadcast(call, mask.shape, scores) == scores, "has an odd mask"
        )
        call.need(mask.dtype in ("bool", call[0].dtype), "has a mask of another type")
    result = (batch, rows, count * width) if rank == 3 else (batch, count, rows, width)
    work = math.prod(scores) * (depth + width + TRANSCENDENTAL)
    # the scores of all pairs are kept meanwhile, so they count as an output
    return [Value(call[0].dtype, result), Value(call[0].dtype, scores)], work


def turned(call: Call) -> Result:
    """RotaryEmbedding: tables of cosines and sines of half the depth, places that are known in them."""
    shape, cosines, sines = call[0].shape, call[1].shape, call[2].shape
    heads = call.attribute("num_heads")
    call.need(len(shape) in (3, 4) and all(shape), "needs an input with heads")
    if len(shape) == 3:
        call.need(heads is not None and shape[2] % heads == 0, "has heads that do not fit")
        batch, rows, depth = shape[0], shape[1], shape[2] // heads
    else:
        call.need(heads in (None, shape[1]), "has heads that do not fit")
        batch, rows, depth = shape[0], shape[2], shape[3]
    part = call.attribute("rotary_embedding_dim", 0) or depth
    call.need(part % 2 == 0 and part <= depth and cosines == sines, f"turns {part} of {depth} numbers")
    places = call.optional(3)
    if places is None:
        call.need(cosines == (batch, rows, part // 2), "has tables of another shape")
    else:
        limits = places.range()
        call.need(places.shape == (batch, rows) and len(cosines) == 2, "has places of another shape")
        call.need(cosines[1] == part // 2, "has tables of another shape")
        call.need(
            limits is not None and limits[0] >= 0 and limits[1] < cosines[0], "takes places beyond its tables"
        )
    return _alike(call, 4)


def _check_scales(call: Call) -> None:
    """Scales and zero points: one for all, or one for each place along an axis."""
    shape, scale, zero = call[0].shape, call[1], call.optional(2)
    axis = call.attribute("axis", 1)
    if scale.elements != 1 or len(scale.shape) > 1:
        call.need(scale.shape == (shape[call.axis(axis, len(shape))],), "has scales that do not fit")
    call.need(zero is None or zero.shape == scale.shape, "has zero points of another shape than its scales")
    content = scale.known
    finite = content is None or bool(np.isfinite(content).all() and (content >= 0).all())
    call.need(finite, "has scales that are negative or not finite")


def quantised(call: Call) -> Result:
    """QuantizeLinear: to the type of the zero point."""
    _check_scales(call)
    zero, code = call.optional(2), call.attribute("output_dtype", 0)
    dtype = zero.dtype if zero is not None else ELEMENTS[code][0] if code else "uint8"
    call.need(
        dtype in ("int8", "uint8") and (not code or ELEMENTS[code][0] == dtype), f"quantises to {dtype}"
    )
    return [Value(dtype, call[0].shape)], 4 * call[0].elements


def dequantised(call: Call) -> Result:
    """DequantizeLinear: to the type of the scale."""
    _check_scales(call)
    return [Value(call[1].dtype, call[0].shape)], 2 * call[0].elements
