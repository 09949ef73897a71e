"""Programs outside of this project find the C library, build without a warning and get Python's field."""

import itertools
import os
import subprocess
import sys
from functools import partial
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from fixtures.c_library import run, tool
from fixtures.scene import FLAT, centred, moved, pair, scan

import mmreg_rt
from mmreg_rt import Registrar

OUTSIDE = Path(__file__).parent / "outside"
CUBE = centred((32, 32, 32), (2.0, 2.0, 2.0))
PAIRS = {
    "slice": pair(FLAT, FLAT, partial(moved, plane=True)),
    "cube": (scan(CUBE, True, moved), scan(CUBE, True)),
}
COMPILERS = (("gcc", "g++"), ("clang", "clang++"))


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """By the name of a pair: the folder of its files, and the field that Python computes."""
    out = {}
    for name, (fixed, moving) in PAIRS.items():
        folder = tmp_path_factory.mktemp(name)
        write_image(folder / "fixed", fixed)
        write_image(folder / "moving", moving)
        out[name] = folder, Registrar().session(fixed).register(moving).displacement_mm
    return out


def write_image(path, image):
    parts = np.array(image.grid.shape, np.int64), np.array(image.grid.affine, np.float64), image.data
    path.write_bytes(b"".join(np.ascontiguousarray(part).tobytes() for part in parts))


def with_cmake(installed, folder, c, cpp):
    words = ("-G", "Ninja", f"-DCMAKE_C_COMPILER={c}", f"-DCMAKE_CXX_COMPILER={cpp}")
    run(tool("cmake"), "-S", OUTSIDE, "-B", folder, *words, installed.cmake_argument)
    run(tool("cmake"), "--build", folder)
    return {}  # CMake has written into the programs where the library is


def with_pkg_config(installed, folder, c, cpp):
    tool("pkg-config")
    environment = os.environ | {"PKG_CONFIG_PATH": str(installed.pkgconfig_dir)}
    run(tool("make"), "-C", OUTSIDE, f"OUT={folder}", f"CC={c}", f"CXX={cpp}", env=environment)
    return {"LD_LIBRARY_PATH": str(installed.library.parent)}


BUILDS = [
    ("prefix", with_cmake, COMPILERS[0]),
    *itertools.product(("wheel", "debian"), (with_cmake, with_pkg_config), COMPILERS),
]


@pytest.fixture(scope="module", params=BUILDS, ids=lambda b: f"{b[0]}-{b[1].__name__}-{b[2][0]}")
def programs(request, installed, tmp_path_factory):
    """The folder of the built programs, and the environment in which they run."""
    layout, build, compilers = request.param
    folder = tmp_path_factory.mktemp("programs")
    return folder, build(installed(layout), folder, *map(tool, compilers))


def assert_field_of_python(program, environment, folder, expected):
    run(program, folder / "fixed", folder / "moving", folder / "field", env=os.environ | environment)
    field = np.fromfile(folder / "field", np.float32).reshape(expected.shape)
    assert np.abs(field).max() > 1  # something moved
    np.testing.assert_array_equal(field, expected)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("program", ["register_c", "register_cpp"])
def test_the_field_is_that_of_python(programs, scans, program, pair):
    folder, environment = programs
    assert_field_of_python(folder / program, environment, *scans[pair])


def test_the_flags_of_mmreg_config_build_a_program_that_finds_the_library(installed, scans, tmp_path):
    installed("wheel")
    command = Path(sys.executable).with_name("mmreg-config")
    code = "from mmreg_rt.cli.config import main; main()"
    words = [command] if command.exists() else [sys.executable, "-c", code]
    flags = run(*words, "--includes", "--libs").split()
    run(tool("cc"), "-std=c99", OUTSIDE / "register.c", *flags, "-o", tmp_path / "program")
    assert_field_of_python(tmp_path / "program", {}, *scans["slice"])


def test_other_python_packages_find_it_by_the_entry_point(installed, tmp_path):
    """scikit-build-core sets mmreg_ROOT to the package that the entry point names."""
    installed("wheel")
    (entry,) = {entry.value for entry in metadata.entry_points(group="cmake.root", name="mmreg")}
    assert entry == mmreg_rt.__name__
    root = Path(mmreg_rt.__file__).parent
    assert "found 0.1" in find(tmp_path, "0.1", f"-Dmmreg_ROOT={root}")


@pytest.mark.parametrize(
    ("version", "outcome"),
    [("0.1", "found"), ("0.0.9", "missing"), ("0.2", "missing"), ("1", "missing")],
)
def test_only_the_same_minor_version_is_found(any_installation, tmp_path, version, outcome):
    assert outcome in find(tmp_path, version, any_installation.cmake_argument)


def find(folder, version, argument):
    """Return the outcome of ``find_package(mmreg VERSION)``."""
    (folder / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.18)\nproject(finds LANGUAGES CXX)\n"
        f"find_package(mmreg {version} CONFIG QUIET)\n"
        'if(mmreg_FOUND)\n  message("found ${mmreg_VERSION}")\nelse()\n  message(missing)\nendif()\n'
    )
    words = [tool("cmake"), "-G", "Ninja", "-S", folder, "-B", folder / "build", argument]
    return subprocess.run(words, check=True, capture_output=True, text=True).stderr
