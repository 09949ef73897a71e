"""Export of networks to ONNX, opset 20, for all sizes that are multiples of the method's.

A method with a window is exported for the size of the window only.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from typing import TYPE_CHECKING

import torch

from .warp_lowering import name_warps, translations

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import nn

    from mmreg_train.methods import Method

OPSET = 20  # the lowest with all operators that the networks need; TensorRT 10 supports it
MOST_STEPS = 64  # largest size along an axis, in multiples


def input_names(method: Method) -> tuple[str, ...]:
    """Return ``image`` for a descriptor, which takes one scan at a time, else ``fixed`` and ``moving``."""
    return ("image",) if method.output_kind == "descriptor" else ("fixed", "moving")


def export_network(method: Method) -> bytes:
    """Export ``method.network()``: inputs ``(1, 1, D, H, W)`` float32 by ``input_names``; one ``output``.

    Raises:
        torch.onnx.errors.OnnxExporterError: The network cannot be expressed in ONNX.
    """
    size = None if method.window is None else method.window.size
    names = input_names(method)
    return export_module(
        method.network(), names, method.dims, method.multiple, method.name, size, method.trace_multiples
    )


def export_module(
    network: nn.Module,
    names: Sequence[str],
    dims: int,
    multiple: int,
    name: str,
    size: Sequence[int] | None = None,
    trace_multiples: int = 2,
) -> bytes:
    """Export a network to ONNX. The same weights give the same bytes: layer names and paths are removed.

    Args:
        network: The module.
        names: Names of its inputs, images ``(1, 1, D, H, W)`` or ``(1, 1, H, W)`` float32.
        dims: 2 or 3.
        multiple: Sizes are multiples of this.
        name: Name of the graph.
        size: The only size accepted; None accepts all multiples.
        trace_multiples: See ``Method``.

    Raises:
        torch.onnx.errors.OnnxExporterError: The network cannot be expressed in ONNX.
    """
    network = network.eval().cpu()
    steps = {}
    if size is None:
        steps = {n + 2: multiple * torch.export.Dim(f"n{n}", min=1, max=MOST_STEPS) for n in range(dims)}
        # different sizes: the exporter would identify axes of equal size
        size = [multiple * (trace_multiples + axis) for axis in range(dims)]
    example = tuple(torch.zeros(1, 1, *size) for _ in names)
    with silence():
        program = torch.onnx.export(
            network,
            example,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(names),
            output_names=["output"],
            dynamic_shapes=tuple(steps for _ in names) if steps else None,
            custom_translation_table=translations(),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    model.graph.name = name
    name_warps(model.graph)
    model.graph.ClearField("value_info")
    model.ClearField("metadata_props")
    model.graph.ClearField("metadata_props")
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    serialised: bytes = model.SerializeToString(deterministic=True)
    return serialised


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Suppress warnings and log lines of exporters, which users cannot act on."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
