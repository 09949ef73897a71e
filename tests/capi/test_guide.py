"""The programs and fragments of docs/c_api.md compile as they stand; the programs do what the page says."""

import os
import re

import pytest
from fixtures.c_library import ROOT, run, tool

PAGE = (ROOT / "docs" / "c_api.md").read_text()
C = re.findall(r"```c\n(.*?)```", PAGE, re.DOTALL)
CPP = re.findall(r"```cpp\n(.*?)```", PAGE, re.DOTALL)
WARNINGS = ("-pedantic", "-Wall", "-Wextra", "-Werror")
AROUND_FRAGMENT = """#include <mmreg.h>
void drop_frame(void);
void use(const void* value);
void fragment(mmreg_session* session, mmreg_image moving, mmreg_outputs outputs, mmreg_result result) {{
{fragment}
  use({names});
}}
"""


@pytest.fixture
def output_of(any_installation, tmp_path):
    """Return what a program prints."""

    def build_and_run(compiler, standard, suffix, text):
        source = tmp_path / f"program{suffix}"
        source.write_text(text)
        place = any_installation.library.parent
        links = ["-I", any_installation.include, "-L", place, "-lmmreg", "-o", tmp_path / "program"]
        run(tool(compiler), standard, *WARNINGS, source, *links)
        return run(tmp_path / "program", env=os.environ | {"LD_LIBRARY_PATH": str(place)})

    return build_and_run


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_the_first_program_in_c_finds_the_shift(output_of, compiler):
    assert output_of(compiler, "-std=c99", ".c", C[0]).startswith("the centre moved by 4.0 mm in ")


def test_the_first_program_in_cpp_makes_the_images_alike(output_of):
    before, after = map(float, re.findall(r"[\d.]+", output_of("g++", "-std=c++17", ".cpp", CPP[0])))
    assert after > before


@pytest.mark.parametrize("fragment", C[1:])
def test_a_fragment_compiles(any_installation, fragment, tmp_path):
    names = re.findall(r"^mmreg_\w+ (\w+) =", fragment, re.MULTILINE)
    text = AROUND_FRAGMENT.format(fragment=fragment, names="); use(".join(f"&{name}" for name in names))
    (tmp_path / "fragment.c").write_text(text)
    flags = [*WARNINGS, "-Wno-unused-parameter", "-I", any_installation.include, "-fsyntax-only"]
    run(tool("gcc"), "-std=c99", *flags, tmp_path / "fragment.c")


def test_the_page_is_short():
    assert len(PAGE.splitlines()) <= 150
