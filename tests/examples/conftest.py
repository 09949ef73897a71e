"""The examples, built as their pages say: against the installed package, by CMake."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="session")
def cmake_dir(tmp_path_factory):
    to = tmp_path_factory.mktemp("cmake")
    (to / "mmregConfig.cmake").write_text(f"""
add_library(mmreg::mmreg SHARED IMPORTED)
set_target_properties(mmreg::mmreg PROPERTIES IMPORTED_LOCATION {ROOT}/build/capi/libmmreg.so.1
 INTERFACE_INCLUDE_DIRECTORIES {ROOT}/cpp_ext/capi/include)
""")
    (to / "mmregConfigVersion.cmake").write_text(
        "set(PACKAGE_VERSION 0.1.0)\nset(PACKAGE_VERSION_COMPATIBLE 1)\n"
    )
    return to


@pytest.fixture(scope="session")
def example(cmake_dir, tmp_path_factory):
    """Return a function that builds an example and returns the path of its program."""
    if not shutil.which("cmake"):
        pytest.skip("cmake is not installed")
    built = {}

    def build(name):
        if name not in built:
            folder = tmp_path_factory.mktemp(name)
            configure = ["cmake", "-S", EXAMPLES / name, "-B", folder, f"-Dmmreg_DIR={cmake_dir}"]
            for command in (configure, ["cmake", "--build", folder]):
                done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
                assert done.returncode == 0, done.stdout + done.stderr
            built[name] = folder / name
        return built[name]

    return build
