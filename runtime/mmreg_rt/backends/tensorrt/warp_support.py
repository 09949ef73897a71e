"""What the warps of a network become in TensorRT; the one place that says which way is taken.

- ``native``: they stay the standard's GridSample. TensorRT has it in 3-D from 11.2.1 on, and TensorRT for RTX
  has it; that one takes no other way.
- ``ahead``: our kernel is compiled into the engine, which then needs no Python (``tensorrt_ahead``): from
  TensorRT 10.9 on.
- ``python``: our kernel is launched from Python (``tensorrt_plugin``): from TensorRT 10 on.

Taken is the first of these that can be used here, unless another is asked for. ``cpp_ext/tensorrt`` has a
fourth, for programs without Python: a library of plugins for engines that were built the last way.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from ...errors import BackendUnavailableError, InputError
from ..warp_nodes import with_warps
from . import aot_plugin, python_plugin

if TYPE_CHECKING:
    from collections.abc import Mapping

WAYS = ("native", "ahead", "python")
NATIVE_SINCE = (11, 2, 1)  # GridSample of five dimensions
_PLUGINS = {"ahead": aot_plugin, "python": python_plugin}


def way(name: str, version: str, asked: str | None = None) -> str:
    """The way that is taken here.

    Args:
        name: ``"tensorrt"`` or ``"tensorrt-rtx"``.
        version: Of that library, as ``"10.13.3.9"``.
        asked: This one or none.

    Raises:
        BackendUnavailableError: It cannot be used here, or none can.
        InputError: ``asked`` is no way.
    """
    if asked is not None and asked not in WAYS:
        raise InputError("MMREG_E_BACKEND", f"Warps become one of {', '.join(WAYS)}, not {asked!r}.")
    reasons = _reasons(name, version)
    for one in WAYS if asked is None else (asked,):
        if reasons[one] is None:
            return one
    said = "; ".join(f"{one}: {reasons[one]}" for one in (WAYS if asked is None else (asked,)))
    raise BackendUnavailableError(
        "MMREG_E_BACKEND",
        f"{name} {version} cannot run the network's warps here ({said}). Install TensorRT "
        f"{'.'.join(map(str, NATIVE_SINCE))} or later, or take the backend onnxruntime.",
    )


def _reasons(name: str, version: str) -> Mapping[str, str | None]:
    """Why each way cannot be used here; None for those that can."""
    if name != "tensorrt":
        none = "TensorRT for RTX takes no plugins"
        return {"native": None, "ahead": none, "python": none}
    found = tuple(int(part) for part in version.split(".")[:3] if part.isdecimal())
    return {
        "native": None if found >= NATIVE_SINCE else "it has no GridSample in 3-D",
        **{one: plugin.why_not(found) for one, plugin in _PLUGINS.items()},
    }


def prepared(trt: Any, name: str, model: bytes, asked: str | None = None) -> bytes:
    """The file as TensorRT is to read it, and the plugin that it needs made known.

    Args:
        trt: The library's module.
        name: Of the library.
        model: ONNX; one without warps stays what it is.
        asked: As in ``way``, which says what is raised.
    """
    if not with_warps(model, {})[1]:
        return model
    plugin = _PLUGINS.get(way(name, trt.__version__, asked))
    if plugin is None:
        return model
    plugin.register(trt)
    return with_warps(model, plugin.ATTRIBUTES)[0]


def identity(one: str) -> str:
    """What an engine depends on by this way: also the kernel, if it holds it."""
    if one != "ahead":
        return one
    return f"ahead {hashlib.sha256(aot_plugin.PTX.read_bytes()).hexdigest()[:16]}"
