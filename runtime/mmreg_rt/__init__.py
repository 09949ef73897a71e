"""Multimodal medical image registration: two scans in, one transform out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .geometry import Grid, Volume
    from .io import read_image, read_points, read_transform, write_image, write_points, write_transform
    from .registrar import Registrar
    from .results import Quality, Registration
    from .transform import Affine, Composite, DisplacementField, Folding, Rigid, Transform

__all__ = [
    "Affine",
    "Composite",
    "DisplacementField",
    "Folding",
    "Grid",
    "Quality",
    "Registrar",
    "Registration",
    "Rigid",
    "Transform",
    "Volume",
    "read_image",
    "read_points",
    "read_transform",
    "write_image",
    "write_points",
    "write_transform",
]

_MODULES = {
    "geometry": ("Grid", "Volume"),
    "io": ("read_image", "read_points", "read_transform", "write_image", "write_points", "write_transform"),
    "registrar": ("Registrar",),
    "results": ("Quality", "Registration"),
    "transform": ("Affine", "Composite", "DisplacementField", "Folding", "Rigid", "Transform"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    from .process import libraries, memory

    libraries.check()
    with memory.shortage_in_our_words():
        value: object = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
