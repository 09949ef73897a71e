"""``mmreg::Warp`` as a TensorRT plugin that runs in Python; ``warp_support`` decides when it is used.

One creator in the registry of TensorRT makes the plugin when a file is parsed and again when an engine is
loaded; the engine stores only the padding. It launches our kernel on TensorRT's stream from Python, which
costs some tens of microseconds of CPU time a warp. TensorRT for RTX takes no plugins: its network has no
method for them, and its parser ends the process at one.

Not run on a GPU yet: the classes are tested with the interfaces of TensorRT for RTX, which are the same, and
the kernel as compiled for the host. Source: developer guide of TensorRT 10, "Adding Custom Layers using the
Python API (Advanced)".
"""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..warp_nodes import DOMAIN, OPERATOR

if TYPE_CHECKING:
    from collections.abc import Sequence

    import tensorrt as rt

    from ..._native import DeviceQueue

    Memory = Sequence[int]  # addresses
    Ranges = Sequence[rt.DynamicPluginTensorDesc]
    Tensors = Sequence[rt.PluginTensorDesc]

SINCE = (10, 0)  # plugins of the third generation
VERSION = "1"
# The parser finds the creator by these.
ATTRIBUTES: dict[str, int | str] = {"plugin_namespace": DOMAIN, "plugin_version": VERSION}
_BORDERS = {"zeros": "zero", "border": "extend"}
_creators: dict[str, rt.IPluginCreatorV3One] = {}  # the registry does not keep Python objects alive


def unavailable_reason(version: tuple[int, ...]) -> str | None:
    """Return why this form cannot be used here with a version of TensorRT, or None if it can."""
    import mmreg_rt._native as _native

    if version < SINCE:
        return "plugins in Python need TensorRT 10"
    return _native.why_no_device("cuda") or None


def register(trt: ModuleType, target: str | None = None) -> None:
    """Register the plugin with TensorRT, once; new plugins run on ``target``, or on the last one if None."""
    if trt.__name__ not in _creators:
        warp_creator = creator(trt)
        trt.get_plugin_registry().register_creator(warp_creator, DOMAIN)
        _creators[trt.__name__] = warp_creator
    if target is not None:
        _creators[trt.__name__].target = target


def creator(trt: Any) -> rt.IPluginCreatorV3One:
    """Return the creator that makes the plugin from its fields, as a class of this library."""
    plugin = _plugin(trt)

    class WarpCreator(trt.IPluginCreatorV3One):  # type: ignore[misc]  # the library is optional
        def __init__(self) -> None:
            super().__init__()
            self.name, self.plugin_namespace, self.plugin_version = OPERATOR, DOMAIN, VERSION
            self.field_names = trt.PluginFieldCollection(
                [trt.PluginField("padding", b"", trt.PluginFieldType.CHAR)]
            )
            self.target = "cuda"

        def create_plugin(self, _name: str, fields: list[rt.PluginField], _: object) -> rt.IPluginV3 | None:
            values = {field.name: bytes(field.data).rstrip(b"\0").decode() for field in fields}
            padding = values.get("padding")
            return plugin(padding, self.target) if padding in _BORDERS else None  # None: refused

    return WarpCreator()


def _plugin(trt: ModuleType) -> type[rt.IPluginV3]:
    bases = (trt.IPluginV3, trt.IPluginV3OneCore, trt.IPluginV3OneBuild, trt.IPluginV3OneRuntime)

    class Warp(*bases):  # type: ignore[misc]
        """The warp: contiguous float32 in and out, as files declare it; the network is strongly typed."""

        def __init__(self, padding: str, target: str) -> None:
            for base in bases:
                base.__init__(self)
            self.plugin_name, self.plugin_namespace, self.plugin_version = OPERATOR, DOMAIN, VERSION
            self.num_outputs = 1
            self.padding, self.target = padding, target
            self._kept = padding.encode()  # the field only holds its address
            self._field = trt.PluginField("padding", self._kept, trt.PluginFieldType.CHAR)

        def get_capability_interface(self, _kind: object) -> Warp:
            return self

        def clone(self) -> Warp:
            return Warp(self.padding, self.target)

        def attach_to_context(self, _context: object) -> Warp:
            return self.clone()

        def get_output_data_types(self, types: list[rt.DataType]) -> list[rt.DataType]:
            return [types[0]]

        def get_output_shapes(self, inputs: list[rt.DimsExprs], _1: object, _2: object) -> list[rt.DimsExprs]:
            image, displacement = inputs
            shape = trt.DimsExprs(displacement)
            shape[1] = image[1]
            return [shape]

        def supports_format_combination(self, position: int, tensors: Ranges, _inputs: int) -> bool:
            tensor = tensors[position].desc
            return bool(tensor.type == trt.DataType.FLOAT and tensor.format == trt.TensorFormat.LINEAR)

        def get_fields_to_serialize(self) -> rt.PluginFieldCollection:
            return trt.PluginFieldCollection([self._field])

        def enqueue(
            self, tensors: Tensors, _: Tensors, inputs: Memory, outputs: Memory, workspace: int, stream: int
        ) -> None:
            shapes = [tuple(one.dims) for one in tensors]
            arguments = (inputs[0], shapes[0], inputs[1], shapes[1], _BORDERS[self.padding], outputs[0])
            _queue(self.target, stream).warp(*arguments, workspace or 0)

        def configure_plugin(self, _inputs: object, _outputs: object) -> None: ...
        def on_shape_change(self, _inputs: object, _outputs: object) -> None: ...
        def set_tactic(self, _tactic: int) -> None: ...
        def get_valid_tactics(self) -> list[int]:
            return []

        def get_workspace_size(self, inputs: Ranges, _outputs: object) -> int:
            most = tuple(inputs[1].max)
            return 4 * 3 * most[2] * most[3] if len(most) == 4 else 0  # for a third component

    return Warp


@lru_cache(maxsize=16)  # a queue waits for its stream when it is dropped
def _queue(target: str, stream: int) -> DeviceQueue:
    import mmreg_rt._native as _native

    return _native.DeviceQueue(target, stream)
