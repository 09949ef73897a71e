"""The examples, built as their pages say: by CMake, against the installed C library."""

import functools
from pathlib import Path

import pytest
from fixtures import c_library
from fixtures.c_library import run, tool

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="session")
def example(tmp_path_factory):
    """Return a function that builds an example and returns the path of its program."""
    layout = "wheel" if c_library.has_wheel() else "prefix"
    installation = c_library.install(layout, tmp_path_factory.mktemp(layout))

    @functools.cache
    def build(name):
        folder = tmp_path_factory.mktemp(name)
        run(tool("cmake"), "-S", EXAMPLES / name, "-B", folder, installation.cmake_argument)
        run(tool("cmake"), "--build", folder)
        return folder / name

    return build
