"""Paths of the C library, its headers, its CMake package and its pkg-config file.

They are strings, as build tools expect them.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import BackendUnavailableError

PACKAGE = Path(__file__).resolve().parents[1]


def get_library() -> str:
    """Return the path of ``libmmreg.so.1``, for ``ctypes.CDLL`` or ``dlopen``.

    Raises:
        BackendUnavailableError: This installation has no C library.
    """
    return _installed("lib/libmmreg.so.1")


def get_include() -> str:
    """Return the folder of ``mmreg.h`` and ``mmreg.hpp``.

    Raises:
        BackendUnavailableError: This installation has no C library.
    """
    return _folder_of("include/mmreg.h")


def get_cmake_dir() -> str:
    """Return the value of ``mmreg_DIR``, with which CMake's ``find_package(mmreg)`` finds the C library.

    Raises:
        BackendUnavailableError: This installation has no C library.
    """
    return _folder_of("lib/cmake/mmreg/mmregConfig.cmake")


def get_pkgconfig_dir() -> str:
    """Return the folder of ``mmreg.pc``, for ``PKG_CONFIG_PATH``.

    Raises:
        BackendUnavailableError: This installation has no C library.
    """
    return _folder_of("lib/pkgconfig/mmreg.pc")


def _folder_of(name: str) -> str:
    return str(Path(_installed(name)).parent)


def _installed(name: str) -> str:
    path = PACKAGE / name
    if not path.is_file():
        raise BackendUnavailableError(
            "MMREG_E_C_LIBRARY",
            f"This installation of mmreg_rt has no C library: there is no {path}. Install the wheel, or "
            "build it with MMREG_CAPI=ON.",
        )
    return str(path)
