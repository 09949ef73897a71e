"""A few lines that write ONNX files byte by byte, valid or broken on purpose, without the onnx package."""

import struct

import numpy as np

FLOAT, INT64 = 1, 7


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def number(field, value):
    return varint(field << 3) + varint(value)


def part(field, content):
    content = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(content)) + content


def tensor(name, array, *extra):
    array = np.asarray(array)
    code = {"f": FLOAT, "i": INT64}[array.dtype.kind]
    dims = b"".join(number(1, n) for n in array.shape)
    return dims + number(2, code) + part(8, name) + part(9, array.tobytes()) + b"".join(extra)


def value(name, dims, code=FLOAT):
    """An input or output; a dimension is a size, a symbol, or None."""
    shape = b"".join(
        part(1, b"" if d is None else number(1, d) if isinstance(d, int) else part(2, d)) for d in dims
    )
    return part(1, name) + part(2, part(1, number(1, code) + part(2, shape)))


def ints(name, values):
    return part(1, name) + part(8, b"".join(map(varint, values))) + number(20, 7)


def real(name, number_):
    return part(1, name) + varint(2 << 3 | 5) + struct.pack("<f", number_) + number(20, 1)


def node(op, inputs, outputs, *attributes, domain=""):
    return (
        b"".join(part(1, name) for name in inputs)
        + b"".join(part(2, name) for name in outputs)
        + part(4, op)
        + b"".join(part(5, attribute) for attribute in attributes)
        + (part(7, domain) if domain else b"")
    )


def graph(nodes, inputs, outputs, initialisers=(), extra=b""):
    return (
        b"".join(part(1, n) for n in nodes)
        + part(2, "net")
        + b"".join(part(5, t) for t in initialisers)
        + b"".join(part(11, v) for v in inputs)
        + b"".join(part(12, v) for v in outputs)
        + extra
    )


def model(graph_, opset=20, domain="", ir_version=10, extra=b""):
    imported = (part(1, domain) if domain else b"") + number(2, opset)
    return number(1, ir_version) + part(2, "tests") + part(7, graph_) + part(8, imported) + extra


def spatial(dims, multiple=4):
    return [f"{multiple}*{letter}" for letter in "dhw"[-dims:]]


def net(dims=3, nodes=(), opset=20, extra=b"", graph_extra=b"", more_initialisers=(), domain=""):
    """Two images in, ``dims`` channels out: a 1x1 convolution with weights 1 and -1."""
    weight = np.repeat(np.float32([[1, -1]]), dims, 0).reshape(dims, 2, *[1] * dims)
    image = (1, 1, *spatial(dims))
    body = [
        node("Concat", ["fixed", "moving"], ["both"], part(1, "axis") + number(3, 1) + number(20, 2)),
        node("Conv", ["both", "weight"], ["output"], ints("kernel_shape", [1] * dims)),
        *nodes,
    ]
    made = graph(
        body,
        [value("fixed", image), value("moving", image)],
        [value("output", (1, dims, *spatial(dims)))],
        [tensor("weight", weight), *more_initialisers],
        graph_extra,
    )
    return model(made, opset, domain, extra=extra)


def descriptor(channels=2, dims=3):
    """One image in, the same ``channels`` times out."""
    weight = np.ones((channels, 1, *[1] * dims), np.float32)
    body = [node("Conv", ["image", "weight"], ["output"], ints("kernel_shape", [1] * dims))]
    out = value("output", (1, channels, *spatial(dims)))
    return model(graph(body, [value("image", (1, 1, *spatial(dims)))], [out], [tensor("weight", weight)]))


def run_net(inputs):
    """What ``net`` computes, with the signature of a session's ``infer``."""
    difference = inputs["fixed"] - inputs["moving"]
    return np.repeat(difference, difference.ndim - 2, 1)


def rigid(numbers, size, slope=0.0, values=6):
    """Two images in, the six numbers out, and with a slope that times the difference of the means."""
    image = (1, 1, *size)
    body = [
        node("Sub", ["fixed", "moving"], ["difference"]),
        node("GlobalAveragePool", ["difference"], ["mean"]),
        node("Reshape", ["mean", "shape"], ["row"]),
        node("Mul", ["row", "slope"], ["part"]),
        node("Add", ["part", "numbers"], ["output"]),
    ]
    constants = [
        tensor("shape", np.array([1, 1])),
        tensor("slope", np.full((1, values), slope, np.float32)),
        tensor("numbers", np.asarray(numbers, np.float32).reshape(1, -1)),
    ]
    images = [value("fixed", image), value("moving", image)]
    return model(graph(body, images, [value("output", (1, values))], constants))
