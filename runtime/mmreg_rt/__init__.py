"""Multimodal medical image registration: two scans in, one transform out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .bundle import Bundle, open_bundle
    from .c_library import get_cmake_dir, get_include, get_library, get_pkgconfig_dir
    from .errors import (
        BackendUnavailableError,
        BundleError,
        CancelledError,
        DecisionLogError,
        DeviceError,
        GeometryError,
        InputError,
        IntensityError,
        MmregError,
        OutOfMemoryError,
        OutsideWarning,
        RegistrationError,
        TrainingError,
        TransformError,
    )
    from .geometry import Grid, Volume
    from .io import read_image, read_points, read_transform, write_image, write_points, write_transform
    from .options import RegistrarOptions
    from .plan import Plan, PlanResult
    from .registrar import Registrar
    from .results import Quality, Registration
    from .session import Session
    from .transform import Affine, Composite, DisplacementField, Folding, Rigid, Transform

__all__ = [
    "Affine",
    "BackendUnavailableError",
    "Bundle",
    "BundleError",
    "CancelledError",
    "Composite",
    "DecisionLogError",
    "DeviceError",
    "DisplacementField",
    "Folding",
    "GeometryError",
    "Grid",
    "InputError",
    "IntensityError",
    "MmregError",
    "OutOfMemoryError",
    "OutsideWarning",
    "Plan",
    "PlanResult",
    "Quality",
    "Registrar",
    "RegistrarOptions",
    "Registration",
    "RegistrationError",
    "Rigid",
    "Session",
    "TrainingError",
    "Transform",
    "TransformError",
    "Volume",
    "get_cmake_dir",
    "get_include",
    "get_library",
    "get_pkgconfig_dir",
    "open_bundle",
    "read_image",
    "read_points",
    "read_transform",
    "write_image",
    "write_points",
    "write_transform",
]

# Public names by module, which is imported on first use; all others are errors.
_MODULES = {
    "bundle": ("Bundle", "open_bundle"),
    "c_library": ("get_cmake_dir", "get_include", "get_library", "get_pkgconfig_dir"),
    "geometry": ("Grid", "Volume"),
    "io": ("read_image", "read_points", "read_transform", "write_image", "write_points", "write_transform"),
    "options": ("RegistrarOptions",),
    "plan": ("Plan", "PlanResult"),
    "registrar": ("Registrar",),
    "results": ("Quality", "Registration"),
    "session": ("Session",),
    "transform": ("Affine", "Composite", "DisplacementField", "Folding", "Rigid", "Transform"),
}
_MODULE_OF = dict.fromkeys(__all__, "errors")
_MODULE_OF |= {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    from .process import libraries, memory

    libraries.check()
    with memory.translate_shortage():
        value: object = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
