"""mmreg-config and the functions behind it, in an installation with and without the C library."""

from pathlib import Path

import pytest
from click.testing import CliRunner

import mmreg_rt
from mmreg_rt.c_library import places
from mmreg_rt.cli.config import main
from mmreg_rt.errors import BackendUnavailableError

FILES = (
    "lib/libmmreg.so.1",
    "include/mmreg.h",
    "lib/cmake/mmreg/mmregConfig.cmake",
    "lib/pkgconfig/mmreg.pc",
)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installation with an empty file for each of the library's."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.setattr(places, "PACKAGE", tmp_path)
    return tmp_path


def printed(*words, code=0):
    done = CliRunner().invoke(main, words)
    assert done.exit_code == code, done.output
    return done.output


def test_each_function_names_a_place_in_the_package(package):
    assert mmreg_rt.get_library() == str(package / "lib" / "libmmreg.so.1")
    assert mmreg_rt.get_include() == str(package / "include")
    assert mmreg_rt.get_cmake_dir() == str(package / "lib" / "cmake" / "mmreg")
    assert mmreg_rt.get_pkgconfig_dir() == str(package / "lib" / "pkgconfig")


def test_the_options_print_what_a_compiler_and_a_linker_need(package):
    assert printed("--cmakedir") == f"{package}/lib/cmake/mmreg\n"
    assert printed("--pkgconfigdir") == f"{package}/lib/pkgconfig\n"
    assert printed("--includes", "--libs").split() == [
        f"-I{package}/include",
        f"-L{package}/lib",
        f"-Wl,-rpath,{package}/lib",
        "-lmmreg",
    ]


def test_the_version_is_that_of_the_package():
    text = Path(__file__).parents[2].joinpath("pyproject.toml").read_text()
    assert f'\nversion = "{printed("--version").strip()}"\n' in text


@pytest.mark.parametrize(
    "function",
    [mmreg_rt.get_library, mmreg_rt.get_include, mmreg_rt.get_cmake_dir, mmreg_rt.get_pkgconfig_dir],
)
def test_an_installation_without_the_library_is_an_error_with_a_code(function, tmp_path, monkeypatch):
    monkeypatch.setattr(places, "PACKAGE", tmp_path)
    with pytest.raises(BackendUnavailableError, match="MMREG_CAPI=ON") as caught:
        function()
    assert caught.value.code == "MMREG_E_C_LIBRARY"
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("option", ["--cmakedir", "--includes", "--pkgconfigdir", "--libs"])
def test_the_command_then_fails_with_one_line(option, tmp_path, monkeypatch):
    monkeypatch.setattr(places, "PACKAGE", tmp_path)
    text = printed(option, code=5)
    assert text.count("\n") == 1
    assert text.endswith("[MMREG_E_C_LIBRARY]\n")


def test_the_command_needs_an_option():
    assert "--help" in printed(code=2)
