"""``mmreg::Warp`` compiled ahead of time: engines include our kernel as PTX and then need no Python.

The definition is for ``tensorrt.plugin`` of TensorRT 10.9 and later. The kernels are those of
``cpp_ext/plugins/tensorrt/warp_ahead.cu``, installed beside the package if it was built with nvcc. A driver
compiles PTX only if it is as new as the toolkit that made it.

Not run by TensorRT yet: the kernels are tested as compiled for the host, with the launch defined here.
Source: TensorRT's documentation of ``tensorrt.plugin.aot_impl``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, TypeAlias

from ...errors import InputError
from ..warp_nodes import OPERATOR

if TYPE_CHECKING:
    from tensorrt.plugin import KernelLaunchParams, ShapeExpr, SymIntExprs
    from tensorrt.plugin import TensorDesc as Tensor

    Extent: TypeAlias = int | ShapeExpr
    Launch: TypeAlias = tuple[bytes, bytes, KernelLaunchParams, SymIntExprs]

SINCE = (10, 9)
PTX = Path(__file__).parents[2] / "warp_ahead.ptx"
NAMESPACE = "mmreg_ahead"  # unlike that of python_plugin: a registry takes each name once
ATTRIBUTES: dict[str, int | str] = {"plugin_namespace": NAMESPACE, "plugin_version": "1", "aot": 1}
ENTRIES = {4: "mmreg_warp_planes", 5: "mmreg_warp_volumes"}  # by the number of axes of an image (N, C, ...)
BLOCK = (32, 8, 1)  # threads along columns, rows, as the kernels divide the voxels
PADDINGS = ("zeros", "border")
_registered: set[str] = set()


def unavailable_reason(version: tuple[int, ...]) -> str | None:
    """Return why this form cannot be used here with a version of TensorRT, or None if it can."""
    import mmreg_rt._native as _native

    if version < SINCE:
        return "kernels in engines need TensorRT 10.9"
    if not PTX.is_file():
        return "this mmreg_rt was built without nvcc, and has no PTX"
    if _native.why_no_device("cuda"):
        return None  # TensorRT itself cannot run, and reports it
    driver, needed = _native.device_facts("cuda")["driver"], needed_driver(PTX.read_text())
    if driver < needed:
        return f"its PTX needs a driver for CUDA {_words(needed)}, and this one is for {_words(driver)}"
    return None


def needed_driver(ptx: str) -> int:
    """Return the CUDA version that a driver needs to compile ``ptx``, such as 13000 for 13.0."""
    release = re.search(r"^// Cuda compilation tools, release (\d+)\.(\d+)", ptx, re.M)
    return 1000 * int(release[1]) + 10 * int(release[2]) if release else 0


def scalars(image: Sequence[Extent], displacement: Sequence[Extent], padding: str) -> tuple[Extent, ...]:
    """Return the kernel arguments between its inputs and its output.

    Args:
        image: Shape (N, C, ...), as ints or TensorRT expressions.
        displacement: Shape (N, axes, ...), likewise.
        padding: ``"zeros"`` or ``"border"``.

    Raises:
        InputError: The padding is neither.
    """
    if padding not in PADDINGS:
        raise InputError(
            "MMREG_E_MODEL_LOAD",
            f"A warp must pad with {' or '.join(PADDINGS)}, not {padding!r}. "
            "Export the model with one of these.",
        )
    return (image[1], *image[2:], *displacement[2:], PADDINGS.index(padding))


def blocks(displacement: Sequence[Extent]) -> tuple[Extent, Extent, Extent]:
    """Return the number of thread blocks along x, y, z: groups of rows, groups of columns, samples."""
    *outer, width = displacement[2:]
    rows = outer[0] if len(outer) == 1 else outer[0] * outer[1]
    return (rows + (BLOCK[1] - 1)) // BLOCK[1], (width + (BLOCK[0] - 1)) // BLOCK[0], displacement[0]


def register(trt: ModuleType) -> None:
    """Register the plugin with TensorRT, once."""
    if trt.__name__ not in _registered:
        define(import_module(f"{trt.__name__}.plugin"), PTX.read_bytes())
        _registered.add(trt.__name__)


def define(quick: ModuleType, ptx: bytes) -> None:
    """Define the plugin for a ``tensorrt.plugin`` module, which reads the annotations of functions."""
    name = f"{NAMESPACE}::{OPERATOR}"

    def describe(image: Tensor, displacement: Tensor, padding: str) -> Tensor:  # noqa: ARG001
        shape = [*displacement.shape_expr]
        shape[1] = image.shape_expr[1]
        return quick.from_shape_expr(tuple(shape), dtype=image.dtype)

    tensor = quick.TensorDesc
    describe.__annotations__ = {"image": tensor, "displacement": tensor, "padding": str, "return": tensor}
    quick.register(name)(describe)

    def types(image, displacement, outputs):  # type: ignore[no-untyped-def]  # noqa: ARG001
        return [quick.AutoTuneCombination("FP32, FP32, FP32", "LINEAR")]

    quick.autotune(name)(types)

    def kernel(image: Tensor, displacement: Tensor, padding: str, outputs: object, tactic: int) -> Launch:  # noqa: ARG001
        shapes = [*image.shape_expr], [*displacement.shape_expr]
        launch = quick.KernelLaunchParams()
        launch.grid_x, launch.grid_y, launch.grid_z = blocks(shapes[1])
        launch.block_x, launch.block_y, launch.block_z = BLOCK
        arguments = [quick.SymInt32(one) for one in scalars(*shapes, padding.rstrip("\0"))]
        entry = ENTRIES[len(shapes[0])].encode()
        return entry, ptx, launch, quick.SymIntExprs.from_tuple(tuple(arguments))

    returned = (bytes, bytes, quick.KernelLaunchParams, quick.SymIntExprs)
    kernel.__annotations__ = {"return": tuple.__class_getitem__(returned)}
    quick.aot_impl(name)(kernel)


def _words(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"
