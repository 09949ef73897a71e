"""Networks of fixed shape in files, as deployments have them: each engine converts, loads and times them.

``static_onnx.py`` and ``openvino/static_ir.py`` have the functions of ``Engine``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..geometry import Float32
    from .session import CheckedSession

_MODULES = {"openvino": "openvino.static_ir", "onnxruntime": "static_onnx"}


class Engine(Protocol):
    """The functions of ``backends/static_onnx.py`` and ``backends/openvino/static_ir.py``."""

    def converted(self, model: bytes, shapes: dict[str, tuple[int, ...]]) -> dict[str, bytes]:
        """Return the files of a network whose inputs and output have fixed shapes."""

    def load(self, files: Mapping[str, bytes], precision: str, threads: int) -> CheckedSession:
        """Load these files."""

    def longest_layer_s(
        self,
        files: Mapping[str, bytes],
        precision: str,
        threads: int,
        inputs: Mapping[str, Float32],
        runs: int,
    ) -> float:
        """Return the longest time of one layer in s."""


ENGINES = tuple(_MODULES)


def engine(name: str) -> Engine:
    """Return the engine ``"openvino"`` or ``"onnxruntime"``."""
    return cast(Engine, import_module(f"{__package__}.{_MODULES[name]}"))


def version_of_engine(name: str) -> str:
    """Return the version of the installed library, as deployments name it; "" if there is none."""
    from . import version_of

    return version_of(name).partition("-")[0]
