"""Where the C library, libmmreg, lies in this installation, for the programs that are built with it."""

from .places import get_cmake_dir, get_include, get_library, get_pkgconfig_dir

__all__ = ["get_cmake_dir", "get_include", "get_library", "get_pkgconfig_dir"]
