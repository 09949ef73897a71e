"""A network through ONNX Runtime, at sizes that it was not exported at."""

import io

import numpy as np
import pytest


def runs_alike(network, inputs, sizes, atol, step=16):
    """Export ``network`` with dynamic sizes in steps of ``step``; compare with torch at each of ``sizes``."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    network = network.eval()
    steps = {axis + 2: step * torch.export.Dim(f"n{axis}", min=1, max=64) for axis in range(len(sizes[0]))}
    example = tuple(torch.rand(1, 1, *(step * (2 + axis) for axis in range(len(sizes[0])))) for _ in inputs)
    program = torch.onnx.export(
        network,
        example,
        dynamo=True,
        opset_version=20,
        input_names=list(inputs),
        output_names=["output"],
        dynamic_shapes=tuple(steps for _ in inputs),
        verbose=False,
    )
    file = io.BytesIO()
    program.save(file)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 2
    session = runtime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    for size in sizes:
        images = [torch.rand(1, 1, *size) for _ in inputs]
        with torch.no_grad():
            expected = network(*images).numpy()
        (found,) = session.run(None, {name: image.numpy() for name, image in zip(inputs, images)})
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=atol)
    return program.model_proto
