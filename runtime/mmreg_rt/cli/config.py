"""``mmreg-config``: how to compile and link a program with the C library of this installation."""

from __future__ import annotations

from pathlib import Path

import click

from .. import c_library
from ..errors import MmregError
from . import terminal
from .exit_codes import CommandError

EXAMPLES = """\b
Examples:
  cc program.c $(mmreg-config --includes --libs)
  cmake -Dmmreg_DIR="$(mmreg-config --cmakedir)" -B build
"""


@click.command(epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--cmakedir", is_flag=True, help="The value of mmreg_DIR for CMake.")
@click.option("--includes", is_flag=True, help="Flags of the compiler.")
@click.option("--pkgconfigdir", is_flag=True, help="A folder for PKG_CONFIG_PATH.")
@click.option("--libs", is_flag=True, help="Flags of the linker; the program finds the library when it runs.")
@click.version_option(package_name="mmreg-rt", message="%(version)s")
def main(cmakedir: bool, includes: bool, pkgconfigdir: bool, libs: bool) -> None:
    """Print how to build programs with the C library of this installation."""
    terminal.prepare()
    if not (cmakedir or includes or pkgconfigdir or libs):
        raise click.UsageError("Nothing to print: give an option; --help lists them.")
    try:
        if cmakedir:
            terminal.print_result(c_library.get_cmake_dir())
        if includes:
            terminal.print_result(f"-I{c_library.get_include()}")
        if pkgconfigdir:
            terminal.print_result(c_library.get_pkgconfig_dir())
        if libs:
            folder = Path(c_library.get_library()).parent
            terminal.print_result(f"-L{folder} -Wl,-rpath,{folder} -lmmreg")
    except MmregError as error:
        raise CommandError(error) from error
