"""How the warps of a network run in TensorRT; the one place that decides it.

- ``native``: as standard GridSample. TensorRT has it in 3-D from 11.2.1 on; TensorRT for RTX has it and
  supports nothing else.
- ``ahead``: our kernel is compiled into the engine, which then needs no Python (``aot_plugin``); from
  TensorRT 10.9 on.
- ``python``: our kernel is launched from Python (``python_plugin``); from TensorRT 10 on.

The first that works here is used, unless another is requested. ``cpp_ext/plugins/tensorrt`` has a fourth, for
programs without Python: a library of plugins for engines that were built the ``python`` way.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ...errors import BackendUnavailableError, InputError
from ..warp_nodes import with_warps
from . import aot_plugin, python_plugin

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

WAYS = ("native", "ahead", "python")
NATIVE_SINCE = (11, 2, 1)  # GridSample in five dimensions
_PLUGINS = {"ahead": aot_plugin, "python": python_plugin}


def way(name: str, version: str, requested: str | None = None) -> str:
    """Return the way that warps run here.

    Args:
        name: ``"tensorrt"`` or ``"tensorrt-rtx"``.
        version: Version of that library, such as ``"10.13.3.9"``.
        requested: One of ``WAYS``; None chooses the first that works here.

    Raises:
        BackendUnavailableError: The requested way cannot be used here, or none can.
        InputError: ``requested`` is not one of ``WAYS``.
    """
    if requested is not None and requested not in WAYS:
        raise InputError(
            "MMREG_E_BACKEND", f"Warps cannot run as {requested!r}. Choose one of {', '.join(WAYS)}."
        )
    reasons = _reasons(name, version)
    candidates = WAYS if requested is None else (requested,)
    for one in candidates:
        if reasons[one] is None:
            return one
    each = "; ".join(f"{one}: {reasons[one]}" for one in candidates)
    raise BackendUnavailableError(
        "MMREG_E_BACKEND",
        f"{name} {version} cannot run the network's warps here ({each}). Install TensorRT "
        f"{'.'.join(map(str, NATIVE_SINCE))} or later, or use the backend onnxruntime.",
    )


def _reasons(name: str, version: str) -> Mapping[str, str | None]:
    """Return why each way cannot be used here; None for those that can."""
    if name != "tensorrt":
        none = "TensorRT for RTX takes no plugins"
        return {"native": None, "ahead": none, "python": none}
    numbers = tuple(int(part) for part in version.split(".")[:3] if part.isdecimal())
    return {
        "native": None if numbers >= NATIVE_SINCE else "it has no GridSample in 3-D",
        **{one: plugin.unavailable_reason(numbers) for one, plugin in _PLUGINS.items()},
    }


def prepared(trt: ModuleType, name: str, model: bytes, requested: str | None = None) -> bytes:
    """Return the file that TensorRT is to read, and register the plugin that it needs.

    Args:
        trt: The library's module.
        name: ``"tensorrt"`` or ``"tensorrt-rtx"``.
        model: The bytes of an ONNX file; one without warps is returned unchanged.
        requested: As in ``way``, which also raises.
    """
    if not with_warps(model, {})[1]:
        return model
    plugin = _PLUGINS.get(way(name, trt.__version__, requested))
    if plugin is None:
        return model
    plugin.register(trt)
    return with_warps(model, plugin.ATTRIBUTES)[0]


def identity(chosen: str) -> str:
    """Return a name for this way in the facts of an engine; with the kernel's hash if the engine holds it."""
    if chosen != "ahead":
        return chosen
    return f"ahead {hashlib.sha256(aot_plugin.PTX.read_bytes()).hexdigest()[:16]}"
