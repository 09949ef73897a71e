"""Small ONNX networks with an answer that numpy knows, for tests of what runs networks."""

import numpy as np

SLOPE = 0.2
INPUTS = ("fixed", "moving")


def weights(dims, seed=0):
    """Of a 3 x 3 (x 3) convolution from the two images to ``dims`` channels."""
    return np.random.default_rng(seed).normal(0, 0.2, (dims, 2, *[3] * dims)).astype(np.float32)


def images(extents, seed=1):
    rng = np.random.default_rng(seed)
    return {name: rng.random((1, 1, *extents), np.float32) for name in INPUTS}


def answer(inputs, dims, rounded=None):
    """LeakyReLU(convolution of both images), zero padding, in float64; ``rounded`` to another float first."""
    kernel, x = weights(dims), np.concatenate([inputs[name] for name in INPUTS], axis=1)[0]
    if rounded is not None:
        kernel, x = kernel.astype(rounded), x.astype(rounded)
    kernel, x = kernel.astype(np.float64), x.astype(np.float64)
    padded = np.pad(x, [(0, 0)] + [(1, 1)] * dims)
    out = np.zeros((dims, *x.shape[1:]))
    for tap in np.ndindex(*[3] * dims):
        window = padded[(slice(None), *(slice(t, t + n) for t, n in zip(tap, x.shape[1:])))]
        out += np.tensordot(kernel[(slice(None), slice(None), *tap)], window, 1)
    return np.where(out > 0, out, SLOPE * out)[None]


def network(dims, extents=None, kind="fp32", outputs=1):
    """Its bytes. ``extents``: a fixed shape; ``kind``: fp32, fp16 (casts inside) or int8 (Q/DQ)."""
    from onnx import TensorProto, helper

    shape = [1, 1, *(extents or [f"s{axis}" for axis in range(dims)])]
    nodes = [helper.make_node("Concat", INPUTS, ["both"], axis=1)]
    constants = {"kernel": weights(dims)}
    x, kernel = "both", "kernel"
    if kind == "fp16":
        constants["kernel"] = constants["kernel"].astype(np.float16)
        nodes.append(helper.make_node("Cast", ["both"], ["half"], to=TensorProto.FLOAT16))
        x = "half"
    if kind == "int8":
        x, kernel = _quantised(nodes, constants)
    convolution = {"pads": [1] * 2 * dims, "kernel_shape": [3] * dims}
    nodes.append(helper.make_node("Conv", [x, kernel], ["sum"], **convolution))
    if kind == "fp16":
        nodes.append(helper.make_node("Cast", ["sum"], ["wide"], to=TensorProto.FLOAT))
    last = "wide" if kind == "fp16" else "sum"
    names = ["output", *(f"output{i}" for i in range(1, outputs))]
    nodes += [helper.make_node("LeakyRelu", [last], [name], alpha=SLOPE) for name in names]
    return _model(nodes, constants, shape, [1, dims, *shape[2:]], names)


def sampling_network(mode, padding, corners, extents, opset=20):
    """``moving`` (1, 3, ...) sampled where ``fixed`` (1, dims, ...) says, its channels last."""
    from onnx import TensorProto, helper

    dims, free = len(extents), [f"s{axis}" for axis in range(len(extents))]
    name = "bilinear" if opset < 20 and mode == "linear" else mode
    nodes = [
        helper.make_node("Transpose", ["fixed"], ["grid"], perm=[0, *range(2, dims + 2), 1]),
        helper.make_node(
            "GridSample",
            ["moving", "grid"],
            ["output"],
            mode=name,
            padding_mode=padding,
            align_corners=corners,
        ),
    ]
    ports = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, dims, *free]) for n in ("fixed", "moving")
    ]
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, dims, *free])
    graph = helper.make_graph(nodes, "sampled", ports, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return model.SerializeToString()


def warping_network(
    extents, padding="zeros", name="mmreg.warp.0", grid=("Gather", "Mul", "Add", "Transpose"), **other
):
    """``moving`` (1, dims, ...) warped by ``fixed`` (1, dims, ...) in voxels, as ``mmreg_export`` writes it.

    ``grid``: the operators that make the grid; ``other``: attributes of the GridSample.
    """
    from onnx import helper

    dims = len(extents)
    last = np.array(extents, np.float32)[::-1].reshape(-1, *[1] * dims)
    places = (2 * np.indices(extents)[::-1] + 1) / last - 1
    given = {
        "Gather": (["order"], {"axis": 1}),
        "Transpose": ([], {"perm": [0, *range(2, dims + 2), 1]}),
        "Mul": (["scale"], {}),
        "Add": (["places"], {}),
        "Sub": (["places"], {}),
        "Neg": ([], {}),
    }
    nodes, value = [], "fixed"
    for step, op in enumerate(grid):
        inputs, attributes = given[op]
        nodes.append(helper.make_node(op, [value, *inputs], [f"grid{step}"], f"node{step}", **attributes))
        value = f"grid{step}"
    attributes = {"mode": "linear", "padding_mode": padding, "align_corners": 0, **other}
    nodes.append(helper.make_node("GridSample", ["moving", value], ["output"], name, **attributes))
    shape = [1, dims, *extents]
    constants = {"order": np.arange(dims)[::-1], "scale": 2 / last, "places": places.astype(np.float32)}
    return _model(nodes, constants, shape, shape, ["output"])


def _quantised(nodes, constants):
    from onnx import helper

    kernel = constants.pop("kernel")
    scale = np.float32(abs(kernel).max() / 63)  # 7 bits: see mmreg_export.precision.quantised
    constants |= {
        "kernel_8": np.round(kernel / scale).astype(np.int8),
        "kernel_scale": scale,
        "kernel_zero": np.int8(0),
        "x_scale": np.float32(1 / 255),
        "x_zero": np.uint8(0),
    }
    nodes += [
        helper.make_node("QuantizeLinear", ["both", "x_scale", "x_zero"], ["both_8"]),
        helper.make_node("DequantizeLinear", ["both_8", "x_scale", "x_zero"], ["both_32"]),
        helper.make_node("DequantizeLinear", ["kernel_8", "kernel_scale", "kernel_zero"], ["kernel"]),
    ]
    return "both_32", "kernel"


def _model(nodes, constants, shape, out_shape, names):
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in INPUTS],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, out_shape) for name in names],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10
    ).SerializeToString()


def long_network(dims, layers=40, channels=8):
    """Of many convolutions one after the other, for tests that stop it on its way."""
    from onnx import helper

    rng = np.random.default_rng(0)
    nodes, constants = [helper.make_node("Concat", INPUTS, ["x0"], axis=1)], {}
    widths = [2, *[channels] * (layers - 1), dims]
    for n, (before, after) in enumerate(zip(widths, widths[1:], strict=False)):
        scale = (before * 3**dims) ** -0.5
        constants[f"w{n}"] = rng.normal(0, scale, (after, before, *[3] * dims)).astype(np.float32)
        name = "output" if n == layers - 1 else f"x{n + 1}"
        nodes.append(helper.make_node("Conv", [f"x{n}", f"w{n}"], [name], pads=[1] * 2 * dims))
    shape = [1, 1, *(f"s{axis}" for axis in range(dims))]
    return _model(nodes, constants, shape, [1, dims, *shape[2:]], ["output"])
