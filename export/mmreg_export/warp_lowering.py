"""Export of warps as standard operators that the runtime can recognise.

``torch.ops.mmreg.warp`` becomes

    GridSample(image, Transpose(Add(Mul(Gather(displacement), scale), places)))

with channels reversed, since GridSample takes the last axis first, and moved to the end; -1 and 1 are the
outer faces of the image (``align_corners`` 0). A library without our kernel runs this as it is;
``mmreg_rt.backends.warp_nodes`` recognises the GridSample by its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from onnxscript import opset20

from mmreg_rt.backends.warp_nodes import NAME
from mmreg_train.layers import native

if TYPE_CHECKING:
    from collections.abc import Callable

op: Any = opset20  # its annotations allow only one type per value
_SOURCE = "torch.ops.mmreg.warp.default"
_PADDINGS = {"zero": "zeros", "extend": "border"}


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Return the table for ``torch.onnx.export(custom_translation_table=...)``, at opset 20."""
    assert native.warp is not None  # importing it registers the operation
    return {torch.ops.mmreg.warp.default: _warp}


def name_warps(graph: Any) -> None:
    """Name the GridSample nodes created by ``translations``, in place.

    Requires the metadata of the exporter, which records the torch operation of each node.
    """
    warps = [
        node
        for node in graph.node
        if node.op_type == "GridSample" and any(_SOURCE in remark.value for remark in node.metadata_props)
    ]
    for count, node in enumerate(warps):
        node.name = f"{NAME}.{count}"


def _warp(image: Any, displacement: Any, border: str) -> Any:
    dims = len(image.shape) - 2
    order = op.Constant(value_ints=list(range(dims))[::-1])
    extents = op.Gather(op.Cast(op.Shape(image, start=2), to=1), order)  # of the image, last axis first
    extents = op.Reshape(extents, op.Constant(value_ints=[-1] + [1] * dims))
    scale = op.Div(op.Constant(value_float=2.0), extents)
    moved = op.Mul(op.Gather(displacement, order, axis=1), scale)
    grid = op.Transpose(op.Add(moved, _places(displacement, extents, dims)), perm=[0, *range(2, dims + 2), 1])
    return op.GridSample(image, grid, align_corners=0, mode="linear", padding_mode=_PADDINGS[border])


def _places(displacement: Any, extents: Any, dims: int) -> Any:
    """Return voxel positions of the displacement grid in the image: (2 i + 1) / extent - 1 per axis."""
    first, step = op.Constant(value_int=1), op.Constant(value_int=2)
    odd = None
    for axis in range(dims):
        count = op.Squeeze(op.Shape(displacement, start=axis + 2, end=axis + 3))
        positions = op.Cast(op.Range(first, op.Mul(count, step), step), to=1)  # 2 i + 1
        shape = [1] + [-1 if other == axis else 1 for other in range(dims)]
        unit = [float(other == axis) for other in range(dims)][::-1]  # its component, last axis first
        component = op.Reshape(op.Constant(value_floats=unit), op.Constant(value_ints=[-1] + [1] * dims))
        part = op.Mul(op.Reshape(positions, op.Constant(value_ints=shape)), component)
        odd = part if odd is None else op.Add(odd, part)
    return op.Sub(op.Div(odd, extents), op.Constant(value_float=1.0))
