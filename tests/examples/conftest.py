"""The examples, built as their pages say: against the installed package, by CMake."""

import contextlib
import shutil
import subprocess
from pathlib import Path

import pytest

import mmreg_rt
from mmreg_rt.errors import BackendUnavailableError

ROOT = Path(__file__).parents[2]
EXAMPLES, BUILT = ROOT / "examples", ROOT / "build" / "capi"


@pytest.fixture(scope="session")
def cmake_dir(tmp_path_factory):
    """Return the folder of the CMake package: of the wheel or, in a checkout, of the library built there."""
    if not shutil.which("cmake"):
        pytest.skip("cmake is not installed")
    with contextlib.suppress(BackendUnavailableError):
        return mmreg_rt.get_cmake_dir()
    if not (BUILT / "libmmreg.so.1").exists():
        pytest.skip("libmmreg is neither in the package nor in build/capi")
    prefix = tmp_path_factory.mktemp("prefix")
    subprocess.run(
        ["cmake", "--install", BUILT, "--component", "capi", "--prefix", prefix],
        check=True,
        capture_output=True,
    )
    (config,) = prefix.rglob("mmregConfig.cmake")
    return str(config.parent)


@pytest.fixture(scope="session")
def example(cmake_dir, tmp_path_factory):
    """Return a function that builds an example and returns the path of its program."""
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
