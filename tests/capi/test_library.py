"""The library as a file: what it exports, what it needs, how it is hardened; its headers alone."""

import re
from pathlib import Path

import pytest
from fixtures.c_library import HEADERS, run, tool

EXPORTED = Path(__file__).with_name("exported_symbols.txt")
CONSTANTS = Path(__file__).with_name("constants.txt")


@pytest.fixture(scope="module")
def library(any_installation):
    return any_installation.library


@pytest.fixture(scope="module")
def dynamic(library):
    """The dynamic section: pairs of a tag and its value."""
    lines = run(tool("readelf"), "-dW", library).splitlines()
    return re.findall(r"\((\w+)\)\s+(.*)", "\n".join(lines))


def header():
    return re.sub(r"/\*.*?\*/", "", (HEADERS / "mmreg.h").read_text(), flags=re.S)


def constants():
    enums = re.findall(r"(MMREG_\w+) = (-?\d+)", header())
    return [
        f"{name} {value}" for name, value in (*enums, *re.findall(r"#define (MMREG_\w+) (\d+)", header()))
    ]


def test_exported_are_the_stored_symbols_and_no_others(library):
    lines = run(tool("nm"), "-D", "--defined-only", library).splitlines()
    assert [line.split()[-1] for line in lines] == EXPORTED.read_text().split()


def test_each_function_of_the_header_is_exported():
    functions = re.findall(r"^MMREG_API [^;(]*?(\w+)\(", header(), re.M)
    assert len(functions) >= 16
    assert sorted(f"{name}@@MMREG_1" for name in functions) == EXPORTED.read_text().split()[1:]


def test_a_constant_never_changes_its_value():
    """A new one is added to the stored list."""
    assert sorted(constants()) == CONSTANTS.read_text().splitlines()


def test_it_needs_the_c_library_alone(dynamic):
    needed = {re.search(r"\[(.*)\]", value)[1] for tag, value in dynamic if tag == "NEEDED"}
    assert "libc.so.6" in needed
    assert not {name for name in needed if not re.match(r"(libc|libm|ld-linux[\w-]*)\.so\.\d$", name)}


def test_its_name_has_the_number_of_the_abi(dynamic):
    assert [value for tag, value in dynamic if tag == "SONAME"] == ["Library soname: [libmmreg.so.1]"]


def test_relocations_are_read_only(dynamic, library):
    flags = " ".join(value for tag, value in dynamic if tag in ("FLAGS", "FLAGS_1", "BIND_NOW"))
    assert "NOW" in flags
    assert "GNU_RELRO" in run(tool("readelf"), "-lW", library)
    assert not [tag for tag, _ in dynamic if tag in ("RPATH", "RUNPATH", "TEXTREL")]


def test_the_stack_is_not_executable(library):
    (stack,) = [line for line in run(tool("readelf"), "-lW", library).splitlines() if "GNU_STACK" in line]
    assert stack.split()[-2] == "RW"


C = [("mmreg.h", ("gcc", "clang"), "c", standard) for standard in ("c99", "c11")]
CPP = [(name, ("g++", "clang++"), "c++", "c++17") for name in ("mmreg.h", "mmreg.hpp")]


@pytest.mark.parametrize(
    ("name", "compiler", "language", "standard"),
    [(name, one, *how) for name, both, *how in (*C, *CPP) for one in both],
)
def test_a_header_compiles_alone_without_a_warning(name, compiler, language, standard, tmp_path):
    (tmp_path / "alone").write_text(f"#include <{name}>\n#include <{name}>\nextern int declared;\n")
    warnings = ["-pedantic", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow", "-Wcast-qual"]
    strict = ["-Wstrict-prototypes"] if language == "c" else ["-Wold-style-cast"]
    words = ["-x", language, f"-std={standard}", *warnings, *strict, "-I", HEADERS, "-c", tmp_path / "alone"]
    run(tool(compiler), *words, "-o", tmp_path / "alone.o")
