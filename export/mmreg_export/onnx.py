"""The network of a method as one ONNX file, opset 20, for any size that is a multiple of the method's.

A method with a window gets that one size.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from typing import TYPE_CHECKING

import torch

from .warp_lowering import name_warps, translations

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import nn

    from mmreg_train.methods import Method

OPSET = 20  # the lowest with everything that networks here need, and what TensorRT 10 reads
MOST_STEPS = 64  # sizes up to so many multiples


def input_names(method: Method) -> tuple[str, ...]:
    """``image`` for a descriptor, which sees one scan at a time; else ``fixed`` and ``moving``."""
    return ("image",) if method.output_kind == "descriptor" else ("fixed", "moving")


def export_network(method: Method) -> bytes:
    """ONNX of ``method.network()``: inputs by ``input_names``, ``(1, 1, D, H, W)`` float32; one ``output``.

    Raises:
        torch.onnx.errors.OnnxExporterError: The network does what ONNX cannot say.
    """
    size = None if method.window is None else method.window.size
    names = input_names(method)
    return export_module(
        method.network(), names, method.dims, method.multiple, method.name, size, method.traced
    )


def export_module(
    network: nn.Module,
    names: Sequence[str],
    dims: int,
    multiple: int,
    name: str,
    size: Sequence[int] | None = None,
    traced: int = 2,
) -> bytes:
    """ONNX of a network of images ``(1, 1, D, H, W)`` or ``(1, 1, H, W)``, by ``names``; one ``output``.

    Images have the one ``size``, or without it any in multiples of ``multiple``. Names of layers and paths
    of source files are left out: the same weights give the same bytes. ``traced`` is as in ``Method``.

    Raises:
        torch.onnx.errors.OnnxExporterError: The network does what ONNX cannot say.
    """
    network = network.eval().cpu()
    steps = {}
    if size is None:
        steps = {n + 2: multiple * torch.export.Dim(f"n{n}", min=1, max=MOST_STEPS) for n in range(dims)}
        size = [
            multiple * (traced + axis) for axis in range(dims)
        ]  # if equal, two axes would be taken for one
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
    made = io.BytesIO()
    made.write(model.SerializeToString(deterministic=True))
    return made.getvalue()


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Exporters tell their story in warnings and log lines, none of which a user can act on."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
